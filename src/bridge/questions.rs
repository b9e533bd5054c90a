//! The walk of questions: route, ask all at the same time, merge, reply.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use tracing::debug;

use super::{Bridge, Done, Endpoint, event};
use crate::ask::{self, Ask, Failed, fall_back};
use crate::limit::{Charge, Permit};
use crate::message::{
    Answer, Classified, Content, Demand, Form, Members, Outcome, Payload, Question, Refusal, Reply,
    Webhook,
};
use crate::publish::Destination;
use crate::route::AskRule;

/// Ask everything that a webhook asks, and put the answers together.
pub(super) async fn ask(
    bridge: &Arc<Bridge>,
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    class: Classified,
    charge: Charge,
) -> Done {
    let id = webhook.id.clone();
    let label = class.label;
    // A webhook over the limit still gets its answers: the fallbacks.
    let permit = bridge.limits.question().ok();
    let walk = Walk {
        bridge: bridge.clone(),
        endpoint: endpoint.clone(),
        webhook,
        class,
        permit,
    };
    walk.copy();
    let (outcome, fell_back, result) = tokio::spawn(walk.answer(charge)).await.unwrap_or((
        Outcome::Disconnected,
        false,
        Err(Refusal::Stopping),
    ));
    let fate = match (&result, fell_back) {
        (Ok(_), true) => "fallback",
        _ => outcome.as_str(),
    };
    Done {
        id: Some(id),
        outcome: Some(outcome),
        result,
        label,
        kind: Some("question"),
        fate,
    }
}

/// One webhook with questions.
struct Walk {
    bridge: Arc<Bridge>,
    endpoint: Arc<Endpoint>,
    webhook: Webhook,
    class: Classified,
    permit: Option<Permit>,
}

impl Walk {
    /// The reply to all questions, the worst outcome, and whether a fallback was used.
    async fn answer(self, mut charge: Charge) -> (Outcome, bool, Result<Reply, Refusal>) {
        let Demand::Questions {
            questions,
            form,
            members,
        } = &self.class.demand
        else {
            return (
                Outcome::Answered,
                false,
                Err(Refusal::Malformed("nothing is asked".into())),
            );
        };
        if *form == Form::Stream {
            return self.stream(questions).await;
        }
        let prepared: Vec<_> = questions
            .iter()
            .enumerate()
            .map(|(place, question)| {
                (
                    place,
                    question,
                    self.payload(question, members, &mut charge),
                )
            })
            .collect();
        let asking = prepared
            .into_iter()
            .map(|(place, question, payload)| self.one(place, question, payload, *form));
        let answers = join_all(asking).await;
        let worst = answers
            .iter()
            .map(|answer| answer.outcome)
            .max()
            .unwrap_or(Outcome::Answered);
        let fell_back = answers
            .iter()
            .any(|answer| matches!(answer.content, Content::Fallback(_)));
        (
            worst,
            fell_back,
            self.endpoint.source.reply(*form, questions, answers),
        )
    }

    /// What the worker gets; its bytes are held as long as the webhook's.
    fn payload(
        &self,
        question: &Question,
        members: &Members,
        charge: &mut Charge,
    ) -> Result<Bytes, Failed> {
        let overloaded = (Outcome::Overloaded, None);
        if question.excess || self.permit.is_none() {
            return Err(overloaded);
        }
        match &question.payload {
            Payload::Body => Ok(self.webhook.body.clone()),
            Payload::Call(call) => {
                let payload = ask::payload(call, members, &self.rule(question).0.context);
                match charge.grow(payload.len()) {
                    Ok(()) => Ok(payload),
                    Err(_) => Err(overloaded),
                }
            }
        }
    }

    /// How a question is asked, and its metric label.
    fn rule(&self, question: &Question) -> (&AskRule, Arc<str>) {
        let routes = &self.endpoint.routes;
        match (&question.payload, &question.function) {
            (Payload::Body, _) => (routes.question(&self.class.kind), self.class.label.into()),
            (Payload::Call(_), function) => {
                let (rule, label) = routes.tool(function.as_deref().unwrap_or_default());
                (rule, label.clone())
            }
        }
    }

    /// Exactly one answer to one question, before its deadline.
    async fn one(
        &self,
        place: usize,
        question: &Question,
        payload: Result<Bytes, Failed>,
        form: Form,
    ) -> Answer {
        let began = Instant::now();
        let (rule, label) = self.rule(question);
        let answered = match payload {
            Err(failed) => Err(failed),
            Ok(payload) if question.is_async => self.job(place, question, payload).await,
            Ok(payload) => match self
                .prepare(question, rule, payload)
                .once(self.bridge.questions.as_ref())
                .await
            {
                Ok(reply) => self.checked(form, reply),
                Err(failed) => Err(failed),
            },
        };
        let answer = match answered {
            Ok(reply) => Answer {
                outcome: Outcome::Answered,
                content: Content::Reply(reply),
            },
            // A job that isn't stored has no result that could be made up.
            Err(failed) if question.is_async => fall_back(failed, None),
            Err(failed) => fall_back(failed, self.fallback(rule)),
        };
        self.bridge.metrics.asked(
            &self.endpoint.name,
            &label,
            answer.outcome.as_str(),
            began.elapsed(),
        );
        answer
    }

