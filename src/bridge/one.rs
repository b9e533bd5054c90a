//! One question, from its payload to exactly one answer before its deadline.

use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout_at;
use tracing::debug;

use super::event;
use super::questions::Walk;
use super::spawn_on_drop::SpawnOnDrop;
use crate::answer_cache::{self, CachedAnswer};
use crate::ask::{Ask, Failed, fall_back};
use crate::message::{Answer, Content, Outcome, Question, Replied};
use crate::publish;
use crate::route::AskRule;
use crate::source::{Dialogue, Identity};

impl Walk {
    /// Exactly one answer to one question; and what is to be told of it, if anybody wants to know.
    pub(super) async fn one(
        &self,
        dialogue: &dyn Dialogue,
        place: usize,
        payload: Result<Bytes, Failed>,
    ) -> (Answer, Option<Bytes>) {
        let began = Instant::now();
        let question = &self.questions[place];
        let (rule, label) = self.rule(place);
        let CachedAnswer { answered, reused } = match payload {
            Err(failed) => CachedAnswer::asked(Err(failed)),
            Ok(payload) => self.once(dialogue, place, rule, payload).await,
        };
        let answer = match answered {
            Ok(reply) => Answer { outcome: Outcome::Answered, content: Content::Reply(reply) },
            // A job that isn't stored has no result that could be made up.
            Err(failed) if question.is_async => fall_back(failed, None),
            Err(failed) => fall_back(failed, rule.fallback.clone().or_else(|| dialogue.fallback())),
        };
        let name = &self.endpoint.name;
        if reused {
            self.bridge.metrics.answer_reused(name);
            debug!(id = %self.webhook.id, endpoint = %name, function = %label, outcome = answer.outcome.as_str(), "a repeated tool call got the answer that there is");
        } else {
            let outcome = answer.outcome.as_str();
            self.bridge.metrics.asked(name, label, outcome, began.elapsed());
        }
        let record = self.record(dialogue, place, &answer, reused);
        (answer, record)
    }

    /// Ask, unless it is a call that has been asked already.
    async fn once(
        &self,
        dialogue: &dyn Dialogue,
        place: usize,
        rule: &AskRule,
        payload: Bytes,
    ) -> CachedAnswer {
        let question = &self.questions[place];
        let ask = async || {
            if question.is_async {
                return self.job(place, rule, payload).await;
            }
            let ask = self.prepare(question, rule, payload);
            let reply = ask.once(self.bridge.questions.as_ref()).await?;
            self.checked(dialogue, reply)
        };
        let Some(call) = self.call(dialogue, place) else {
            return CachedAnswer::asked(ask().await);
        };
        let (window, deadline) = (self.endpoint.answer_window, self.deadline(question, rule));
        self.bridge.answers.once(call, window, deadline, ask).await
    }

    /// What tells that a call comes again; nothing where its answer isn't to be used again.
    fn call(&self, dialogue: &dyn Dialogue, place: usize) -> Option<answer_cache::Key> {
        if self.endpoint.answer_window.is_zero() {
            return None;
        }
        let key = self.metadata.key.as_ref()?;
        let Identity { id, arguments } = dialogue.identity(place)?;
        let question = &self.questions[place];
        // An empty id tells nothing.
        (id != br#""""#).then(|| {
            answer_cache::Key::new(&[
                self.endpoint.name.as_bytes(),
                key.as_bytes(),
                question.function.as_deref().unwrap_or_default().as_bytes(),
                id,
                arguments,
                // What says that a job is stored is not the result of a call.
                &[question.is_async.into()],
            ])
        })
    }

    fn checked(&self, dialogue: &dyn Dialogue, reply: Replied) -> Result<Replied, Failed> {
        match dialogue.check(&reply) {
            Ok(()) => Ok(reply),
            Err(why) => {
                debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, kind = %self.metadata.label, error = why, "a worker's reply can't be sent on");
                Err((Outcome::BadReply, None))
            }
        }
    }

    /// When the sender must have its answer.
    fn deadline(&self, question: &Question, rule: &AskRule) -> tokio::time::Instant {
        (self.webhook.started + rule.time(question)).into()
    }

    pub(super) fn prepare<'a>(
        &'a self,
        question: &'a Question,
        rule: &AskRule,
        payload: Bytes,
    ) -> Ask<'a> {
        self.bridge.live_tail.recent.add(self.asked(question));
        let function = question.function.as_deref();
        Ask {
            webhook: &self.webhook,
            kind: &self.metadata.kind,
            key: self.metadata.key.as_ref(),
            subject: rule.subject(&event::vars(&self.endpoint, &self.metadata, function)),
            payload,
            deadline: self.deadline(question, rule),
            grace: rule.grace,
            may_be_empty: question.may_be_empty,
        }
    }

    /// A tool call that nobody waits for: stored like an event, then accepted.
    async fn job(&self, place: usize, rule: &AskRule, payload: Bytes) -> Result<Replied, Failed> {
        let question = &self.questions[place];
        let id = format!("{}.{}", self.webhook.id, place + 1).into();
        let json = "application/json".into();
        let job = event::event(&self.endpoint, &self.webhook, &self.metadata, id, json, payload);
        let vars = event::vars(&self.endpoint, &self.metadata, question.function.as_deref());
        let refused = || (Outcome::Disconnected, Some("the job could not be stored".to_owned()));
        let to = self.endpoint.routes.job().ok_or_else(refused)?;
        let to = [(to.clone(), to.name(&vars))];
        let deadline = self.deadline(question, rule);
        let turn = self.my_turn();
        if let Some(turn) = &turn {
            // Past the limit it is too late below.
            let _ = timeout_at(deadline, turn.ready()).await;
        }
        // Its sender is told that it failed: then it isn't to be done.
        if tokio::time::Instant::now() >= deadline {
            return Err((Outcome::Timeout, None));
        }
        let publishing = publish::begin(to, job).map_err(|_| refused())?;
        drop(turn);
        // It keeps its turn until the broker has spoken, even if the sender's limit comes first.
        let storing = SpawnOnDrop::new(publishing.finish());
        match timeout_at(deadline, storing).await {
            Ok(Ok(_)) => Ok(Bytes::from_static(b"accepted").into()),
            _ => Err(refused()),
        }
    }
}
