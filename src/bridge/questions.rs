//! The walk of questions: route, ask all at the same time, merge, reply.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::yield_now;

use super::spawn_on_drop::SpawnOnDrop;
use super::turns::Turn;
use super::{Bridge, Done, Endpoint, Held, Kind};
use crate::ask::{Failed, fall_back};
use crate::auth::Delivered;
use crate::config::Context;
use crate::limit::{ByteReservation, Permit};
use crate::live_tail::{TapProgress, TapRecord};
use crate::message::{
    Answer, Body, Content, Metadata, Outcome, Question, Refusal, Reply, Webhook, WebhookOutcome,
};
use crate::route::{AskRule, Route};
use crate::source::{Dialogue, Questions, Unasked};
use crate::telemetry::metrics::QuestionMetrics;
use crate::trace::Span;

/// The payloads of one webhook, in bytes. Each is written by copying, and all of them before anybody else has a turn.
const TOGETHER: usize = 64 << 20;

/// Ask everything that a webhook asks, and put the answers together.
pub(super) async fn ask(
    bridge: &Arc<Bridge>,
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    metadata: Metadata,
    questions: Questions,
    held: Held<'_>,
    tap: Option<&mut TapRecord>,
) -> Done {
    // A repeated question is asked, or its answer reused, call by call: no copy waits for another.
    let Held { reservation, once, turn, .. } = held;
    let id = webhook.id.clone();
    let label = Some(metadata.label);
    let Questions { all, dialogue } = questions;
    // A webhook over the limit still gets its answers: the fallbacks.
    let permit = endpoint.limits.question().ok();
    let routes = all.iter().map(|question| endpoint.routes.ask(&metadata.kind, question));
    let mut walk = Walk {
        routes: routes.collect(),
        bridge: bridge.clone(),
        endpoint: endpoint.clone(),
        webhook,
        metadata,
        questions: all,
        has_place: permit.is_some(),
        turn: None,
        tap: None,
    };
    if let Some(tap) = tap {
        walk.follow(tap);
    }
    walk.turn = walk.turn(turn).map(|turn| Mutex::new(Some(Arc::new(turn))));
    walk.copy();
    // As an expression: a local of its own would take its place once more, for as long as this is awaited.
    let answering = SpawnOnDrop::new(async move {
        let answered = walk.answer(dialogue, permit, reservation).await;
        once.end(answered.reply.as_ref().map(|_| Delivered { is_accepted: false }));
        answered
    });
    let Answered { outcome, fell_back, reused, reply } = answering.await;
    let result = match (&reply, fell_back) {
        (Ok(_), true) => WebhookOutcome::Fallback,
        _ => WebhookOutcome::Question(outcome),
    };
    Done {
        id: Some(id),
        outcome: Some(outcome),
        reused,
        reply,
        label,
        kind: Some(Kind::Question),
        result,
        why: None,
        tap: None,
        span: Span::default(),
    }
}

/// One webhook with questions.
pub(super) struct Walk {
    pub(super) bridge: Arc<Bridge>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) webhook: Webhook,
    pub(super) metadata: Metadata,
    pub(super) questions: Vec<Question>,
    /// How each of them is asked.
    routes: Vec<Route>,
    /// There was room for it: otherwise nothing is asked.
    has_place: bool,
    /// For what is stored beside the answers, where something of its key may come before it. Whatever is stored takes
    /// it from here, until it has its place.
    turn: Option<Mutex<Option<Arc<Turn>>>>,
    /// For those who follow.
    pub(super) tap: Option<TapProgress>,
}

/// How one question ended.
pub(super) struct End {
    pub(super) answer: Answer,
    /// It is the answer to an earlier delivery of the same call.
    pub(super) reused: bool,
    /// What is to be told of it, if anybody wants to know.
    pub(super) record: Option<Bytes>,
}

/// What came of all questions together.
pub(super) struct Answered {
    /// The worst outcome.
    pub(super) outcome: Outcome,
    /// Whether a fallback stands for some answer.
    pub(super) fell_back: bool,
    /// Whether some answer is that to an earlier delivery.
    pub(super) reused: bool,
    pub(super) reply: Result<Reply, Refusal>,
}

impl Walk {
    async fn answer(
        self,
        mut dialogue: Box<dyn Dialogue>,
        permit: Option<Permit>,
        mut reservation: ByteReservation,
    ) -> Answered {
        if dialogue.is_streamed() {
            self.give_turn_up();
            return self.stream(&*dialogue, permit).await;
        }
        let payloads = self.payloads(&mut *dialogue, &mut reservation);
        let ends = self.answers(&*dialogue, payloads).await;
        let reused = ends.iter().any(|end| end.reused);
        let (answers, records): (Vec<_>, Vec<_>) =
            ends.into_iter().map(|end| (end.answer, end.record)).unzip();
        self.audit(records);
        let outcomes = answers.iter().map(|answer| answer.outcome);
        let outcomes = outcomes.chain(dialogue.has_unasked().then_some(Outcome::Overloaded));
        let outcome = outcomes.max().unwrap_or(Outcome::Answered);
        let fell_back = answers.iter().any(|answer| matches!(answer.content, Content::Fallback(_)));
        let reply = dialogue.reply(answers, self.unasked());
        // A reply that is still to be written needs the webhook for it.
        let written = |reply: Reply| {
            let body = in_turns(hold(reply.body, (permit, reservation)));
            Reply { body, ..reply }
        };
        Answered { outcome, fell_back, reused, reply: reply.map(written) }
    }

