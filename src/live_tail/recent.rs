//! Recent questions, so that the workers for them can be shown.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Names that are kept: those asked last.
const MAX_NAMES: usize = 256;

/// Longest name that is kept; longer ones are made up.
const MAX_NAME_BYTES: usize = 256;

/// A function, or a type of question, of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecentQuestion {
    /// Name of the endpoint.
    pub endpoint: Arc<str>,
    /// Whether it is a function, and not a type.
    pub is_function: bool,
    /// The name as received.
    pub name: Arc<str>,
}

/// The last of what was asked, in bounded memory.
#[derive(Default)]
pub struct RecentQuestions(Mutex<Names>);

#[derive(Default)]
struct Names {
    /// When each was asked last, in questions.
    last: HashMap<RecentQuestion, u64>,
    count: u64,
}

impl RecentQuestions {
    /// It is being asked.
    pub fn add(&self, asked: RecentQuestion) {
        if asked.name.is_empty() || asked.name.len() > MAX_NAME_BYTES {
            return;
        }
        let mut names = self.0.lock();
        names.count += 1;
        let now = names.count;
        if names.last.len() >= MAX_NAMES && !names.last.contains_key(&asked) {
            let oldest = names.last.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(asked, _)| asked.clone()) {
                names.last.remove(&oldest);
            }
        }
        names.last.insert(asked, now);
    }

    /// All of them, sorted.
    pub fn all(&self) -> Vec<RecentQuestion> {
        let mut all: Vec<_> = self.0.lock().last.keys().cloned().collect();
        all.sort();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> RecentQuestion {
        RecentQuestion { endpoint: "vapi".into(), is_function: true, name: name.into() }
    }

    #[test]
    fn the_names_asked_last_are_kept() {
        let recent = RecentQuestions::default();
        recent.add(asked("often"));
        for number in 0..2 * MAX_NAMES {
            recent.add(asked(&number.to_string()));
            recent.add(asked("often"));
        }
        recent.add(asked(&"x".repeat(MAX_NAME_BYTES + 1)));
        let all = recent.all();
        assert_eq!(all.len(), MAX_NAMES);
        assert!(all.contains(&asked("often")) && all.contains(&asked("511")));
        assert!(!all.contains(&asked("0")));
    }
}
