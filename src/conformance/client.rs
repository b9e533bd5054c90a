//! Asking a worker as the bridge would: the same subject, the same headers, the same payload, by the bridge's own code.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use crate::ask::{self, Ask, fall_back};
use crate::config::Context;
use crate::message::{Answer, Body, Content, Outcome, Webhook};
use crate::nats::header::insert;
use crate::source::{self, Classified, Dialogue, Meaning, Request, Source};
use crate::trace::Trace;

/// The worker under test.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The endpoint whose questions it answers.
    pub endpoint: String,
    /// The function that it answers.
    pub function: String,
    /// The subject that the function is asked on.
    pub subject: String,
    /// Members of the webhook's message that it gets beside the arguments.
    pub context: Context,
    /// First part of the subjects that it replies to.
    pub inbox_prefix: String,
    /// Time for an answer.
    pub timeout: Duration,
}

/// Asks one worker.
pub struct Client {
    nats: async_nats::Client,
    source: Box<dyn Source>,
    pub(super) worker: Worker,
}

/// What is asked, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    /// The arguments.
    pub(super) arguments: Value,
    /// Bytes of context beside them.
    pub(super) context: usize,
    /// Whether its deadline has passed.
    pub(super) is_expired: bool,
    /// Whether it belongs to a trace.
    pub(super) is_traced: bool,
    /// How long to listen for further replies after the first.
    pub(super) listen: Duration,
}

/// What came back.
pub(super) enum Heard {
    /// The subject has no subscriber.
    NoResponders,
    /// Nothing in time.
    Silence,
    Reply(Box<Reply>),
}

/// The first reply to a call.
pub(super) struct Reply {
    /// It, as it came.
    pub(super) message: Message,
    /// How long it took.
    pub(super) took: Duration,
    /// How many came.
    pub(super) count: usize,
    /// How the bridge would count it.
    pub(super) outcome: Outcome,
    /// The entry that the sender would read.
    pub(super) entry: Value,
}

impl Client {
    /// Ask this worker over this connection.
    pub fn new(nats: async_nats::Client, worker: Worker) -> Self {
        let source = source::of_functions();
        Self { nats, source, worker }
    }

    /// The largest message that the server takes.
    pub(super) fn max_payload(&self) -> usize {
        self.nats.max_payload()
    }

    /// A reply subject of our own.
    pub(super) fn inbox(&self) -> String {
        format!("{}.{}", self.worker.inbox_prefix, Uuid::new_v4().simple())
    }

    /// Ask once. An error is one of ours: the question could not be sent.
    pub(super) async fn ask(&self, call: &Call) -> Result<Heard, String> {
        let webhook = self.webhook(call);
        let (dialogue, payload) = self.question(&webhook, call)?;
        let began = Instant::now();
        let headers = self.headers(&webhook, call, began + self.worker.timeout);
        let inbox = self.inbox();
        let mut replies =
            self.nats.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        let sent = self.nats.publish_with_reply_and_headers(
            self.worker.subject.clone(),
            inbox,
            headers,
            payload,
        );
        sent.await.map_err(|error| error.to_string())?;
        let Ok(Some(message)) = timeout_at(began + self.worker.timeout, replies.next()).await
        else {
            return Ok(Heard::Silence);
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Ok(Heard::NoResponders);
        }
        let took = began.elapsed();
        let mut count = 1;
        let end = Instant::now() + call.listen;
        while let Ok(Some(_)) = timeout_at(end, replies.next()).await {
            count += 1;
        }
        let (outcome, entry) = read(dialogue, message.clone());
        Ok(Heard::Reply(Box::new(Reply { message, took, count, outcome, entry })))
    }

    /// Ask something whose deadline has passed, and say whether a reply came within the time.
    pub(super) async fn ask_late(&self, call: &Call, patience: Duration) -> Result<bool, String> {
        let worker = Worker { timeout: patience, ..self.worker.clone() };
        let late = Self::new(self.nats.clone(), worker);
        match late.ask(call).await? {
            Heard::Reply(_) => Ok(true),
            Heard::Silence | Heard::NoResponders => Ok(false),
        }
    }

