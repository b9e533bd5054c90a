//! How fast it goes: as fast as the broker takes it, and one record at a time while that fails.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};
use tracing::warn;

use super::RECORDS;
use super::job::Job;
use crate::publish::destination::Destination;
use crate::publish::replay::{ATTEMPTS, PATIENCE};
use crate::sink::{self, Class};

/// The pauses between attempts while something fails.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);
pub(super) const LONGEST: Duration = Duration::from_secs(2);
/// How often the log says that it still fails.
pub(super) const SAY: Duration = Duration::from_secs(60);

pub(super) type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Pace {
    /// How many records may be in flight.
    pub(super) most: usize,
    pub(super) pause: Option<Pause>,
    /// The length of the next pause.
    next: Duration,
    /// Since the queue was empty.
    pub(super) has_failed: bool,
    /// How many records were published since then, and when the first of them was.
    run: Option<(u64, Instant)>,
    /// When the log said last that it fails.
    said: Instant,
    /// Attempts in a row that failed.
    failures: u32,
    /// The topic or subject of the last of them.
    pub(super) failing: Option<Arc<str>>,
}

impl Pace {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            most: 1,
            // What was left by an earlier process waits for the first connection.
            pause: Some(Box::pin(recovered(job.destination.clone(), job.ends()))),
            next: SHORTEST,
            has_failed: false,
            run: None,
            said: Instant::now(),
            failures: 0,
            failing: None,
        }
    }

    /// A record was published.
    pub(super) fn published(&mut self) {
        self.go_on();
        self.run.get_or_insert_with(|| (0, Instant::now())).0 += 1;
    }

    /// The queue is empty: how many records were published since it wasn't, and in how many seconds.
    pub(super) fn end_run(&mut self) -> (u64, f64) {
        let run = self.run.take();
        run.map_or((0, 0.0), |(count, began)| (count, began.elapsed().as_secs_f64()))
    }

    /// Something was acknowledged.
    pub(super) fn go_on(&mut self) {
        self.most = RECORDS;
        self.next = SHORTEST;
        self.failures = 0;
        self.failing = None;
    }

    /// Something failed. Whoever waits for the end hears of it when that happens again and again.
    pub(super) fn failed(
        &mut self,
        job: &Job,
        error: sink::Error,
    ) -> Result<sink::Error, sink::Error> {
        self.failures += 1;
        if job.ends() && self.failures >= ATTEMPTS { Err(error) } else { Ok(error) }
    }

    /// The destination failed with this name: try it again after a while.
    pub(super) fn slow_down(
        &mut self,
        job: &Job,
        name: &Arc<str>,
        error: sink::Error,
        (records, oldest): (u64, Option<SystemTime>),
    ) {
        if self.most > 1 {
            self.said = Instant::now();
        } else if self.said.elapsed() >= SAY {
            self.said = Instant::now();
            warn!(destination = %job.destination.text(), %error, records, seconds = age(oldest), "events still queue on disk");
        }
        (self.most, self.has_failed) = (1, true);
        self.failing = Some(name.clone());
        if self.pause.is_some() {
            return;
        }
        let (destination, ends, time) = (job.destination.clone(), job.ends(), self.next);
        self.next = (self.next * 2).min(LONGEST);
        self.pause = Some(Box::pin(async move {
            tokio::time::sleep(time).await;
            if error.class == Class::Blip {
                recovered(destination, ends).await;
            }
        }));
    }
}

/// How many seconds ago that was.
pub(super) fn age(oldest: Option<SystemTime>) -> u64 {
    let age = oldest.and_then(|time| SystemTime::now().duration_since(time).ok());
    age.unwrap_or_default().as_secs()
}

/// Wait until it is worth trying again; for long only if nobody waits for the end.
async fn recovered(destination: Arc<Destination>, ends: bool) {
    // Where nobody waits, so long that the log says it again from time to time; else the next attempt says what is wrong.
    let limit = if ends { PATIENCE } else { SAY };
    drop(timeout(limit, destination.sink.recovered()).await);
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_published_until_the_queue_is_empty_is_counted() {
        let mut pace = Pace {
            most: 1,
            pause: None,
            next: LONGEST,
            has_failed: false,
            run: None,
            said: Instant::now(),
            failures: 3,
            failing: Some("a".into()),
        };
        assert_eq!(pace.end_run(), (0, 0.0));
        for _ in 0..3 {
            pace.published();
            advance(Duration::from_secs(2)).await;
        }
        assert_eq!(pace.end_run(), (3, 6.0));
        assert_eq!(pace.end_run(), (0, 0.0));
        assert_eq!((pace.most, pace.next, pace.failures), (RECORDS, SHORTEST, 0));
        assert!(pace.failing.is_none());
    }

    #[test]
    fn an_age_is_that_of_the_oldest() {
        assert_eq!(age(None), 0);
        assert_eq!(age(Some(SystemTime::now() + Duration::from_secs(60))), 0);
        let age = age(Some(SystemTime::now() - Duration::from_secs(60)));
        assert!((60..70).contains(&age), "{age}");
    }
}
