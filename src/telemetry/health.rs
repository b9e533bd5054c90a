//! Whether this instance should get traffic, and what is wrong with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// The health of one process, written by its parts and read by the admin listener.
#[derive(Debug, Default)]
pub struct Health {
    started: AtomicBool,
    draining: AtomicBool,
    /// There are answers that need no broker.
    can_fall_back: AtomicBool,
    /// Events can be kept on disk.
    can_keep: AtomicBool,
    /// By broker and by the connection to it.
    brokers: Mutex<BTreeMap<&'static str, BTreeMap<&'static str, bool>>>,
    problems: Mutex<BTreeMap<String, String>>,
}

/// Whether all connections to a broker are up, before and after one of them came or went.
#[derive(Debug, Clone, Copy)]
pub struct Connected {
    before: bool,
    now: bool,
}

impl Connected {
    /// All were up.
    pub fn was_all(self) -> bool {
        self.before
    }

    /// All are up.
    pub fn is_all(self) -> bool {
        self.now
    }
}

impl Health {
    /// A connection that this process wants, down until it is up.
    pub fn expect(&self, broker: &'static str, connection: &'static str) {
        self.brokers.lock().entry(broker).or_default().entry(connection).or_insert(false);
    }

    /// A connection came or went. Returns whether all connections to this broker are up.
    pub fn set_connected(&self, broker: &'static str, connection: &'static str, up: bool) -> bool {
        self.connected(broker, connection, up).is_all()
    }

    /// A connection came or went. Returns what that means for its broker.
    pub fn connected(&self, broker: &'static str, connection: &'static str, up: bool) -> Connected {
        let mut brokers = self.brokers.lock();
        let connections = brokers.entry(broker).or_default();
        let are_all_up = |connections: &BTreeMap<_, bool>| connections.values().all(|up| *up);
        let before = are_all_up(connections);
        connections.insert(connection, up);
        Connected { before, now: are_all_up(connections) }
    }

    /// Whether every expected broker is connected.
    pub fn all_connected(&self) -> bool {
        self.brokers.lock().values().all(|connections| connections.values().all(|up| *up))
    }

    /// The brokers that lack a connection.
    pub fn down(&self) -> Vec<&'static str> {
        let brokers = self.brokers.lock();
        let is_down = |connections: &BTreeMap<_, bool>| connections.values().any(|up| !*up);
        let down = brokers.iter().filter(|(_, connections)| is_down(connections));
        down.map(|(broker, _)| *broker).collect()
    }

    /// Some answers can be given without any broker.
    pub fn set_can_fall_back(&self, can: bool) {
        self.can_fall_back.store(can, Ordering::Relaxed);
    }

    /// Events can be kept on disk, or not.
    pub fn set_can_keep(&self, can: bool) {
        self.can_keep.store(can, Ordering::Relaxed);
    }

    /// The start is over: all is connected, or was waited for long enough.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// The end has begun.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Something that an operator has to mend; the same subject overwrites.
    pub fn report(&self, subject: impl Into<String>, problem: impl Into<String>) {
        self.report_news(subject, problem);
    }

    /// The same. Returns whether no other subject has this very problem.
    pub fn report_news(&self, subject: impl Into<String>, problem: impl Into<String>) -> bool {
        let (subject, problem) = (subject.into(), problem.into());
        let mut problems = self.problems.lock();
        let is_only = problems.iter().all(|(other, known)| *other == subject || *known != problem);
        problems.insert(subject, problem);
        is_only
    }

    /// Problems of a subject are over.
    pub fn clear(&self, subject: &str) {
        self.problems.lock().remove(subject);
    }

    /// Whether something can be served while no broker is there.
    fn can_do_without(&self) -> bool {
        self.can_fall_back.load(Ordering::Relaxed) || self.can_keep.load(Ordering::Relaxed)
    }

    /// Whether to send traffic here, and the text that says why.
    pub fn readiness(&self) -> (bool, String) {
        let brokers = self.brokers.lock();
        let any_up = brokers.values().any(|connections| connections.values().any(|up| *up));
        let refused = if self.draining.load(Ordering::Relaxed) {
            Some("stopping")
        } else if !self.started.load(Ordering::Relaxed) {
            Some("starting")
        } else if !any_up && !brokers.is_empty() && !self.can_do_without() {
            Some("nothing can be served: no broker is connected")
        } else {
            None
        };
        let mut text = String::new();
        let _ = match refused {
            None => writeln!(text, "ready"),
            Some(why) => writeln!(text, "not ready: {why}"),
        };
        for (broker, connections) in brokers.iter() {
            let down: Vec<_> =
                connections.iter().filter(|(_, up)| !**up).map(|(name, _)| *name).collect();
            let _ = if down.is_empty() {
                writeln!(text, "{broker}: connected")
            } else {
                writeln!(text, "{broker}: down ({})", down.join(", "))
            };
        }
        for (subject, problem) in self.problems.lock().iter() {
            // Brokers and servers said some of it, and it is read on terminals.
            let problem = problem.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
            let _ = writeln!(text, "problem: {subject}: {problem}");
        }
        (refused.is_none(), text)
    }
}