    /// The answers to all questions, which are asked at the same time. Once that has begun, those that are stored have
    /// taken the turn, and nobody waits for the others.
    async fn answers(
        &self,
        dialogue: &dyn Dialogue,
        payloads: Vec<Result<Bytes, Failed>>,
    ) -> Vec<End> {
        let ask = async |(place, payload)| self.one(dialogue, place, payload).await;
        let mut asking = pin!(async {
            let mut payloads = payloads.into_iter().enumerate();
            match (payloads.next(), payloads.len()) {
                // Mostly there is one, which needs nobody to look after it.
                (Some(only), 0) => vec![ask(only).await],
                (first, _) => join_all(first.into_iter().chain(payloads).map(ask)).await,
            }
        });
        if self.turn.is_some() {
            let first = poll_fn(|context| Poll::Ready(asking.as_mut().poll(context))).await;
            self.give_turn_up();
            if let Poll::Ready(answers) = first {
                return answers;
            }
        }
        asking.await
    }

    /// The turn of what is stored beside the answers, if it has to wait for one.
    fn turn(&self, taken: Option<Turn>) -> Option<Turn> {
        let copies = self.rules().flat_map(|rule| &rule.copy_to);
        let is_job = self.questions.iter().any(|question| question.is_async);
        let job = self.endpoint.routes.job().filter(|_| is_job);
        self.bridge.turn(taken, &self.metadata, copies.chain(job).map(|to| to.text()))
    }

    /// Whatever is stored has taken the turn, or comes too late for it.
    fn give_turn_up(&self) {
        if let Some(turn) = &self.turn {
            *turn.lock() = None;
        }
    }

    /// The turn, for something that is about to be stored.
    pub(super) fn my_turn(&self) -> Option<Arc<Turn>> {
        self.turn.as_ref()?.lock().clone()
    }

    /// What the workers get. Its bytes are held as long as the webhook's, and nothing is built that there is no room for.
    fn payloads(
        &self,
        dialogue: &mut dyn Dialogue,
        reservation: &mut ByteReservation,
    ) -> Vec<Result<Bytes, Failed>> {
        let overloaded = || Err((Outcome::Overloaded, None));
        let names = self.questions.iter().filter_map(|question| question.function.as_ref());
        let names: usize = names.map(|name| name.len()).sum();
        if !self.has_place || reservation.grow(names).is_err() {
            return self.questions.iter().map(|_| overloaded()).collect();
        }
        let mut left = TOGETHER;
        let mut take = |bytes| {
            let is_small = bytes <= left && reservation.grow(bytes).is_ok();
            left -= if is_small { bytes } else { 0 };
            is_small
        };
        let context = |place: usize| -> &Context { &self.rule(place).context };
        let payloads = dialogue.payloads(&context, &mut take).into_iter();
        payloads.map(|payload| payload.map_or_else(overloaded, Ok)).collect()
    }

    /// What the calls get that are too many: a fallback where there is one, as any call that fails.
    fn unasked(&self) -> Unasked {
        let endpoint = self.endpoint.clone();
        Arc::new(move |function, is_async| {
            let fallback = || endpoint.routes.function(function).fallback.clone();
            let fallback = if is_async { None } else { fallback() };
            fall_back((Outcome::Overloaded, None), fallback)
        })
    }

    /// How a question is asked.
    pub(super) fn rule(&self, place: usize) -> &AskRule {
        self.endpoint.routes.rule(self.routes[place])
    }

    /// What is counted of a question.
    pub(super) fn metrics(&self, place: usize) -> Arc<QuestionMetrics> {
        let metrics = &self.endpoint.metrics;
        match &self.questions[place].function {
            Some(name) => metrics.function(self.routes[place].of_rule(), name),
            None => metrics.question(self.metadata.label).clone(),
        }
    }

    /// How each question is asked, in their order.
    pub(super) fn rules(&self) -> impl Iterator<Item = &AskRule> + Clone {
        self.routes.iter().map(|route| self.endpoint.routes.rule(*route))
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
pub(super) fn hold(body: Body, held: impl Send + 'static) -> Body {
    match body {
        Body::Whole(bytes) => Body::Whole(bytes),
        Body::Stream(stream) => Body::Stream(Box::pin(stream.inspect(move |_| {
            let _ = &held;
        }))),
    }
}
