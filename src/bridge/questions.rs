//! The walk of questions: route, ask all at the same time, merge, reply.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, join_all, ready};
use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::timeout_at;
use tracing::debug;

use super::finish::Finish;
use super::turns::Turn;
use super::{Bridge, Done, Endpoint, event};
use crate::answers::{self, Got};
use crate::ask::{Ask, Contexts, Failed, Streamed, fall_back};
use crate::auth::{Delivered, Entry};
use crate::limit::{Charge, Permit};
use crate::message::{
    About, Answer, Body, Content, Event, Form, Outcome, Payload, Question, Questions, Refusal,
    Reply, Webhook,
};
use crate::publish::{self, Destination};
use crate::route::AskRule;
use crate::source::Unasked;

/// The payloads of one webhook, in bytes. Each is written by copying, and all of them before anybody else has a turn.
const TOGETHER: usize = 64 << 20;

/// Ask everything that a webhook asks, and put the answers together.
pub(super) async fn ask(
    bridge: &Arc<Bridge>,
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    about: About,
    questions: Questions,
    held: Held,
) -> Done {
    let Held { charge, entry, turn } = held;
    let id = webhook.id.clone();
    let label = about.label;
    // A webhook over the limit still gets its answers: the fallbacks.
    let permit = endpoint.gate.question().ok();
    let mut walk = Walk {
        bridge: bridge.clone(),
        endpoint: endpoint.clone(),
        webhook,
        about,
        has_place: permit.is_some(),
        turn: None,
    };
    walk.turn = walk.turn(turn, &questions).map(|turn| Mutex::new(Some(Arc::new(turn))));
    walk.copy(&questions);
    let answering = async move {
        let answered = walk.answer(questions, permit, charge).await;
        if let Some(entry) = entry {
            let delivered = |_: &Reply| Delivered { is_accepted: false };
            entry.end(answered.result.as_ref().map(delivered).map_err(Refusal::clone));
        }
        answered
    };
    let Answered { outcome, fell_back, result } = Finish::new(answering).await;
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
        note: None,
    }
}

/// What a webhook with questions holds.
pub(super) struct Held {
    pub(super) charge: Charge,
    pub(super) entry: Option<Entry>,
    pub(super) turn: Option<Turn>,
}

/// One webhook with questions.
pub(super) struct Walk {
    pub(super) bridge: Arc<Bridge>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) webhook: Webhook,
    pub(super) about: About,
    /// There was room for it: otherwise nothing is asked.
    has_place: bool,
    /// For what is stored beside the answers, where something of its key may come before it. Whatever is stored takes
    /// it from here, until it has its place.
    turn: Option<Mutex<Option<Arc<Turn>>>>,
}

/// What came of all questions together.
struct Answered {
    /// The worst outcome.
    outcome: Outcome,
    /// Whether a fallback stands for some answer.
    fell_back: bool,
    result: Result<Reply, Refusal>,
}

impl Walk {
    async fn answer(
        self,
        questions: Questions,
        permit: Option<Permit>,
        mut charge: Charge,
    ) -> Answered {
        let Questions { all, excess, form, .. } = &questions;
        if *form == Form::Stream {
            self.give_turn_up();
            return self.stream(all, permit).await;
        }
        let payloads = self.payloads(&questions, &mut charge);
        let asking = all.iter().zip(payloads).enumerate();
        let asking =
            asking.map(|(place, (question, payload))| self.one(place, question, payload, *form));
        let asking = self.begun(join_all(asking)).await;
        let (answers, records): (Vec<_>, Vec<_>) = asking.into_iter().unzip();
        self.audit(all, records);
        let unasked = excess.as_ref().map(|_| self.unasked());
        let outcomes = answers.iter().map(|answer| answer.outcome);
        let outcomes = outcomes.chain(unasked.as_ref().map(|_| Outcome::Overloaded));
        let outcome = outcomes.max().unwrap_or(Outcome::Answered);
        let fell_back = answers.iter().any(|answer| matches!(answer.content, Content::Fallback(_)));
        let result = self.endpoint.source.reply(&questions, answers, unasked);
        // A reply that is still to be written needs the webhook for it.
        let written = |reply: Reply| {
            let body = in_turns(hold(reply.body, (permit, charge)));
            Reply { body, ..reply }
        };
        let result = result.map(written);
        Answered { outcome, fell_back, result }
    }

