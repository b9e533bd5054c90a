//! What happened, as those outside of the bridge saw it. All times count from the start of the fault's run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::reloads::Done;
use super::stalls::Stalls;
use super::webhook::{Broker, Destination, Webhook};

/// What a checker needs to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// The name of the endpoint, of which subjects are made.
    pub(crate) endpoint: String,
    /// With more than one, senders post to a proxy in front of them.
    pub(crate) bridges: usize,
    pub(crate) sent: Vec<Sent>,
    /// When a connection to the bridge was refused.
    pub(crate) refused: Vec<Duration>,
    /// The messages of the stream.
    pub(crate) nats: Vec<Stored>,
    /// The records of the topic.
    pub(crate) kafka: Vec<Stored>,
    /// What a subscriber of the live view got.
    pub(crate) live: Vec<Stored>,
    /// What reached the worker.
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) excused: Excused,
    /// When this machine was too busy.
    pub(crate) stalls: Stalls,
    /// So many bytes of questions may be late for one trouble.
    pub(crate) late_bytes: u64,
    /// What `hookbus forward` did with the stream, where it was there.
    pub(crate) forwarded: Option<Forwarded>,
    /// The most memory that a bridge ever had.
    pub(crate) peak_bytes: u64,
    pub(crate) reloads: Done,
    /// So many webhooks must have been sent for this to say anything.
    pub(crate) least: usize,
}

/// A webhook, and each time that it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) webhook: Webhook,
    pub(crate) attempts: Vec<Attempt>,
}

#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// When its connection was made, or later where its end would have been noticed.
    pub(crate) opened: Duration,
    /// Before its first byte was written; behind others on its connection, when those were answered.
    pub(crate) sent: Duration,
    /// After its last byte was written.
    pub(crate) written: Duration,
    pub(crate) ended: Duration,
    /// Which connection it was, and which request of it, where several were pipelined.
    pub(crate) line: Option<(u64, u64)>,
    /// Nothing, when the connection ended before the answer.
    pub(crate) answer: Option<Answer>,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `hookbus-id`
    pub(crate) id: Option<String>,
    /// The entries of `results`.
    pub(crate) results: Vec<CallResult>,
}

/// What the sender of tool calls is told of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallResult {
    /// `toolCallId`
    pub(crate) call: String,
    /// Nothing, when there is an error in its place.
    pub(crate) result: Option<String>,
}

impl Attempt {
    pub(crate) fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status)
    }

    pub(crate) fn is_success(&self) -> bool {
        self.status().is_some_and(|status| status / 100 == 2)
    }
}

/// Something that a broker holds, or that it handed to a subscriber.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Only positions of the same partition can be compared; a stream is one.
    pub(crate) partition: i32,
    pub(crate) position: u64,
    /// The subject or topic.
    pub(crate) name: String,
    /// The key of the record; CloudEvents `subject` in NATS.
    pub(crate) key: String,
    /// CloudEvents `id`.
    pub(crate) id: String,
    /// When it was handed to the broker's client (Kafka), or arrived.
    pub(crate) time: Duration,
    pub(crate) payload: Vec<u8>,
}

/// What the server took that `hookbus forward` posts to.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    /// In the order in which it came.
    pub(crate) posted: Vec<Stored>,
    /// When the server was killed: from the signal until it was gone.
    pub(crate) kills: Vec<(Duration, Duration)>,
}

impl Forwarded {
    /// Whether it was killed between these times.
    pub(crate) fn is_killed(&self, from: Duration, to: Duration) -> bool {
        self.kills.iter().any(|(begun, gone)| *gone >= from && *begun <= to)
    }
}

