//! An event is posted until it is done with: taken by the server, given up, or left for another time at the end.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::about::About;
use super::http::{Answered, Failed, Server};
use super::report::{Report, Reporter};
use super::request::Request;
use super::stop::Stop;

/// The pause after the first failure, which doubles each time, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The longest time that a server may ask to be left alone for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Which attempt it is, from 1 on.
const ATTEMPT: &str = "hookbus-attempt";

/// How an event is posted.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events that are posted at a time.
    pub concurrency: usize,
    /// How long the server may take.
    pub timeout: Duration,
    /// After how many answers that aren't a 2xx an event is given up.
    pub max_deliver: u64,
}

/// Posts events.
pub struct Delivery {
    server: Arc<Server>,
    limits: Limits,
    turns: Semaphore,
    is_dry: bool,
    pub(super) stop: Stop,
    pub(super) reporter: Arc<dyn Reporter>,
}

/// How it ended with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeliveryResult {
    /// The server took it.
    Taken,
    /// It will not be posted again.
    GivenUp {
        /// The status of the last answer, if there was one.
        status: Option<u16>,
        /// Why.
        reason: String,
    },
    /// The end came first.
    Stopped,
}

/// What is to be done after an attempt.
enum Next {
    Done,
    GiveUp,
    Wait(Duration),
}

impl Delivery {
    /// To this server; with `is_dry` nothing is posted.
    pub fn new(
        server: Arc<Server>,
        limits: Limits,
        is_dry: bool,
        stop: Stop,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        let turns = Semaphore::new(limits.concurrency);
        Self { server, limits, turns, is_dry, stop, reporter }
    }

    /// Post an event that was handed out so many times before, unless `stop` begins.
    pub(super) async fn deliver(
        &self,
        about: &About,
        mut request: Request,
        before: u64,
        stop: &Stop,
    ) -> DeliveryResult {
        let mut attempts = before;
        let mut failures = 0;
        loop {
            let turn = tokio::select! {
                turn = self.turns.acquire() => turn,
                () = stop.begun() => return DeliveryResult::Stopped,
            };
            // The semaphore is never closed.
            if turn.is_err() || stop.has_begun() {
                return DeliveryResult::Stopped;
            }
            request.set(ATTEMPT, &(attempts + 1).to_string());
            let began = Instant::now();
            if self.is_dry {
                self.reporter.dry(about, &request);
                return DeliveryResult::Taken;
            }
            let posted = self.server.tell(&request, began + self.limits.timeout).await;
            drop(turn);
            // What isn't there says nothing about this event.
            if !matches!(posted, Err(Failed::Unreachable(_))) {
                attempts += 1;
            }
            failures += 1;
            let next = self.next(&posted, attempts, failures);
            let note = match (&next, &posted) {
                (Next::Done, _) => None,
                (Next::GiveUp, _) => Some("given up".to_owned()),
                (Next::Wait(pause), _) => {
                    Some(format!("again in {}", humantime::format_duration(rounded(*pause))))
                }
            };
            self.report(about, &request, &posted, note, began);
            match next {
                Next::Done => return DeliveryResult::Taken,
                Next::GiveUp => return given_up(&posted),
                Next::Wait(pause) => tokio::select! {
                    () = sleep(pause) => {}
                    () = stop.begun() => return DeliveryResult::Stopped,
                },
            }
        }
    }

    fn next(&self, posted: &Result<Answered, Failed>, attempts: u64, failures: u32) -> Next {
        let (asked, is_gone) = match posted {
            Ok(answered) if answered.status.is_success() => return Next::Done,
            Ok(answered) => (answered.retry_after, answered.status == StatusCode::GONE),
            Err(_) => (None, false),
        };
        let is_counted = !matches!(posted, Err(Failed::Unreachable(_)));
        if is_gone || is_counted && attempts >= self.limits.max_deliver {
            return Next::GiveUp;
        }
        Next::Wait(pause(failures).max(asked.unwrap_or_default().min(MAX_RETRY_AFTER)))
    }

    fn report(
        &self,
        about: &About,
        request: &Request,
        posted: &Result<Answered, Failed>,
        next: Option<String>,
        began: Instant,
    ) {
        let took = began.elapsed();
        let (status, answer, reason) = match posted {
            Ok(answered) => (Some(answered.status.as_u16()), &*answered.body, None),
            Err(failed) => (None, &[][..], Some(failed.to_string())),
        };
        let note = match (reason, next) {
            (Some(reason), Some(next)) => Some(format!("{reason}; {next}")),
            (reason, next) => reason.or(next),
        };
        let outcome = posted.as_ref().err().map(Failed::as_str).unwrap_or_default();
        self.reporter.request(&Report { about, request, status, outcome, answer, note, took });
    }
}

fn given_up(posted: &Result<Answered, Failed>) -> DeliveryResult {
    match posted {
        Ok(answered) => DeliveryResult::GivenUp {
            status: Some(answered.status.as_u16()),
            reason: format!("the server answered {}", answered.status),
        },
        Err(failed) => DeliveryResult::GivenUp { status: None, reason: failed.to_string() },
    }
}

/// The pause after so many failures in a row: between half of it and all of it, so that lanes don't come back together.
fn pause(failures: u32) -> Duration {
    let whole = PAUSES.0.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSES.1);
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    whole.mul_f64(0.5 + (random >> 32) as f64 / f64::from(u32::MAX) / 2.0)
}

/// As it may stand in a line.
fn rounded(pause: Duration) -> Duration {
    Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) / 100 * 100)
}