    /// Await it. Once it has begun, those that are stored have taken the turn, and nobody waits for the others.
    async fn begun<F: Future>(&self, asking: F) -> F::Output {
        let mut asking = pin!(asking);
        if self.turn.is_some() {
            let first = poll_fn(|context| Poll::Ready(asking.as_mut().poll(context))).await;
            self.give_turn_up();
            if let Poll::Ready(output) = first {
                return output;
            }
        }
        asking.await
    }

    /// The turn of what is stored beside the answers, if it has to wait for one.
    fn turn(&self, taken: Option<Turn>, questions: &Questions) -> Option<Turn> {
        let asked = questions.all.iter();
        let copies = asked.clone().flat_map(|question| &self.rule(question).0.copy_to);
        let job = asked.filter(|question| question.is_async);
        let job = job.take(1).filter_map(|_| self.endpoint.routes.job());
        self.bridge.turn(taken, &self.about, copies.chain(job).map(|to| to.text()))
    }

    /// Whatever is stored has taken the turn, or comes too late for it.
    fn give_turn_up(&self) {
        if let Some(turn) = &self.turn {
            *turn.lock() = None;
        }
    }

    /// The turn, for something that is about to be stored.
    fn my_turn(&self) -> Option<Arc<Turn>> {
        self.turn.as_ref()?.lock().clone()
    }

    /// What the workers get. Its bytes are held as long as the webhook's, and nothing is built that there is no room for.
    fn payloads(
        &self,
        Questions { all, members, .. }: &Questions,
        charge: &mut Charge,
    ) -> Vec<Result<Bytes, Failed>> {
        let overloaded = || Err((Outcome::Overloaded, None));
        let calls = || {
            all.iter().filter_map(|question| match &question.payload {
                Payload::Body => None,
                Payload::Call(call) => Some((question, call)),
            })
        };
        // The contexts are needed for no longer than this takes.
        let mut while_built = charge.beside();
        // Arguments and names may be copies already: of texts with escapes.
        let copied = calls().map(|(question, call)| {
            call.arguments.len() + question.function.as_ref().map_or(0, |name| name.len())
        });
        let contexts = match self.has_place && charge.grow(copied.sum()).is_ok() {
            true => Contexts::of(
                members,
                calls().map(|(question, _)| &self.rule(question).0.context),
                |bytes| while_built.grow(bytes).is_ok(),
            ),
            false => None,
        };
        let Some(contexts) = contexts else {
            return all.iter().map(|_| overloaded()).collect();
        };
        let mut left = TOGETHER;
        let payload = |question: &Question| match &question.payload {
            Payload::Body => Ok(self.webhook.body.clone()),
            Payload::Call(call) => {
                let context = &self.rule(question).0.context;
                let payload = contexts.payload(call, context, |bytes| {
                    let is_small = bytes <= left && charge.grow(bytes).is_ok();
                    left -= if is_small { bytes } else { 0 };
                    is_small
                });
                payload.map_or_else(overloaded, Ok)
            }
        };
        all.iter().map(payload).collect()
    }

    /// What the calls get that are too many: a fallback where there is one, as any call that fails.
    fn unasked(&self) -> Unasked {
        let endpoint = self.endpoint.clone();
        Arc::new(move |function, is_async| {
            let fallback = || endpoint.routes.tool(function).0.fallback.clone();
            let fallback = if is_async { None } else { fallback() };
            fall_back((Outcome::Overloaded, None), fallback)
        })
    }

    /// How a question is asked, and its metric label.
    fn rule(&self, question: &Question) -> (&AskRule, Arc<str>) {
        let routes = &self.endpoint.routes;
        match (&question.payload, &question.function) {
            (Payload::Body, _) => (routes.question(&self.about.kind), self.about.label.into()),
            (Payload::Call(_), function) => {
                let (rule, label) = routes.tool(function.as_deref().unwrap_or_default());
                (rule, label.clone())
            }
        }
    }

