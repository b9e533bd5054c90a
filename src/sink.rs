//! Where events are stored: one trait, one module for each kind of queue.
//!
//! A sink knows no provider and no HTTP. It says whether an event is stored, and if not,
//! whether the fault is the destination's ([`Class::Transient`], [`Class::Unavailable`]) or the
//! event's own ([`Class::Permanent`]); and if it is the destination's, whether all of it fails or
//! one subject or topic alone ([`Scope`]).

mod cloudevents;
pub mod jetstream;
pub mod kafka;
pub mod nats_core;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use crate::message::Event;

/// What a sink is doing.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// What a sink finds out about a fault.
pub type Examining<'a> = Pin<Box<dyn Future<Output = Error> + Send + 'a>>;

/// A queue that stores events.
pub trait Sink: Send + Sync {
    /// Store `event` under `name` (a subject or a topic) before `deadline`. Ok means acknowledged.
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a>;

    /// Wait until it is worth trying again, after a [`Class::Transient`].
    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Look closer, before `deadline`, at a fault of `name` that may be over in a moment ([`Scope::Name`] and
    /// [`Class::Transient`]): it becomes a [`Class::Unavailable`] where the broker says that nothing of this name exists, and one
    /// of the whole destination where it says that nothing does.
    fn examine<'a>(&'a self, name: &'a str, error: Error, deadline: Instant) -> Examining<'a> {
        let _ = (name, deadline);
        Box::pin(std::future::ready(error))
    }

    /// Why it may fail, beside what may happen to any: each is a label of a metric.
    fn reasons(&self) -> &'static [&'static str] {
        &[]
    }

    /// Let everything that waits for an acknowledgement fail now, as far as that is possible.
    fn give_up(&self) {}

    /// What sends several events of one key without waiting for each, where this queue has a way to keep their order.
    fn pipeline(&self) -> Option<&dyn Pipeline> {
        None
    }
}

/// Sends events of one key one behind the other, each before the one in front of it is acknowledged, and keeps their order
/// whatever fails.
pub trait Pipeline: Send + Sync {
    /// How many may be sent at once under this name; where it is 1 they have to be sent one by one for now.
    fn max(&self, name: &str) -> usize;

    /// Store `events` under `name` before `deadline`, in their order. Returns how many were acknowledged: the first ones,
    /// without a gap; `acknowledged` is called for each of them, in their order. Of those behind them the first few may be
    /// stored all the same, also without a gap; the others aren't, and won't be. Why the next one isn't stored is for
    /// [`Sink::send`] to find out.
    fn send<'a>(
        &'a self,
        name: &'a str,
        events: &'a [&'a Event],
        deadline: Instant,
        acknowledged: Acknowledged<'a>,
    ) -> Pipelining<'a>;
}

/// Called when the next event of a run is acknowledged.
pub type Acknowledged<'a> = &'a mut (dyn FnMut() + Send);

/// A run of events on its way: how many of them are acknowledged in the end.
pub type Pipelining<'a> = Pin<Box<dyn Future<Output = usize> + Send + 'a>>;

/// The most events, and bytes of payloads, that are worth sending in one run.
pub const MAX_RUN: (usize, usize) = (128, 1 << 20);

/// Whose fault it is that an event isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The destination's, and it may be over in a moment: an election, a reconnect.
    Transient,
    /// The destination's.
    Unavailable,
    /// The event's: this destination will never take it.
    Permanent,
}

/// How much of a destination a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it: what its broker does with one event it does with the others.
    Destination,
    /// One subject or topic: it takes nothing, while others of the same destination may take everything.
    Name,
}

/// The reason while there is no connection.
pub const DISCONNECTED: &str = "disconnected";

/// Why an event isn't stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Whose fault it is.
    pub class: Class,
    /// How much else fails with it.
    pub scope: Scope,
    /// The metric label.
    pub reason: &'static str,
    /// What the broker said, for the log.
    pub detail: Cow<'static, str>,
}

impl Error {
    fn new(class: Class, reason: &'static str, detail: Cow<'static, str>) -> Self {
        Self { class, scope: Scope::Destination, reason, detail }
    }

    /// The same fault, of this subject or topic alone.
    pub fn of_name(self) -> Self {
        Self { scope: Scope::Name, ..self }
    }

    /// A fault of the destination that may be over in a moment.
    pub fn transient(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Transient, reason, detail.into())
    }

    /// A fault of the destination.
    pub fn unavailable(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Unavailable, reason, detail.into())
    }

    /// A fault of the event.
    pub fn permanent(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Permanent, reason, detail.into())
    }

    /// No acknowledgement came in time.
    pub fn timeout() -> Self {
        Self::unavailable("timeout", "no acknowledgement in time")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}
