//! One long-running program that exchanges lines of JSON with us.
//!
//! Each question is a line on its standard input, `{"id":…,"name":…,"arguments":…}`; each
//! answer a line from its standard output, `{"id":…,"result":…}` or `{"id":…,"error":…}`, in
//! any order. When it ends, what it was asked gets an error, and it is started again.

mod supervisor;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use self::supervisor::Supervisor;
use super::Error;
use super::process::Process;
use super::question::{AnswerError, Question};
use super::reply_sender::ReplySender;
use crate::json;

/// The running program.
#[derive(Debug)]
pub(super) struct JsonLines {
    pending: Arc<PendingAnswers>,
    stop: watch::Sender<bool>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

type Answer = Result<Bytes, AnswerError>;

/// The answers that are waited for, and the way to the program.
#[derive(Debug, Default)]
struct PendingAnswers {
    next: AtomicU64,
    /// By the number of the question.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    /// Leads to the program's standard input; none while it isn't running.
    feed: Mutex<Option<mpsc::Sender<QuestionLine>>>,
}

/// A question on its way to the program.
#[derive(Debug)]
struct QuestionLine {
    number: u64,
    text: String,
}

impl JsonLines {
    /// Start the program. `replies` knows how large an answer may be.
    pub(super) fn start(program: Process, replies: Arc<ReplySender>) -> Result<Self, Error> {
        let pending = Arc::new(PendingAnswers::default());
        let (stop, stopped) = watch::channel(false);
        let supervisor = Supervisor { program, pending: pending.clone(), stopped, replies };
        let first = supervisor.start()?;
        let supervisor = Mutex::new(Some(tokio::spawn(supervisor.run(first))));
        Ok(Self { pending, stop, supervisor })
    }

    /// Ask the program one thing, and wait for its answer until the deadline.
    pub(super) async fn answer(&self, question: &Question, input: &[u8], limit: usize) -> Answer {
        let (sender, receiver) = oneshot::channel();
        let waiter = self.pending.wait(sender);
        let line =
            QuestionLine { number: waiter.number, text: line(waiter.number, question, input)? };
        let feed = self.pending.feed.lock().clone();
        let feed = feed.ok_or_else(|| AnswerError::new(503, "the program is being restarted"))?;
        let asking = async {
            feed.send(line).await.map_err(|_| ended())?;
            receiver.await.unwrap_or_else(|_| Err(ended()))
        };
        let answer = timeout_at(question.deadline, asking)
            .await
            .unwrap_or_else(|_| Err(AnswerError::late()))?;
        if answer.len() > limit { Err(AnswerError::too_large(limit)) } else { Ok(answer) }
    }

    /// Close the program's standard input, and wait for its end; it is ended if it doesn't.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        let supervisor = self.supervisor.lock().take();
        if let Some(supervisor) = supervisor {
            // It bounds its own time.
            let _ = supervisor.await;
        }
    }
}

impl PendingAnswers {
    fn wait(self: &Arc<Self>, sender: oneshot::Sender<Answer>) -> Waiter {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting.lock().insert(number, sender);
        Waiter { pending: self.clone(), number }
    }

    /// Hand over an answer, unless its question was given up.
    fn resolve(&self, number: u64, answer: Answer) {
        let waiter = self.waiting.lock().remove(&number);
        if let Some(waiter) = waiter {
            // It may have stopped waiting just now.
            let _ = waiter.send(answer);
        }
    }

    /// Every waiting question gets an error.
    fn fail_all(&self) {
        *self.feed.lock() = None;
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for waiter in waiting.into_values() {
            let _ = waiter.send(Err(ended()));
        }
    }
}

/// A question that waits for its answer; no longer once this is dropped.
struct Waiter {
    pending: Arc<PendingAnswers>,
    number: u64,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.pending.waiting.lock().remove(&self.number);
    }
}

fn ended() -> AnswerError {
    AnswerError::new(500, "the program ended before it answered")
}

/// The question as one line of JSON.
fn line(number: u64, question: &Question, input: &[u8]) -> Result<String, AnswerError> {
    let key = if question.is_whole() { "payload" } else { "arguments" };
    let not_json = || AnswerError::new(400, "the question is not JSON");
    // Read to its end before it is written anew: what is no JSON could pretend to be a further question.
    let mut reader = json::Reader::new(input).map_err(|_| not_json())?;
    let value = reader.skip().map_err(|_| not_json())?;
    reader.end().map_err(|_| not_json())?;
    let mut text = format!(
        r#"{{"id":"{number}","name":{},"{key}":{},"deadline":{},"timeout_ms":{}"#,
        json::quote(&question.name),
        json::compact(value),
        question.deadline_ms(),
        question.left_ms(),
    );
    let headers = [
        ("hookbus_id", "Hookbus-Id"),
        ("type", "Hookbus-Type"),
        ("traceparent", "traceparent"),
        ("tracestate", "tracestate"),
    ];
    for (name, header) in headers {
        if let Some(value) = question.header(header) {
            text.push_str(&format!(r#","{name}":{}"#, json::quote(value)));
        }
    }
    text.push_str("}\n");
    Ok(text)
}
