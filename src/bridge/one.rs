//! One question, from its payload to exactly one answer before its deadline.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout_at;
use tracing::debug;

use super::asking::Asking;
use super::event;
use super::questions::{End, Walk};
use super::spawn_on_drop::SpawnOnDrop;
use crate::answer_cache::{self, CachedAnswer};
use crate::ask::{Ask, Failed, fall_back};
use crate::message::{Answer, Content, Event, Outcome, Question, Replied, attribute};
use crate::publish;
use crate::route::AskRule;
use crate::source::{Dialogue, Identity};
use crate::telemetry::metrics::QuestionMetrics;

impl Walk {
    /// Exactly one answer to one question.
    pub(super) async fn one(
        &self,
        dialogue: &dyn Dialogue,
        place: usize,
        payload: Result<Bytes, Failed>,
    ) -> End {
        let began = Instant::now();
        let question = &self.questions[place];
        let (rule, metrics) = (self.rule(place), self.metrics(place));
        let asking = self.asking(place, &metrics);
        let CachedAnswer { answered, reused } = match payload {
            Err(failed) => CachedAnswer::asked(Err(failed)),
            Ok(payload) => self.once(dialogue, place, payload, &metrics, &asking).await,
        };
        let answer = match answered {
            Ok(reply) => Answer { outcome: Outcome::Answered, content: Content::Reply(reply) },
            // A job that isn't stored has no result that could be made up.
            Err(failed) if question.is_async => fall_back(failed, None),
            Err(failed) => fall_back(failed, rule.fallback.clone().or_else(|| dialogue.fallback())),
        };
        if reused {
            metrics.reused();
        } else {
            metrics.ended(answer.outcome, began.elapsed(), asking.span.ids());
            self.watch(place, &metrics, answer.outcome);
        }
        self.end(dialogue, place, answer, asking, reused)
    }

    /// Show the end of a question to the log and to the live tail.
    pub(super) fn end(
        &self,
        dialogue: &dyn Dialogue,
        place: usize,
        answer: Answer,
        asking: Asking,
        reused: bool,
    ) -> End {
        let worker = asking.worker.get();
        let (outcome, took) = (answer.outcome.as_str(), self.webhook.started.elapsed());
        debug!(
            id = &*self.webhook.id,
            endpoint = &*self.endpoint.name,
            "type" = self.endpoint.metrics.type_name(self.metadata.label),
            function = self.questions[place].function.as_ref().map(attribute).as_deref(),
            outcome,
            milliseconds = took.as_millis() as u64,
            worker = worker.map(|name| &**name),
            reused,
            "question"
        );
        if let Some(tap) = &self.tap {
            tap.answered(place, outcome, took, worker, reused);
        }
        let told = (took, worker.map(|name| &**name), reused);
        let record = self.record(dialogue, place, &answer, told);
        asking.end(answer.outcome, reused);
        End { record, answer, reused }
    }

    /// Ask, unless it is a call that has been asked already.
    async fn once(
        &self,
        dialogue: &dyn Dialogue,
        place: usize,
        payload: Bytes,
        metrics: &QuestionMetrics,
        asking: &Asking,
    ) -> CachedAnswer {
        let (question, rule) = (&self.questions[place], self.rule(place));
        let ask = async || {
            if question.is_async {
                return self.job(place, rule, payload, asking).await;
            }
            let ask = self.prepare(place, payload, metrics, asking);
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
                debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, "type" = self.endpoint.metrics.type_name(self.metadata.label), reason = Outcome::BadReply.as_str(), error = why, "a worker's reply can't be sent on");
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
        place: usize,
        payload: Bytes,
        metrics: &QuestionMetrics,
        asking: &'a Asking,
    ) -> Ask<'a> {
        let (question, rule) = (&self.questions[place], self.rule(place));
        self.bridge.live_tail.recent.add(self.asked(question));
        let ask = Ask {
            webhook: &self.webhook,
            trace: self.trace(asking),
            kind: &self.metadata.kind,
            key: self.metadata.key.as_ref(),
            subject: self.subject(place),
            payload,
            deadline: self.deadline(question, rule),
            grace: rule.grace,
            may_be_empty: question.may_be_empty,
            worker: &asking.worker,
            number: Some(metrics.number()),
        };
        self.show(place, &ask);
        ask
    }

    pub(super) fn subject(&self, place: usize) -> String {
        let function = self.questions[place].function.as_deref();
        self.rule(place).subject(&event::vars(&self.endpoint, &self.metadata, function))
    }

    /// A tool call that nobody waits for: stored like an event, then accepted.
    async fn job(
        &self,
        place: usize,
        rule: &AskRule,
        payload: Bytes,
        asking: &Asking,
    ) -> Result<Replied, Failed> {
        let question = &self.questions[place];
        let id = format!("{}.{}", self.webhook.id, place + 1).into();
        let json = "application/json".into();
        let job = event::event(&self.endpoint, &self.webhook, &self.metadata, id, json, payload);
        let job = Event { trace: self.trace(asking).clone(), ..job };
        let vars = event::vars(&self.endpoint, &self.metadata, question.function.as_deref());
        let refused = || (Outcome::Disconnected, Some("the job could not be stored".to_owned()));
        let to = self.endpoint.routes.job().ok_or_else(refused)?;
        let name = to.name(&vars);
        self.show_message(place, &name, &job.payload, BTreeMap::new);
        let to = [(to.clone(), name)];
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
        let storing = SpawnOnDrop::new(publishing.followed_by(self.tap.clone()).finish());
        match timeout_at(deadline, storing).await {
            Ok(Ok(_)) => Ok(Bytes::from_static(b"accepted").into()),
            _ => Err(refused()),
        }
    }
}
