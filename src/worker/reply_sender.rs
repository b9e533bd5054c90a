//! Sends replies through the current connection, which need not be the one that the question came through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::time::{Instant, timeout, timeout_at};

use super::question::{Answer, AnswerError, Question};
use crate::ask::WORKER;
use crate::nats::header::insert;

/// Time for the last replies to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a header takes in a message, beside its value and with some room to spare, in bytes.
const MAX_HEADER_BYTES: usize = 64;

/// Where replies go. While there is no connection it is locked, so that they wait for the next one.
#[derive(Debug, Default)]
pub(super) struct ReplySender {
    current: Arc<RwLock<Option<Current>>>,
    max_payload: AtomicUsize,
}

#[derive(Debug)]
struct Current {
    number: u64,
    client: Client,
    /// What says who replies.
    worker: String,
}

impl Current {
    /// The headers of a reply: its own, and the name where there is room for it.
    fn headers(&self, answer: &Result<Answer, AnswerError>) -> HeaderMap {
        let Answer { body, mut headers } = answer.clone().unwrap_or_default();
        let values = headers.iter().flat_map(|(_, values)| values);
        let own: usize = values.map(|value| value.as_str().len() + MAX_HEADER_BYTES).sum();
        let bytes = body.len() + own;
        if bytes + self.worker.len() + MAX_HEADER_BYTES <= self.client.max_payload() {
            insert(&mut headers, WORKER, self.worker.parse().unwrap_or_default());
        }
        headers
    }
}

/// Replies wait until this goes back to [`ReplySender::resume`].
#[derive(Debug)]
pub(super) struct Paused(OwnedRwLockWriteGuard<Option<Current>>);

impl ReplySender {
    /// From here on replies wait; those that are being sent are sent first.
    pub(super) async fn pause(&self) -> Paused {
        Paused(self.current.clone().write_owned().await)
    }

    /// Replies go through this client, and say that `worker` gave them.
    pub(super) fn resume(&self, mut paused: Paused, number: u64, client: Client, worker: &str) {
        self.max_payload.store(client.max_payload(), Ordering::Relaxed);
        *paused.0 = Some(Current { number, client, worker: worker.to_owned() });
    }

    /// The largest answer that the server takes.
    pub(super) fn limit(&self) -> usize {
        self.max_payload.load(Ordering::Relaxed)
    }

    /// Reply, if that is possible before the deadline; returns why not.
    pub(super) async fn reply(
        &self,
        question: &Question,
        answer: Result<Answer, AnswerError>,
        deadline: Instant,
    ) -> Result<(), String> {
        let sending = async {
            let current = self.current.read().await;
            match &*current {
                None => Err("not connected to NATS".to_owned()),
                // The service counts what goes through it.
                Some(current) if current.number == question.connection => {
                    let headers = current.headers(&answer);
                    let answer = answer.map(|answer| answer.body);
                    let answer = answer.map_err(AnswerError::into_service_error);
                    let sent = question.request.respond_with_headers(answer, headers).await;
                    sent.map_err(|error| error.to_string())
                }
                Some(current) => send(current, question, answer).await,
            }
        };
        timeout_at(deadline, sending).await.unwrap_or_else(|_| Err("not in time".to_owned()))
    }

    /// Send what is still in memory.
    pub(super) async fn flush(&self) {
        let flushing = async {
            if let Some(current) = &*self.current.read().await {
                // Without a connection there is nothing that could be done.
                let _ = current.client.flush().await;
            }
        };
        let _ = timeout(FLUSH_TIMEOUT, flushing).await;
    }
}

/// Reply through another client than the one that the question came through.
async fn send(
    current: &Current,
    question: &Question,
    answer: Result<Answer, AnswerError>,
) -> Result<(), String> {
    let Some(to) = question.request.message.reply.clone() else {
        return Err("no reply is expected".to_owned());
    };
    let Current { client, .. } = current;
    let mut headers = current.headers(&answer);
    let sent = match answer {
        Ok(answer) => client.publish_with_headers(to, headers, answer.body).await,
        Err(failed) => {
            // Neither holds a line break.
            let code = failed.code.to_string().parse().unwrap_or_default();
            insert(&mut headers, NATS_SERVICE_ERROR, failed.text.parse().unwrap_or_default());
            insert(&mut headers, NATS_SERVICE_ERROR_CODE, code);
            client.publish_with_headers(to, headers, Bytes::new()).await
        }
    };
    sent.map_err(|error| error.to_string())
}
