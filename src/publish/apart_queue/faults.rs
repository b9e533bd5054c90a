//! The names of a destination that fail, as `/readyz` shows them: some of them, however many there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::telemetry::health::Health;

/// How many names are shown for each reason.
const MAX_SHOWN: usize = 3;

/// By reason.
#[derive(Default)]
pub(super) struct Faults(BTreeMap<&'static str, Group>);

#[derive(Default)]
struct Group {
    names: usize,
    shown: Vec<Arc<str>>,
}

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many names fail.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|group| group.names).sum()
    }

    /// One more fails.
    pub(super) fn add(&mut self, reason: &'static str, name: Arc<str>) {
        let group = self.0.entry(reason).or_default();
        group.names += 1;
        if group.shown.len() < MAX_SHOWN {
            group.shown.push(name);
        }
    }

    /// One doesn't fail any more; `others` are those that do so for the same reason.
    pub(super) fn remove<'a>(
        &mut self,
        reason: &'static str,
        name: &str,
        others: impl Iterator<Item = &'a Arc<str>>,
    ) {
        let Some(group) = self.0.get_mut(reason) else { return };
        group.names -= 1;
        if group.names == 0 {
            self.0.remove(reason);
            return;
        }
        if let Some(at) = group.shown.iter().position(|shown| **shown == *name) {
            group.shown.remove(at);
            let is_new = |other: &&Arc<str>| !group.shown.contains(other) && ***other != *name;
            let next = others.into_iter().find(is_new).cloned();
            group.shown.extend(next);
        }
    }

    /// Say it, or that it is over.
    pub(super) fn tell(&self, reason: &'static str, destination: &str, health: &Health) {
        let subject = subject(destination, reason);
        match self.0.get(reason) {
            Some(group) => health.report(subject, group.to_string()),
            None => health.clear(&subject),
        }
    }

    /// Take all of them back from `/readyz`.
    pub(super) fn clear(&mut self, destination: &str, health: &Health) {
        for (reason, _) in std::mem::take(&mut self.0) {
            health.clear(&subject(destination, reason));
        }
    }
}

/// Their subject in `/readyz`: behind the destination, so that a search for the destination finds them.
fn subject(destination: &str, reason: &str) -> String {
    format!("{destination}: {reason}")
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, name) in self.shown.iter().enumerate() {
            write!(f, "{}`{name}`", if number > 0 { ", " } else { "" })?;
        }
        match self.names - self.shown.len() {
            0 if self.names == 1 => {
                f.write_str(" takes nothing; its events wait on disk, apart from the others")
            }
            0 => f.write_str(" take nothing; their events wait on disk, apart from the others"),
            more => {
                write!(
                    f,
                    " and {more} more take nothing; their events wait on disk, apart from the others"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