/// A tool call that reached the worker, in time or not.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Of the webhook.
    pub(crate) number: u64,
    /// The call's id.
    pub(crate) call: String,
    pub(crate) subject: String,
    /// `Hookbus-Key`
    pub(crate) key: String,
    pub(crate) at: Duration,
    /// What the question said.
    pub(crate) deadline: Duration,
    /// On the wire.
    pub(crate) bytes: u64,
    /// Whether the worker did anything for it.
    pub(crate) is_acted_on: bool,
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
    /// It is gone, or refuses: nothing that was sent to it arrives later.
    Broker(Broker),
    /// Its connections stay open and nothing, or little, passes: what was sent may arrive when the sender has given up.
    Stalled(Broker),
    /// The disk below the spool.
    Disk,
    /// Killed: what it was doing is cut.
    Bridge,
    /// Asked to stop: what it had begun is finished.
    BridgeGently,
}

impl Part {
    pub(crate) fn broker(self) -> Option<Broker> {
        match self {
            Part::Broker(broker) | Part::Stalled(broker) => Some(broker),
            Part::Disk | Part::Bridge | Part::BridgeGently => None,
        }
    }

    /// Whether it is the bridge's own end, in either way.
    pub(crate) fn is_bridge(self) -> bool {
        matches!(self, Part::Bridge | Part::BridgeGently)
    }
}

impl Trouble {
    pub(crate) fn touches(&self, from: Duration, to: Duration) -> bool {
        from <= self.to && to >= self.from
    }

    /// How long after its end things may go on as if it lasted: connections are made again, and what queued on disk is
    /// published, which takes the longer the more there is.
    pub(crate) fn mend(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(15);
        let base = match self.part.broker() {
            Some(Broker::Kafka) => Duration::from_secs(4),
            _ => Duration::from_secs(3),
        };
        base + (self.to.saturating_sub(self.from) / 4).min(LONGEST)
    }
}

/// What was taken away by the faults themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excused {
    /// What was sent before this may have gone with a deleted topic.
    pub(crate) deleted: Option<Duration>,
    /// Records that were destroyed in the spool.
    pub(crate) destroyed: BTreeSet<(Destination, u64)>,
}

impl History {
    /// For how long the bridge, or those who measure it, waited for a processor in this time.
    pub(crate) fn stall(&self, from: Duration, to: Duration) -> Duration {
        self.stalls.within(from, to, false)
    }

    /// When so much time has passed since then, not counting what the bridge waited for a processor.
    pub(crate) fn later(&self, from: Duration, time: Duration) -> Duration {
        let mut end = from + time;
        loop {
            let next = from + time + self.stall(from, end);
            if next <= end {
                return end;
            }
            end = next;
        }
    }

    /// The same, with the brokers.
    pub(crate) fn starved(&self, from: Duration, to: Duration) -> Duration {
        self.stalls.within(from, to, true)
    }

    /// Whether one of these parts wasn't well in this time, or not for long enough since.
    pub(crate) fn is_troubled(
        &self,
        is_meant: impl Fn(Part) -> bool,
        from: Duration,
        to: Duration,
    ) -> bool {
        let touches = |trouble: &Trouble| {
            to >= trouble.from && from <= trouble.to.saturating_add(trouble.mend())
        };
        self.troubles.iter().any(|trouble| is_meant(trouble.part) && touches(trouble))
    }

    /// When the bridge can read what was sent then: a system takes connections before a program that starts does.
    pub(crate) fn readable(&self, sent: Duration) -> Duration {
        let starts = self.troubles.iter().filter(|trouble| {
            trouble.part.is_bridge() && trouble.from <= sent && sent <= trouble.to
        });
        starts.map(|trouble| trouble.to).max().unwrap_or(sent)
    }

    /// When everything has to be well again for good.
    pub(crate) fn mended(&self) -> Duration {
        let ends = self.troubles.iter().map(|trouble| trouble.to.saturating_add(trouble.mend()));
        ends.max().unwrap_or_default()
    }
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

    /// Nothing for one before the start.
    pub(crate) fn of(&self, instant: Instant) -> Option<Duration> {
        instant.checked_duration_since(self.start)
    }

    /// A time as headers say it, in Unix milliseconds.
    pub(crate) fn at(&self, unix: u64) -> Duration {
        let time = UNIX_EPOCH + Duration::from_millis(unix);
        time.duration_since(self.wall).unwrap_or_default()
    }
}
