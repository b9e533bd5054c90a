//! A worker that remembers what it executed, and drops what is past its deadline, as every worker should.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::history::{Clock, Execution};
use crate::support::Nats;
use crate::webhook;

/// One question in so many is never answered.
const SILENT: u64 = 199;

pub(crate) struct Worker {
    task: JoinHandle<()>,
    executed: Arc<Mutex<Vec<Execution>>>,
}

impl Worker {
    /// Returns when the server knows of it.
    pub(crate) async fn start(nats: &Nats, subject: &str, clock: Clock) -> Worker {
        let client = nats.client().await;
        let mut questions =
            client.queue_subscribe(subject.to_owned(), "q".to_owned()).await.unwrap();
        client.flush().await.unwrap();
        let executed = Arc::new(Mutex::new(Vec::new()));
        let remembered = executed.clone();
        let task = tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                let header = |name: &str| {
                    let text = question.headers.as_ref()?.get(name)?.as_str();
                    text.parse::<u64>().ok()
                };
                let deadline = clock.at(header("Hookbus-Deadline").expect("a deadline"));
                let number = webhook::number(&question.payload).expect("a question of ours");
                let at = clock.now();
                if at >= deadline {
                    continue;
                }
                remembered.lock().unwrap().push(Execution { number, at, deadline });
                if let Some(inbox) = question.reply.filter(|_| !number.is_multiple_of(SILENT)) {
                    let answer = Bytes::from(format!(r#"{{"number":{number}}}"#));
                    // The server may be down; then the answer is lost, as in life.
                    let publish = client.publish(inbox, answer);
                    let _ = tokio::time::timeout(Duration::from_secs(1), publish).await;
                }
            }
        });
        Worker { task, executed }
    }

    pub(crate) fn executed(&self) -> Vec<Execution> {
        self.executed.lock().unwrap().clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
