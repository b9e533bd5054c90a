//! What the server doesn't permit on one connection, for `/readyz`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{BROKER, Refusal};
use crate::telemetry::health::Health;

/// Subjects that are named; names that come from outside may be part of them.
const MAX_NAMED: usize = 8;

/// What was refused and has not worked since.
#[derive(Debug)]
pub(super) struct Denied {
    /// The subject in `/readyz`.
    problem: String,
    is_any: AtomicBool,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    named: BTreeSet<String>,
    has_more: bool,
}

impl Denied {
    /// Nothing yet.
    pub(super) fn new(role: &str) -> Self {
        let problem = format!("{BROKER} ({role}), permissions");
        Self { problem, is_any: AtomicBool::new(false), list: Mutex::default() }
    }

    /// Something was refused. Returns whether that is news.
    pub(super) fn add(&self, refusal: &Refusal, health: &Health) -> bool {
        let mut list = self.list.lock();
        let text = refusal.to_string();
        let is_news = match list.named.len() {
            _ if list.named.contains(&text) => false,
            MAX_NAMED.. => !std::mem::replace(&mut list.has_more, true),
            _ => list.named.insert(text),
        };
        if is_news {
            self.is_any.store(true, Ordering::Relaxed);
            list.tell(&self.problem, health);
        }
        is_news
    }

    /// Something worked on this subject.
    pub(super) fn record_success(&self, subject: &str, health: &Health) {
        if !self.is_any.load(Ordering::Relaxed) {
            return;
        }
        let mut list = self.list.lock();
        if list.named.remove(&Refusal::Publish(subject.to_owned()).to_string()) {
            list.tell(&self.problem, health);
            self.is_any.store(!list.named.is_empty(), Ordering::Relaxed);
        }
    }

    /// Nothing is known of a new connection.
    pub(super) fn clear(&self, health: &Health) {
        *self.list.lock() = List::default();
        self.is_any.store(false, Ordering::Relaxed);
        health.clear(&self.problem);
    }
}

impl List {
    fn tell(&mut self, problem: &str, health: &Health) {
        if self.named.is_empty() {
            self.has_more = false;
            return health.clear(problem);
        }
        let named: Vec<&str> = self.named.iter().map(String::as_str).collect();
        let more = if self.has_more { ", and more" } else { "" };
        health.report(
            problem,
            format!(
                "the server doesn't permit this user to {}{more}; add it to the user's permissions",
                named.join(", ")
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(subject: &str) -> Refusal {
        Refusal::Publish(subject.to_owned())
    }

    #[test]
    fn what_is_refused_is_named_until_it_works() {
        let (health, denied) = (Health::default(), Denied::new("questions"));
        let text = || health.readiness().1;
        assert!(denied.add(&publish("a"), &health) && !denied.add(&publish("a"), &health));
        assert!(denied.add(&Refusal::Subscribe("i.*".to_owned()), &health));
        assert!(text().contains(
            "problem: nats (questions), permissions: the server doesn't permit this user to \
             publish to `a`, subscribe to `i.*`; add it"
        ));
        denied.record_success("b", &health);
        denied.record_success("a", &health);
        assert!(!text().contains("`a`") && text().contains("`i.*`"));
        let news = (0..100).filter(|number| denied.add(&publish(&number.to_string()), &health));
        assert_eq!(news.count(), MAX_NAMED);
        assert!(text().contains(", and more;"), "{}", text());
        denied.clear(&health);
        assert!(!text().contains("permissions"));
    }
}
