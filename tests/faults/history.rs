//! What happened, as those outside of the bridge saw it. All times count from the start of the fault's run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::webhook::{Broker, Webhook};

/// What a checker needs to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) sent: Vec<Sent>,
    /// The messages of the stream.
    pub(crate) nats: Vec<Stored>,
    /// The records of the topic.
    pub(crate) kafka: Vec<Stored>,
    pub(crate) executed: Vec<Execution>,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) excused: Excused,
    /// The most memory that a bridge ever had.
    pub(crate) peak_bytes: u64,
}

/// A webhook, and each time that it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) webhook: Webhook,
    pub(crate) attempts: Vec<Attempt>,
}

#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) sent: Duration,
    pub(crate) ended: Duration,
    /// Nothing, when the connection ended before the answer.
    pub(crate) answer: Option<Answer>,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `hookbus-id`
    pub(crate) id: Option<String>,
    /// The number in the body, if it has one.
    pub(crate) number: Option<u64>,
}

impl Attempt {
    pub(crate) fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status)
    }

    pub(crate) fn is_success(&self) -> bool {
        self.status().is_some_and(|status| status / 100 == 2)
    }
}

/// Something that a broker holds.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Only positions of the same partition can be compared; a stream is one.
    pub(crate) partition: i32,
    pub(crate) position: u64,
    /// CloudEvents `id`.
    pub(crate) id: String,
    pub(crate) payload: Vec<u8>,
}

/// A question that a worker did something for.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub(crate) number: u64,
    pub(crate) at: Duration,
    /// What the question said.
    pub(crate) deadline: Duration,
}

/// A time in which a part was not well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) part: Part,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Broker(Broker),
    /// Killed: what it was doing is cut.
    Bridge,
    /// Asked to stop: what it had begun is finished.
    BridgeGently,
}

/// What was taken away by the faults themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excused {
    /// What was sent before this may have gone with a deleted topic.
    pub(crate) deleted: Option<Duration>,
    /// Records that were destroyed in the spool.
    pub(crate) destroyed: BTreeSet<(Broker, u64)>,
}

/// The time of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { start: Instant::now(), wall: SystemTime::now() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A time as headers say it, in Unix milliseconds.
    pub(crate) fn at(&self, unix: u64) -> Duration {
        let time = UNIX_EPOCH + Duration::from_millis(unix);
        time.duration_since(self.wall).unwrap_or_default()
    }
}
