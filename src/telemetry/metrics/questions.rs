//! What is counted of the questions of one function, or of one type that is asked as a whole; and whether anybody answers
//! them.
//!
//! Names come from outside, so that only so many are known for each endpoint; whatever comes then shares one counter.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use super::{AskLabels, Latencies, Latency, Metrics, OTHER, QuestionLabels, Shared};
use crate::message::{Outcome, attribute};
use crate::trace::Ids;

/// Functions that are known by name although no rule names them, for each endpoint.
const MAX_UNRULED: usize = 100;

/// Longest name that is a label; longer ones are made up.
const MAX_NAME_BYTES: usize = 128;

/// Least time between two warnings about one function.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Without a question for so long it isn't known any more whether a function is answered.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What is counted of one function or type.
pub struct QuestionMetrics {
    number: u32,
    labels: QuestionLabels,
    outcomes: [Counter; Outcome::ALL.len()],
    seconds: [OnceLock<Latency>; Outcome::ALL.len()],
    all_seconds: Latencies<AskLabels>,
    late: Counter,
    reused: Counter,
    silence: Silence,
}

/// All that was asked, by its number and by its labels.
#[derive(Default)]
pub(super) struct Questions {
    pub(super) all: Vec<Arc<QuestionMetrics>>,
    by_labels: HashMap<QuestionLabels, Arc<QuestionMetrics>>,
    /// How many there are without a rule, by endpoint.
    unruled: HashMap<Arc<str>, usize>,
}

/// Whether a function or type is answered at the moment.
struct Silence {
    is_open: AtomicBool,
    was_logged: AtomicBool,
    /// From when on it may be logged again, and when it failed last, in milliseconds since the start.
    next_log: AtomicU64,
    failed: AtomicU64,
    /// How it failed last.
    last: Mutex<Option<(Outcome, String)>>,
}

/// Something that isn't answered at the moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Endpoint, and function or type.
    pub name: String,
    /// The subject that was asked last.
    pub subject: String,
    /// How that ended.
    pub outcome: Outcome,
    /// When.
    pub ago: Duration,
}

impl Questions {
    fn get(&mut self, metrics: &Metrics, labels: QuestionLabels) -> Arc<QuestionMetrics> {
        if let Some(known) = self.by_labels.get(&labels) {
            return known.clone();
        }
        // No configuration has so many.
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let question = Arc::new(QuestionMetrics::new(metrics, number, labels.clone()));
        self.all.push(question.clone());
        self.by_labels.insert(labels, question.clone());
        question
    }
}

