//! Asking all services at once, and collecting what they say.

use std::time::Duration;

use async_nats::{Client, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::service::{Answer, Service, Services};

/// How long to wait for answers, whose number is unknown.
pub const REPLY_TIMEOUT: Duration = Duration::from_millis(500);

/// Answers to one question that are read, and their bytes; the rest is left.
const MAX_ANSWERS: usize = 2_048;
const MAX_BYTES: usize = 4 << 20;

/// What NATS micro shows.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Every instance that answered, by name and id.
    pub services: Vec<Service>,
    /// What may be missing, and why.
    pub problems: Vec<String>,
    /// Nothing came back at all, so that nothing is known.
    pub is_silent: bool,
}

/// Ask all services what they answer, and what they have done.
pub async fn discover(client: &Client, inbox_prefix: &str) -> Discovered {
    let (information, statistics) = tokio::join!(
        collect(client, "$SRV.INFO", inbox_prefix),
        collect(client, "$SRV.STATS", inbox_prefix)
    );
    Discovered::new(information, statistics, inbox_prefix)
}

impl Discovered {
    /// What both questions brought, to an inbox of this prefix.
    pub fn new(information: Collected, statistics: Collected, inbox_prefix: &str) -> Self {
        let mut problems = Vec::new();
        let is_silent = information.is_silent();
        if is_silent {
            problems.push(format!(
                "nothing came back from `$SRV.INFO` within {}, not even that no service is there: \
                 it takes the permissions to publish to `$SRV.>` and to subscribe to `{inbox_prefix}.>`",
                humantime::format_duration(REPLY_TIMEOUT)
            ));
        } else if statistics.is_silent() {
            problems.push(
                "nothing came back from `$SRV.STATS`, so that nothing is known of requests and errors"
                    .to_owned(),
            );
        }
        if information.is_cut || statistics.is_cut {
            problems.push(format!(
                "there were more answers than {MAX_ANSWERS}, or more than {} MiB: the rest was left",
                MAX_BYTES >> 20
            ));
        }
        let unreadable = information.unreadable.max(statistics.unreadable);
        if unreadable > 0 {
            problems.push(format!("{unreadable} answers could not be read"));
        }
        let mut services = Services::new();
        information.answers.into_iter().for_each(|answer| answer.describe(&mut services));
        statistics.answers.into_iter().for_each(|answer| answer.count(&mut services));
        Self { services: services.into_values().collect(), problems, is_silent }
    }
}

/// What came back from one question.
#[derive(Debug, Default)]
pub struct Collected {
    answers: Vec<Answer>,
    /// How many bytes the answers had.
    bytes: usize,
    unreadable: usize,
    /// The server said that no service is there.
    is_nobody: bool,
    /// There was more.
    is_cut: bool,
}

impl Collected {
    /// Take an answer. Returns whether there is room for another.
    pub fn add(&mut self, answer: &[u8]) -> bool {
        self.bytes += answer.len();
        if self.bytes > MAX_BYTES || self.answers.len() + self.unreadable >= MAX_ANSWERS {
            self.is_cut = true;
            return false;
        }
        match serde_json::from_slice(answer) {
            Ok(answer) => self.answers.push(answer),
            Err(_) => self.unreadable += 1,
        }
        true
    }

    fn is_silent(&self) -> bool {
        self.answers.is_empty() && self.unreadable == 0 && !self.is_nobody
    }
}

async fn collect(client: &Client, subject: &'static str, inbox_prefix: &str) -> Collected {
    let mut collected = Collected::default();
    let deadline = Instant::now() + REPLY_TIMEOUT;
    let inbox = format!("{inbox_prefix}.{}", uuid::Uuid::new_v4().simple());
    let ask = async {
        let answers = client.subscribe(inbox.clone()).await.ok()?;
        client.publish_with_reply(subject, inbox, Bytes::new()).await.ok()?;
        Some(answers)
    };
    let Ok(Some(mut answers)) = timeout_at(deadline, ask).await else {
        return collected;
    };
    while let Ok(Some(answer)) = timeout_at(deadline, answers.next()).await {
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            collected.is_nobody = true;
            break;
        }
        if !collected.add(&answer.payload) {
            break;
        }
    }
    collected
}
