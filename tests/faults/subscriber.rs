//! Subscribers of NATS core: the worker's, and one that follows the live view.

use std::sync::{Arc, Mutex};

use async_nats::{Client, HeaderValue, Message};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::history::{Clock, Stored};

/// Hands every message of a subject on, until it is aborted. Returns when the server knows of it.
pub(crate) async fn start(
    client: &Client,
    subject: &str,
    group: Option<&str>,
    mut work: impl FnMut(Message) + Send + 'static,
) -> JoinHandle<()> {
    let subject = subject.to_owned();
    let mut messages = match group {
        Some(group) => client.queue_subscribe(subject, group.to_owned()).await.unwrap(),
        None => client.subscribe(subject).await.unwrap(),
    };
    client.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            work(message);
        }
    })
}

pub(crate) fn header(message: &Message, name: &str) -> Option<String> {
    let header = message.headers.as_ref()?.get(name);
    header.map(HeaderValue::as_str).map(str::to_owned)
}

/// Remembers what it gets.
pub(crate) struct Live {
    task: JoinHandle<()>,
    got: Arc<Mutex<Vec<Stored>>>,
}

impl Live {
    pub(crate) async fn start(client: Client, subject: &str, clock: Clock) -> Live {
        let got = Arc::new(Mutex::new(Vec::new()));
        let remembered = got.clone();
        let work = move |message: Message| {
            let mut got = remembered.lock().unwrap();
            let position = got.len() as u64;
            got.push(stored(&message, position, clock.now()));
        };
        let task = start(&client, subject, None, work).await;
        Live { task, got }
    }

    pub(crate) fn got(&self) -> Vec<Stored> {
        self.got.lock().unwrap().clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A message that holds an event.
pub(crate) fn stored(message: &Message, position: u64, time: std::time::Duration) -> Stored {
    let header = |name: &str| header(message, name).unwrap_or_default();
    Stored {
        partition: 0,
        position,
        name: message.subject.to_string(),
        key: header("ce-subject"),
        id: header("ce-id"),
        time,
        payload: message.payload.to_vec(),
    }
}
