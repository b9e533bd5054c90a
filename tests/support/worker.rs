//! Workers that answer as a test says, and remember what they were asked.

use super::nats::Nats;
use async_nats::service::{Service, ServiceExt as _};
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;

/// Answers on one subject in the queue group `q` until it is dropped.
pub(crate) struct Worker {
    task: JoinHandle<()>,
    questions: Arc<Mutex<Vec<Question>>>,
}

/// What a worker was asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    pub(crate) arrived: SystemTime,
}

impl Question {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(HeaderValue::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// The messages that a worker sends back, each after a pause.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply(Vec<Part>);

#[derive(Debug, Clone)]
struct Part {
    payload: Bytes,
    headers: HeaderMap,
    pause: Duration,
}

impl Reply {
    /// Says nothing, as a worker that hangs.
    pub(crate) fn none() -> Reply {
        Reply::default()
    }

    pub(crate) fn text(payload: impl Into<Bytes>) -> Reply {
        Reply(vec![Part {
            payload: payload.into(),
            headers: HeaderMap::new(),
            pause: Duration::ZERO,
        }])
    }

    pub(crate) fn json(value: &serde_json::Value) -> Reply {
        Reply::text(value.to_string())
    }

    /// An error as NATS micro services send it.
    pub(crate) fn error(code: &str, text: &str) -> Reply {
        Reply::text("").header("Nats-Service-Error-Code", code).header("Nats-Service-Error", text)
    }

    /// Adds a header to the last message.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Reply {
        let part = self.0.last_mut().expect("a message before its header");
        #[expect(clippy::disallowed_methods, reason = "a name and a value that were checked")]
        part.headers
            .insert(HeaderName::from_str(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    /// Waits before the last message.
    pub(crate) fn after(mut self, pause: Duration) -> Reply {
        self.0.last_mut().expect("a message before its pause").pause = pause;
        self
    }

    /// Then sends these messages too.
    pub(crate) fn then(mut self, next: Reply) -> Reply {
        self.0.extend(next.0);
        self
    }
}

impl Worker {
    /// Returns when the server knows of it: a question asked from now on reaches it.
    pub(crate) async fn start(
        nats: &Nats,
        subject: &str,
        answer: impl Fn(&Question) -> Reply + Send + Sync + 'static,
    ) -> Worker {
        Worker::start_on(&nats.client().await, subject, answer).await
    }

    /// The same over a connection that there is.
    pub(crate) async fn start_on(
        client: &async_nats::Client,
        subject: &str,
        answer: impl Fn(&Question) -> Reply + Send + Sync + 'static,
    ) -> Worker {
        let client = client.clone();
        let mut subscription =
            client.queue_subscribe(subject.to_owned(), "q".to_owned()).await.unwrap();
        round_trip(&client).await;
        let questions = Arc::new(Mutex::new(Vec::new()));
        let seen = questions.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = subscription.next().await {
                let question = Question {
                    subject: message.subject.to_string(),
                    headers: message.headers.unwrap_or_default(),
                    payload: message.payload,
                    arrived: SystemTime::now(),
                };
                let reply = answer(&question);
                seen.lock().unwrap().push(question);
                if let Some(inbox) = message.reply {
                    tokio::spawn(send(client.clone(), inbox, reply));
                }
            }
        });
        Worker { task, questions }
    }

    /// Everything it was asked so far.
    pub(crate) fn questions(&self) -> Vec<Question> {
        self.questions.lock().unwrap().clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A service of NATS micro on one subject. It answers `ok`, and fails where the subject ends with `broken`.
pub(crate) async fn serve(nats: &Nats, name: &str, group: &str, subject: &str) -> Service {
    let client = nats.client().await;
    let builder = client.service_builder().queue_group(group);
    let service = builder.start(name, "1.2.3").await.unwrap();
    let mut endpoint = service.endpoint(subject).await.unwrap();
    round_trip(&client).await;
    tokio::spawn(async move {
        while let Some(request) = endpoint.next().await {
            let is_broken = request.message.subject.ends_with("broken");
            let error = || async_nats::service::error::Error { status: "no".to_owned(), code: 500 };
            let answer = if is_broken { Err(error()) } else { Ok(Bytes::from("ok")) };
            request.respond(answer).await.unwrap();
        }
    });
    service
}

async fn send(client: async_nats::Client, inbox: async_nats::Subject, reply: Reply) {
    for part in reply.0 {
        tokio::time::sleep(part.pause).await;
        client.publish_with_headers(inbox.clone(), part.headers, part.payload).await.unwrap();
    }
}

/// The server reads a connection's commands in order: when this message is back, it has read what was sent before.
pub(crate) async fn round_trip(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut subscription = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, Bytes::new()).await.unwrap();
    let message = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await;
    assert!(matches!(message, Ok(Some(_))), "the server doesn't answer");
}
