//! One long-running program that is spoken to in lines of JSON.
//!
//! Each question is a line on its standard input, `{"id":…,"name":…,"arguments":…}`; each
//! answer a line from its standard output, `{"id":…,"result":…}` or `{"id":…,"error":…}`, in
//! any order. When it ends, what it was asked gets an error, and it is started again.

mod keeper;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use self::keeper::Keeper;
use super::super::Failure;
use super::outlet::Outlet;
use super::program::Program;
use super::question::{Failed, Question};
use crate::json;

/// The running program.
#[derive(Debug)]
pub(super) struct Lines {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

type Told = Result<Bytes, Failed>;

/// What the program and those who wait for it have in common.
#[derive(Debug, Default)]
struct Shared {
    next: AtomicU64,
    /// Who waits for which answer.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Told>>>,
    /// The way to the program; none while it isn't running.
    feed: Mutex<Option<mpsc::Sender<Line>>>,
}

/// A question on its way to the program.
#[derive(Debug)]
struct Line {
    number: u64,
    text: String,
}

impl Lines {
    /// Start the program. The outlet knows how large an answer may be.
    pub(super) fn start(program: Program, outlet: Arc<Outlet>) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper { program, shared: shared.clone(), stopped, outlet };
        let first = keeper.begin()?;
        let keeper = Mutex::new(Some(tokio::spawn(keeper.keep(first))));
        Ok(Self { shared, stop, keeper })
    }

    /// Ask the program one thing, and wait for its answer until the deadline.
    pub(super) async fn answer(&self, question: &Question, input: &[u8], limit: usize) -> Told {
        let (sender, receiver) = oneshot::channel();
        let waiter = self.shared.wait(sender);
        let line = Line { number: waiter.number, text: line(waiter.number, question, input)? };
        let feed = self.shared.feed.lock().clone();
        let feed = feed.ok_or_else(|| Failed::new(503, "the program is being restarted"))?;
        let asking = async {
            feed.send(line).await.map_err(|_| ended())?;
            receiver.await.unwrap_or_else(|_| Err(ended()))
        };
        let answer =
            timeout_at(question.deadline, asking).await.unwrap_or_else(|_| Err(Failed::late()))?;
        if answer.len() > limit { Err(Failed::too_large(limit)) } else { Ok(answer) }
    }

    /// Close the program's standard input, and wait for its end; it is ended if it doesn't.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper {
            // It bounds its own time.
            let _ = keeper.await;
        }
    }
}

impl Shared {
    fn wait(self: &Arc<Self>, sender: oneshot::Sender<Told>) -> Waiter {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting.lock().insert(number, sender);
        Waiter { shared: self.clone(), number }
    }

    /// Hand an answer to whoever waits for it; nobody does when it comes too late.
    fn tell(&self, number: u64, told: Told) {
        let waiter = self.waiting.lock().remove(&number);
        if let Some(waiter) = waiter {
            // It may have stopped waiting just now.
            let _ = waiter.send(told);
        }
    }

    /// Everybody who waits gets an error.
    fn give_up(&self) {
        *self.feed.lock() = None;
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for waiter in waiting.into_values() {
            let _ = waiter.send(Err(ended()));
        }
    }
}

/// A place among those who wait, freed when it is dropped.
struct Waiter {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.waiting.lock().remove(&self.number);
    }
}

fn ended() -> Failed {
    Failed::new(500, "the program ended before it answered")
}

/// The question as one line of JSON.
fn line(number: u64, question: &Question, input: &[u8]) -> Result<String, Failed> {
    let key = if question.is_whole() { "payload" } else { "arguments" };
    let not_json = || Failed::new(400, "the question is not JSON");
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