    /// Exactly one answer to one question, before its deadline; and what is to be told of it, if anybody wants to know.
    async fn one(
        &self,
        place: usize,
        question: &Question,
        payload: Result<Bytes, Failed>,
        form: Form,
    ) -> (Answer, Option<Bytes>) {
        let began = Instant::now();
        let (rule, label) = self.rule(question);
        let Got { answered, reused } = match payload {
            Err(failed) => Got::asked(Err(failed)),
            Ok(payload) => self.once(place, question, rule, payload, form).await,
        };
        let answer = match answered {
            Ok(reply) => Answer { outcome: Outcome::Answered, content: Content::Reply(reply) },
            // A job that isn't stored has no result that could be made up.
            Err(failed) if question.is_async => fall_back(failed, None),
            Err(failed) => fall_back(failed, self.fallback(rule)),
        };
        if reused {
            self.bridge.metrics.answer_reused(&self.endpoint.name);
            debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, function = %label, outcome = answer.outcome.as_str(), "a repeated tool call got the answer that there is");
        } else {
            self.bridge.metrics.asked(
                &self.endpoint.name,
                &label,
                answer.outcome.as_str(),
                began.elapsed(),
            );
        }
        let record = self.record(question, &answer, reused);
        (answer, record)
    }

    /// Ask, unless it is a call that has been asked already.
    async fn once(
        &self,
        place: usize,
        question: &Question,
        rule: &AskRule,
        payload: Bytes,
        form: Form,
    ) -> Got {
        let ask = async || {
            if question.is_async {
                return self.job(place, question, rule, payload).await;
            }
            let ask = self.prepare(question, rule, payload);
            let reply = ask.once(self.bridge.questions.as_ref()).await?;
            self.checked(form, reply)
        };
        let Some(call) = self.call(question) else {
            return Got::asked(ask().await);
        };
        let (window, deadline) = (self.endpoint.answer_window, self.deadline(question, rule));
        self.bridge.answers.once(call, window, deadline, ask).await
    }

    /// What tells that a tool call comes again; nothing where its answer isn't to be used again.
    fn call(&self, question: &Question) -> Option<answers::Key> {
        let (Some(key), Some(id), Payload::Call(call)) =
            (&self.about.key, &question.call_id, &question.payload)
        else {
            return None;
        };
        // An empty id tells nothing.
        if self.endpoint.answer_window.is_zero() || id == r#""""# {
            return None;
        }
        let function = question.function.as_deref().unwrap_or_default();
        Some(answers::Key::new(&[
            self.endpoint.name.as_bytes(),
            key.as_bytes(),
            function.as_bytes(),
            id,
            &call.arguments,
            // What says that a job is stored is not the result of a call.
            &[question.is_async.into()],
        ]))
    }

    fn fallback(&self, rule: &AskRule) -> Option<Bytes> {
        let by_default = || {
            self.endpoint
                .source
                .fallback(self.about.label)
                .map(|json| Bytes::from_static(json.as_bytes()))
        };
        rule.fallback.clone().or_else(by_default)
    }

    fn checked(&self, form: Form, reply: Bytes) -> Result<Bytes, Failed> {
        match self.endpoint.source.check(form, &reply) {
            Ok(()) => Ok(reply),
            Err(why) => {
                debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, kind = self.about.label, error = why, "a worker's reply can't be sent on");
                Err((Outcome::BadReply, None))
            }
        }
    }

    /// When the sender must have its answer.
    fn deadline(&self, question: &Question, rule: &AskRule) -> tokio::time::Instant {
        let time = rule.time(&*self.endpoint.source, self.about.label, question.limit);
        (self.webhook.started + time).into()
    }

    fn prepare<'a>(&'a self, question: &'a Question, rule: &AskRule, payload: Bytes) -> Ask<'a> {
        self.bridge.activity.recent.note(self.asked(question));
        Ask {
            webhook: &self.webhook,
            kind: &self.about.kind,
            key: self.about.key.as_ref(),
            subject: rule.subject(&event::vars(
                &self.endpoint,
                &self.about,
                question.function.as_deref(),
            )),
            payload,
            deadline: self.deadline(question, rule),
            grace: rule.grace,
            tag: self.endpoint.tag,
        }
    }

    /// A tool call that nobody waits for: stored like an event, then accepted.
    async fn job(
        &self,
        place: usize,
        question: &Question,
        rule: &AskRule,
        payload: Bytes,
    ) -> Result<Bytes, Failed> {
        let id = format!("{}.{}", self.webhook.id, place + 1).into();
        let job = event::event(
            &self.endpoint,
            &self.webhook,
            &self.about,
            id,
            "application/json".into(),
            payload,
        );
        let vars = event::vars(&self.endpoint, &self.about, question.function.as_deref());
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
        let storing = Finish::new(publishing.finish());
        match timeout_at(deadline, storing).await {
            Ok(Ok(_)) => Ok(Bytes::from_static(b"accepted")),
            _ => Err(refused()),
        }
    }

    /// One question whose answer is passed on as it comes; its place is held until the last chunk.
    async fn stream(&self, questions: &[Question], permit: Option<Permit>) -> Answered {
        let began = Instant::now();
        let rule = self.endpoint.routes.question(&self.about.kind);
        let asked = match (questions.first(), permit) {
            (Some(question), Some(permit)) => {
                let ask = self.prepare(question, rule, self.webhook.body.clone());
                let answer = ask.stream(self.bridge.questions.as_ref(), rule.chunk_timeout).await;
                let reply = |Streamed { body, content_type }| {
                    Reply::bytes(hold(body, permit), content_type)
                };
                answer.map(reply).map_err(|(outcome, _)| outcome)
            }
            _ => Err(Outcome::Overloaded),
        };
        let outcome = asked.as_ref().err().copied().unwrap_or(Outcome::Answered);
        let label = self.about.label.into();
        self.bridge.metrics.asked(&self.endpoint.name, &label, outcome.as_str(), began.elapsed());
        let fallback = || self.fallback(rule).map(Reply::json).ok_or(Refusal::Unanswered(outcome));
        let fell_back = asked.is_err() && rule.fallback.is_some();
        if let Some(question) = questions.first() {
            // What is streamed is not kept.
            let content = self.fallback(rule).filter(|_| asked.is_err());
            let content = content.map_or(Content::Nothing, Content::Fallback);
            let record = self.record(question, &Answer { outcome, content }, false);
            self.audit(questions, vec![record]);
        }
        let result = asked.or_else(|_| fallback());
        Answered { outcome, fell_back, result }
    }

    /// Store the webhook as an event too, where a rule says so; beside the answer, and never in its way.
    fn copy(&self, questions: &Questions) {
        let mut to: Vec<(Arc<Destination>, String)> = Vec::new();
        for question in &questions.all {
            let vars = event::vars(&self.endpoint, &self.about, question.function.as_deref());
            for destination in &self.rule(question).0.copy_to {
                let name = destination.name(&vars);
                if !to.iter().any(|(known, at)| known.text() == destination.text() && *at == name) {
                    to.push((destination.clone(), name));
                }
            }
        }
        if !to.is_empty() {
            let event = event::whole(&self.endpoint, &self.webhook, &self.about);
            self.beside(to, event, self.my_turn());
        }
    }

    /// Store an event beside the answer, when it is its turn. What can't be stored is counted.
    pub(super) fn beside(
        &self,
        to: Vec<(Arc<Destination>, String)>,
        event: Event,
        turn: Option<Arc<Turn>>,
    ) {
        let begin = || {
            let mut charge = self.endpoint.gate.charge();
            // The calls of a webhook may give one destination many names.
            charge.grow(event.payload.len().saturating_mul(to.len()))?;
            let permit = self.endpoint.gate.event(&mut charge)?;
            Ok::<_, Refusal>((permit, charge))
        };
        let begun = begin().inspect_err(|_| {
            for (destination, _) in &to {
                self.bridge.metrics.publish_failed(destination.text(), "overloaded");
            }
        });
        // A destination that refuses counts it by itself.
        let begun = begun.and_then(|held| {
            let publishing = match turn {
                None => Either::Left(ready(Ok(publish::begin(to, event)?))),
                Some(turn) => Either::Right(async move {
                    turn.ready().await;
                    publish::begin(to, event)
                }),
            };
            Ok((publishing, held))
        });
        match begun {
            Ok((publishing, held)) => {
                tokio::spawn(async move {
                    let stored = async { publishing.await?.finish().await };
                    let _ = stored.await;
                    drop(held);
                });
            }
            Err(refusal) => {
                debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, error = %refusal, "nothing was stored beside an answer")
            }
        }
    }
}

/// A body that is written while it is sent: after each part others have their turn, however fast it is read.
fn in_turns(body: Body) -> Body {
    match body {
        Body::Whole(bytes) => Body::Whole(bytes),
        Body::Stream(stream) => Body::Stream(Box::pin(stream.then(|part| async {
            yield_now().await;
            part
        }))),
    }
}

/// A body that keeps `held` until its end, if it is still to come.
fn hold(body: Body, held: impl Send + 'static) -> Body {
    match body {
        Body::Whole(bytes) => Body::Whole(bytes),
        Body::Stream(stream) => Body::Stream(Box::pin(stream.inspect(move |_| {
            let _ = &held;
        }))),
    }
}
