//! A worker that remembers all that reaches it, and does nothing for what is past its deadline, as every worker should.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, Message};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::history::{Arrival, Clock};
use crate::subscriber;
use crate::webhook;

/// When a late answer is given: after the bridge's limit.
const LATE: Duration = Duration::from_millis(3_300);

pub(crate) struct Worker {
    task: JoinHandle<()>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Worker {
    /// Returns when the server knows of it.
    pub(crate) async fn start(client: Client, subject: &str, clock: Clock) -> Worker {
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let (answering, remembered) = (client.clone(), arrivals.clone());
        let work = move |question: Message| {
            let arrival = arrival(&question, clock);
            let (number, is_acted_on) = (arrival.number, arrival.is_acted_on);
            let answer = webhook::result(&arrival.call).into();
            remembered.lock().unwrap().push(arrival);
            let (true, Some(inbox)) = (is_acted_on && webhook::is_answered(number), question.reply)
            else {
                return;
            };
            let client = answering.clone();
            let pause = if webhook::is_late(number) { LATE } else { Duration::ZERO };
            tokio::spawn(async move {
                sleep(pause).await;
                // The server may be down; then the answer is lost, as in life.
                let _ = timeout(Duration::from_secs(1), client.publish(inbox, answer)).await;
            });
        };
        let task = subscriber::start(&client, subject, Some("q"), work).await;
        Worker { task, arrivals }
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn arrival(question: &Message, clock: Clock) -> Arrival {
    let at = clock.now();
    let header = |name: &str| subscriber::header(question, name).unwrap_or_default();
    let deadline = clock.at(header("Hookbus-Deadline").parse().expect("a deadline"));
    let payload: serde_json::Value =
        serde_json::from_slice(&question.payload).expect("a question of ours");
    Arrival {
        number: webhook::number(&question.payload).expect("a question of ours"),
        call: payload["id"].as_str().unwrap_or_default().to_owned(),
        subject: question.subject.to_string(),
        key: header("Hookbus-Key"),
        at,
        deadline,
        bytes: question.length as u64,
        is_acted_on: at < deadline,
    }
}