impl Metrics {
    /// What is counted of questions of this type.
    pub(super) fn question_of_type(
        &self,
        endpoint: &Arc<str>,
        name: &Arc<str>,
    ) -> Arc<QuestionMetrics> {
        let (endpoint, r#type) = (Shared(endpoint.clone()), Shared(name.clone()));
        let labels = QuestionLabels { endpoint, r#type, function: Shared(NONE.clone()) };
        self.questions.lock().get(self, labels)
    }

    /// What is counted of a function, by the name or pattern of its rule.
    pub(super) fn function(&self, endpoint: &Arc<str>, name: &str) -> Arc<QuestionMetrics> {
        self.questions.lock().get(self, function(endpoint, name.into()))
    }

    /// The same without a rule: by its name, as long as there are few.
    pub(super) fn unruled_function(
        &self,
        endpoint: &Arc<str>,
        name: &Arc<str>,
    ) -> Arc<QuestionMetrics> {
        let is_name = !name.is_empty() && name.len() <= MAX_NAME_BYTES;
        let mut questions = self.questions.lock();
        if is_name {
            let labels = function(endpoint, attribute(name));
            if let Some(known) = questions.by_labels.get(&labels) {
                return known.clone();
            }
            let count = questions.unruled.entry(endpoint.clone()).or_default();
            if *count < MAX_UNRULED {
                *count += 1;
                return questions.get(self, labels);
            }
        }
        questions.get(self, function(endpoint, OTHER.clone()))
    }

    /// A reply came after its question, which has this number, had ended without one.
    pub fn late_reply(&self, number: u32) {
        let question = self.questions.lock().all.get(number as usize).cloned();
        if let Some(question) = question {
            question.late.inc();
        }
    }

    /// What isn't answered at the moment, in the order in which it was first known: what is configured comes first.
    pub fn unanswered(&self) -> Vec<Unanswered> {
        let all = self.questions.lock().all.clone();
        all.iter().filter_map(|question| question.unanswered()).collect()
    }
}

fn function(endpoint: &Arc<str>, name: Arc<str>) -> QuestionLabels {
    let (endpoint, r#type) = (Shared(endpoint.clone()), Shared(NONE.clone()));
    QuestionLabels { endpoint, r#type, function: Shared(name) }
}

/// The label of a type where a function is asked, and the other way round.
static NONE: LazyLock<Arc<str>> = LazyLock::new(|| "".into());

impl QuestionMetrics {
    fn new(metrics: &Metrics, number: u32, labels: QuestionLabels) -> Self {
        let QuestionLabels { endpoint, r#type, function } = labels.clone();
        let of = |outcome: Outcome| AskLabels {
            endpoint: endpoint.clone(),
            r#type: r#type.clone(),
            function: function.clone(),
            outcome: outcome.as_str(),
        };
        Self {
            number,
            outcomes: Outcome::ALL
                .map(|outcome| metrics.questions_total.get_or_create_owned(&of(outcome))),
            seconds: [const { OnceLock::new() }; Outcome::ALL.len()],
            all_seconds: metrics.ask_seconds.clone(),
            late: metrics.late_replies.get_or_create_owned(&labels),
            reused: metrics.answers_reused.get_or_create_owned(&labels),
            silence: Silence::default(),
            labels,
        }
    }

    /// What tells it from all others, in the subject that a reply goes to.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The function or the type, as in the labels.
    pub fn name(&self) -> &str {
        let QuestionLabels { r#type, function, .. } = &self.labels;
        if function.0.is_empty() { &r#type.0 } else { &function.0 }
    }

    /// Endpoint, type and function.
    pub(super) fn labels(&self) -> [&Arc<str>; 3] {
        let QuestionLabels { endpoint, r#type, function } = &self.labels;
        [&endpoint.0, &r#type.0, &function.0]
    }

    /// How many ended how.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let counts = self.outcomes.iter().map(|counter| counter.get() as f64);
        Outcome::ALL.into_iter().map(Outcome::as_str).zip(counts)
    }

    /// A question ended.
    pub fn ended(&self, outcome: Outcome, took: Duration, span: Option<Ids>) {
        self.outcomes[outcome as usize].inc();
        let seconds = self.seconds[outcome as usize].get_or_init(|| {
            let QuestionLabels { endpoint, r#type, function } = self.labels.clone();
            let labels = AskLabels { endpoint, r#type, function, outcome: outcome.as_str() };
            self.all_seconds.get_or_create_owned(&labels)
        });
        seconds.observe(took, span);
    }

    /// A repeated tool call got the answer of an earlier or a running one.
    pub fn reused(&self) {
        self.reused.inc();
    }

    /// A worker answered. Returns whether to log that it does again.
    pub fn record_answer(&self) -> bool {
        let silence = &self.silence;
        silence.is_open.load(Ordering::Relaxed)
            && silence.is_open.swap(false, Ordering::Relaxed)
            && silence.was_logged.swap(false, Ordering::Relaxed)
    }

    /// No worker answered what was asked on this subject. Returns whether to log it.
    pub fn record_silence(&self, outcome: Outcome, subject: impl FnOnce() -> String) -> bool {
        let (silence, now) = (&self.silence, now());
        silence.failed.store(now, Ordering::Relaxed);
        if silence.is_open.swap(true, Ordering::Relaxed) {
            return false;
        }
        *silence.last.lock() = Some((outcome, subject()));
        let should_log = now >= silence.next_log.load(Ordering::Relaxed);
        if should_log {
            let next = now + LOG_INTERVAL.as_millis() as u64;
            silence.next_log.store(next, Ordering::Relaxed);
            silence.was_logged.store(true, Ordering::Relaxed);
        }
        should_log
    }

    fn unanswered(&self) -> Option<Unanswered> {
        let silence = &self.silence;
        if !silence.is_open.load(Ordering::Relaxed) {
            return None;
        }
        let failed = silence.failed.load(Ordering::Relaxed);
        let ago = Duration::from_millis(now().saturating_sub(failed));
        let (outcome, subject) = silence.last.lock().clone().filter(|_| ago < STALE_AFTER)?;
        let name = format!("{} `{}`", self.labels.endpoint.0, self.name());
        Some(Unanswered { name, subject, outcome, ago })
    }
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            is_open: AtomicBool::new(false),
            was_logged: AtomicBool::new(false),
            next_log: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }
}

/// Milliseconds since the first call.
fn now() -> u64 {
    static BORN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BORN.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests;