    /// Everybody's reply to one request, within the time.
    pub(super) async fn collect(
        &self,
        subject: &str,
        patience: Duration,
    ) -> Result<Vec<Message>, String> {
        let inbox = self.inbox();
        let mut replies =
            self.nats.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        let sent = self.nats.publish_with_reply(subject.to_owned(), inbox, Bytes::new());
        sent.await.map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        let mut end = std::pin::pin!(sleep_until(Instant::now() + patience));
        loop {
            tokio::select! {
                () = &mut end => return Ok(found),
                message = replies.next() => match message {
                    Some(message) if message.status.is_none() => found.push(message),
                    _ => return Ok(found),
                }
            }
        }
    }

    /// The webhook that would ask this.
    fn webhook(&self, call: &Call) -> Webhook {
        let id = Uuid::now_v7().to_string();
        let Worker { function, .. } = &self.worker;
        let body = source::function_call(&id, function, &call.arguments, call.context);
        let trace = if call.is_traced { trace() } else { Trace::default() };
        Webhook {
            id: id.into(),
            endpoint: self.worker.endpoint.as_str().into(),
            body,
            content_type: "application/json".into(),
            started: std::time::Instant::now(),
            received: SystemTime::now(),
            trace,
        }
    }

    /// The one question of the webhook, as the bridge reads it, and its payload.
    fn question(
        &self,
        webhook: &Webhook,
        call: &Call,
    ) -> Result<(Box<dyn Dialogue>, Bytes), String> {
        let error = || "the call can't be put as a question".to_owned();
        let (head, ()) = http::Request::new(()).into_parts();
        let classified = self.source.classify(Request::new(&head, &webhook.body));
        let Ok(Classified { meaning: Meaning::Questions(mut questions), .. }) = classified else {
            return Err(error());
        };
        // The filling has to arrive, whatever the rule of this function hands on.
        let context = match call.context {
            0 => self.worker.context.clone(),
            _ => Context::default(),
        };
        let payloads = questions.dialogue.payloads(&|_| &context, &mut |_| true);
        let payload = payloads.into_iter().next().flatten().ok_or_else(error)?;
        Ok((questions.dialogue, payload))
    }

    fn headers(&self, webhook: &Webhook, call: &Call, deadline: Instant) -> HeaderMap {
        let ask = Ask {
            webhook,
            trace: &webhook.trace,
            kind: &Arc::from(source::FUNCTION_CALLS),
            key: None,
            subject: self.worker.subject.clone(),
            payload: Bytes::new(),
            deadline,
            may_be_empty: false,
            worker: &OnceLock::new(),
            number: None,
            grace: Duration::ZERO,
        };
        let mut headers = ask.headers(deadline.saturating_duration_since(Instant::now()));
        if call.is_expired {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let past = now.saturating_sub(Duration::from_secs(60)).as_millis();
            insert(&mut headers, "Hookbus-Deadline", past.to_string().parse().unwrap_or_default());
            insert(&mut headers, "Hookbus-Timeout-Ms", "0".parse().unwrap_or_default());
        }
        headers
    }
}

/// What the bridge makes of a reply, and the entry that the sender gets.
fn read(dialogue: Box<dyn Dialogue>, message: Message) -> (Outcome, Value) {
    let answer = match ask::reply(message, false) {
        Ok(reply) if dialogue.check(&reply).is_ok() => {
            Answer { outcome: Outcome::Answered, content: Content::Reply(reply) }
        }
        Ok(_) => fall_back((Outcome::BadReply, None), None),
        Err(failed) => fall_back(failed, None),
    };
    let outcome = answer.outcome;
    // There is one call, and it was asked.
    let unasked = Arc::new(|_: &str, _| fall_back((Outcome::Overloaded, None), None));
    let entry = match dialogue.reply(vec![answer], unasked) {
        Ok(reply) => match reply.body {
            Body::Whole(body) => serde_json::from_slice(&body).unwrap_or(Value::Null),
            Body::Stream(_) => Value::Null,
        },
        Err(_) => Value::Null,
    };
    (outcome, entry["results"][0].clone())
}

/// A trace as a sender would begin it.
fn trace() -> Trace {
    let id = Uuid::new_v4().simple().to_string();
    let span = &Uuid::new_v4().simple().to_string()[..16];
    Trace::new(Some(format!("00-{id}-{span}-01").into()), Some("hookbus=conform".into()))
}