    fn fallback(&self, rule: &AskRule) -> Option<Bytes> {
        let by_default = || {
            self.endpoint
                .source
                .fallback(self.class.label)
                .map(|json| Bytes::from_static(json.as_bytes()))
        };
        rule.fallback.clone().or_else(by_default)
    }

    fn checked(&self, form: Form, reply: Bytes) -> Result<Bytes, Failed> {
        match self.endpoint.source.check(form, &reply) {
            Ok(()) => Ok(reply),
            Err(why) => {
                debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, kind = self.class.label, error = why, "a worker's reply can't be sent on");
                Err((Outcome::BadReply, None))
            }
        }
    }

    fn prepare<'a>(&'a self, question: &'a Question, rule: &AskRule, payload: Bytes) -> Ask<'a> {
        let time = rule.time(&*self.endpoint.source, self.class.label, question.limit);
        Ask {
            webhook: &self.webhook,
            kind: &self.class.kind,
            key: self.class.key.as_ref(),
            subject: rule.subject(&event::vars(
                &self.endpoint,
                &self.class,
                question.function.as_deref(),
            )),
            payload,
            deadline: (self.webhook.started + time).into(),
            grace: rule.grace,
            tag: self.endpoint.tag,
        }
    }

    /// A tool call that nobody waits for: stored like an event, then accepted.
    async fn job(
        &self,
        place: usize,
        question: &Question,
        payload: Bytes,
    ) -> Result<Bytes, Failed> {
        let id = format!("{}.{}", self.webhook.id, place + 1).into();
        let job = event::event(
            &self.endpoint,
            &self.webhook,
            &self.class,
            id,
            "application/json".into(),
            payload,
        );
        let vars = event::vars(&self.endpoint, &self.class, question.function.as_deref());
        let refused = || {
            (
                Outcome::Disconnected,
                Some("the job could not be stored".to_owned()),
            )
        };
        let publishing =
            crate::publish::begin(self.endpoint.routes.job(), job, &vars).map_err(|_| refused())?;
        publishing.finish().await.map_err(|_| refused())?;
        Ok(Bytes::from_static(b"accepted"))
    }

    /// One question whose answer is passed on as it comes.
    async fn stream(&self, questions: &[Question]) -> (Outcome, bool, Result<Reply, Refusal>) {
        let began = Instant::now();
        let rule = self.endpoint.routes.question(&self.class.kind);
        let question = match questions.first() {
            Some(question) if self.permit.is_some() => question,
            _ => {
                return (
                    Outcome::Overloaded,
                    false,
                    Err(Refusal::Unanswered(Outcome::Overloaded)),
                );
            }
        };
        let asked = self
            .prepare(question, rule, self.webhook.body.clone())
            .stream(self.bridge.questions.as_ref())
            .await;
        let (outcome, result) = match asked {
            Ok(body) => (
                Outcome::Answered,
                Ok(Reply {
                    content_type: "application/octet-stream",
                    body,
                }),
            ),
            Err((outcome, _)) => (
                outcome,
                self.fallback(rule)
                    .map(Reply::json)
                    .ok_or(Refusal::Unanswered(outcome)),
            ),
        };
        self.bridge.metrics.asked(
            &self.endpoint.name,
            &self.class.label.into(),
            outcome.as_str(),
            began.elapsed(),
        );
        (
            outcome,
            outcome != Outcome::Answered && result.is_ok(),
            result,
        )
    }

    /// Store the webhook as an event too, where a rule says so; beside the answer, and never in its way.
    fn copy(&self) {
        let Demand::Questions { questions, .. } = &self.class.demand else {
            return;
        };
        let mut to: Vec<Arc<Destination>> = Vec::new();
        for destination in questions
            .iter()
            .flat_map(|question| &self.rule(question).0.copy_to)
        {
            if !to.iter().any(|known| known.text() == destination.text()) {
                to.push(destination.clone());
            }
        }
        if to.is_empty() {
            return;
        }
        let begin = || {
            let permit = self.bridge.limits.event()?;
            let mut charge = self.bridge.limits.charge();
            charge.grow(self.webhook.body.len())?;
            Ok::<_, Refusal>((
                event::publish(&self.endpoint, &to, &self.webhook, &self.class)?,
                permit,
                charge,
            ))
        };
        match begin() {
            Ok((publishing, permit, charge)) => {
                tokio::spawn(async move {
                    // What can't be stored is counted and logged by the destination.
                    let _ = publishing.finish().await;
                    drop((permit, charge));
                });
            }
            Err(refusal) => {
                debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, error = %refusal, "a question was not copied")
            }
        }
    }
}
