//! Every metric: its name, labels, unit and help text, once.
//!
//! Label values from outside are bounded before they come here: types by the source's
//! list of known names, functions and destinations as configured.

mod counters;
mod destination;
mod endpoint;
mod latency;
mod overview;
mod process;
mod questions;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::counters::Counters;
pub use self::destination::{DestinationCounts, DestinationMetrics};
pub use self::endpoint::{DeferredMetrics, EndpointMetrics};
pub use self::latency::Latency;
use self::latency::{Latencies, latencies};
pub use self::overview::{Asked, Overview};
use self::questions::Questions;
pub use self::questions::{QuestionMetrics, Unanswered};
use super::stderr;
use crate::trace::Ids;

/// Upper bounds of the histogram buckets, in seconds: from a broker on the same host to a tool's longest answer. Where
/// people wait they are close together, since a quantile is anywhere between two of them.
const BUCKETS: [f64; 32] = [
    0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15,
    0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0,
];

/// What becomes of dead letters in the end.
const REPLAYED: &str = "replayed";
const DROPPED: &str = "dropped";

/// The label of whatever isn't known by name.
static OTHER: LazyLock<Arc<str>> = LazyLock::new(|| "other".into());

/// A label value that is shared rather than copied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shared(Arc<str>);

impl EncodeLabelValue for Shared {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(&self.0)
    }
}

macro_rules! labels {
    ($($name:ident { $($label:ident: $type:ty),+ })+) => {
        $(#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($label: $type),+ })+
    };
}

labels! {
    WebhookLabels { endpoint: Shared, r#type: Shared, outcome: &'static str }
    WalkLabels { endpoint: Shared, kind: &'static str }
    DestinationLabels { destination: Shared }
    DestinationOutcomeLabels { destination: Shared, outcome: &'static str }
    PublishErrorLabels { destination: Shared, reason: &'static str }
    QuestionLabels { endpoint: Shared, r#type: Shared, function: Shared }
    AskLabels { endpoint: Shared, r#type: Shared, function: Shared, outcome: &'static str }
    AuthenticationLabels {
        endpoint: Shared,
        auth: usize,
        kind: &'static str,
        secret: Option<usize>
    }
    RefusalLabels { endpoint: Shared, reason: &'static str }
    OutcomeLabels { outcome: &'static str }
    SignalLabels { signal: &'static str }
    KindLabels { kind: &'static str }
    BrokerLabels { broker: &'static str }
}

/// The metrics of one process.
pub struct Metrics {
    registry: Registry,
    process: Registry,
    questions: Mutex<Questions>,
    webhooks: Counters<WebhookLabels>,
    refusals: Family<RefusalLabels, Counter>,
    refusal_seconds: Latencies<RefusalLabels>,
    unauthorized: Counters<RefusalLabels>,
    webhook_seconds: Latencies<WalkLabels>,
    publish_seconds: Latencies<DestinationLabels>,
    publish_errors: Family<PublishErrorLabels, Counter>,
    events: Family<DestinationOutcomeLabels, Counter>,
    drained: Family<DestinationOutcomeLabels, Counter>,
    questions_total: Family<AskLabels, Counter>,
    ask_seconds: Latencies<AskLabels>,
    late_replies: Family<QuestionLabels, Counter>,
    authentications: Family<AuthenticationLabels, Counter>,
    ignored_replies: Family<KindLabels, Counter>,
    answers_reused: Family<QuestionLabels, Counter>,
    in_flight: Family<KindLabels, Gauge>,
    in_flight_max: Family<KindLabels, Gauge>,
    in_flight_bytes: Gauge<u64, AtomicU64>,
    in_flight_bytes_max: Gauge<u64, AtomicU64>,
    unverified_bytes: Gauge<u64, AtomicU64>,
    broker_connected: Family<BrokerLabels, Gauge>,
    reloads: Family<OutcomeLabels, Counter>,
    log_lines_dropped: Counter,
    telemetry_dropped: Family<SignalLabels, Counter>,
    spool_records: Family<DestinationLabels, Gauge>,
    spool_apart_records: Family<DestinationLabels, Gauge>,
    spool_bytes: Gauge<u64, AtomicU64>,
    spool_oldest_seconds: Gauge<f64, AtomicU64>,
    spool_damaged: Gauge<u64, AtomicU64>,
    spool_found: Gauge<u64, AtomicU64>,
    dead_letters: Gauge<u64, AtomicU64>,
    dead_letters_removed: Family<OutcomeLabels, Counter>,
}

impl Default for Metrics {
    /// Without the ids of traces.
    fn default() -> Self {
        Self::new(false)
    }
}

impl Metrics {
    /// All of them at zero, with the ids of traces beside what takes time, or without.
    pub fn new(has_traces: bool) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("hookbus"),
            process: Registry::default(),
            questions: Mutex::default(),
            webhooks: Counters::default(),
            refusals: Family::default(),
            refusal_seconds: latencies(has_traces),
            unauthorized: Counters::default(),
            webhook_seconds: latencies(has_traces),
            publish_seconds: latencies(has_traces),
            publish_errors: Family::default(),
            events: Family::default(),
            drained: Family::default(),
            questions_total: Family::default(),
            ask_seconds: latencies(has_traces),
            authentications: Family::default(),
            late_replies: Family::default(),
            ignored_replies: Family::default(),
            answers_reused: Family::default(),
            in_flight: Family::default(),
            in_flight_max: Family::default(),
            in_flight_bytes: Gauge::default(),
            in_flight_bytes_max: Gauge::default(),
            unverified_bytes: Gauge::default(),
            broker_connected: Family::default(),
            reloads: Family::default(),
            log_lines_dropped: Counter::default(),
            telemetry_dropped: Family::default(),
            spool_records: Family::default(),
            spool_apart_records: Family::default(),
            spool_bytes: Gauge::default(),
            spool_oldest_seconds: Gauge::default(),
            spool_damaged: Gauge::default(),
            spool_found: Gauge::default(),
            dead_letters: Gauge::default(),
            dead_letters_removed: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("webhooks", "Webhooks by what became of them", metrics.webhooks.clone());
        registry.register(
            "refusals",
            "Webhooks that got no 2xx, by reason",
            metrics.refusals.clone(),
        );
        registry.register(
            "refusal_seconds",
            "From receipt to a response that is no 2xx, in seconds",
            metrics.refusal_seconds.clone(),
        );
        registry.register(
            "unauthorized",
            "Requests whose sender was not accepted, by what was wrong",
            metrics.unauthorized.clone(),
        );
        registry.register(
            "webhook_seconds",
            "From receipt to response, in seconds",
            metrics.webhook_seconds.clone(),
        );
        registry.register(
            "publish_seconds",
            "From the turn of an event to its acknowledgement, in seconds",
            metrics.publish_seconds.clone(),
        );
        registry.register(
            "publish_errors",
            "Failed attempts to store an event, by reason",
            metrics.publish_errors.clone(),
        );
        registry.register(
            "events",
            "Events that a destination accepted, by where they were then",
            metrics.events.clone(),
        );
        registry.register(
            "drained",
            "Events that left the queue on disk of their destination, by what became of them",
            metrics.drained.clone(),
        );
        registry.register(
            "authenticated",
            "Requests whose sender was accepted, by the place of the secret in the configuration",
            metrics.authentications.clone(),
        );
        registry.register(
            "questions",
            "Questions by how they ended",
            metrics.questions_total.clone(),
        );
        registry.register(
            "ask_seconds",
            "From a question to its end, in seconds",
            metrics.ask_seconds.clone(),
        );
        registry.register(
            "late_replies",
            "Replies that came after their question had ended without one",
            metrics.late_replies.clone(),
        );
        registry.register(
            "ignored_replies",
            "Replies of another kind than what was waited for",
            metrics.ignored_replies.clone(),
        );
        registry.register(
            "answers_reused",
            "Repeated tool calls that got the answer of an earlier or a running one",
            metrics.answers_reused.clone(),
        );
        registry.register(
            "in_flight",
            "Webhooks being read or handled now",
            metrics.in_flight.clone(),
        );
        registry.register(
            "in_flight_max",
            "How many webhooks may be read or handled at the same time",
            metrics.in_flight_max.clone(),
        );
        registry.register(
            "in_flight_bytes",
            "Bytes of bodies and payloads held now",
            metrics.in_flight_bytes.clone(),
        );
        registry.register(
            "in_flight_bytes_max",
            "Bytes of bodies and payloads that may be held at the same time",
            metrics.in_flight_bytes_max.clone(),
        );
        registry.register(
            "unverified_bytes",
            "Bytes held now of bodies whose sender isn't known before they are complete",
            metrics.unverified_bytes.clone(),
        );
        registry.register(
            "broker_connected",
            "Whether there is a connection: 1 or 0",
            metrics.broker_connected.clone(),
        );
        registry.register(
            "reloads",
            "Attempts to take over a changed configuration, by what became of them",
            metrics.reloads.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Lines for standard error that could not be written in time, or at all",
            metrics.log_lines_dropped.clone(),
        );
        registry.register(
            "telemetry_dropped",
            "Spans, log records and exports of metrics that the OpenTelemetry collector did not get",
            metrics.telemetry_dropped.clone(),
        );
        registry.register(
            "spool_records",
            "Events that queue on disk for a destination",
            metrics.spool_records.clone(),
        );
        registry.register(
            "spool_apart_records",
            "Of the events that queue on disk, those whose own subject or topic takes nothing",
            metrics.spool_apart_records.clone(),
        );
        registry.register(
            "spool_bytes",
            "Bytes that queued events and dead letters take on disk",
            metrics.spool_bytes.clone(),
        );
        registry.register(
            "spool_oldest_seconds",
            "How long the oldest queued event has been waiting, in seconds",
            metrics.spool_oldest_seconds.clone(),
        );
        registry.register(
            "spool_damaged",
            "Damaged parts of the spool that were set aside, and events that vanished with their files, since the start",
            metrics.spool_damaged.clone(),
        );
        registry.register(
            "dead_letters",
            "Events on disk that their destination will never take",
            metrics.dead_letters.clone(),
        );
        registry.register(
            "spool_found",
            "Queued events and dead letters that were on disk at the start",
            metrics.spool_found.clone(),
        );
        registry.register(
            "dead_letters_removed",
            "Dead letters that were published again, or dropped",
            metrics.dead_letters_removed.clone(),
        );
        registry.register(
            "build",
            "The version that runs",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        for kind in ["event", "question", "extra"] {
            metrics.ignored_replies.get_or_create_owned(&KindLabels { kind });
        }
        for outcome in ["done", "refused"] {
            metrics.reloads.get_or_create_owned(&OutcomeLabels { outcome });
        }
        for outcome in [REPLAYED, DROPPED] {
            metrics.dead_letters_removed.get_or_create_owned(&OutcomeLabels { outcome });
        }
        process::register(&mut metrics.process);
        metrics
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        // They are of the process, and not of what is measured here.
        self.log_lines_dropped.inner().fetch_max(stderr::dropped(), Ordering::Relaxed);
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &self.process))
            .and_then(|()| encode_eof(&mut text));
        if written.is_err() {
            text.clear();
            let _ = writeln!(text, "# the metrics could not be written");
        }
        text
    }

    /// A webhook got another answer than the sender wants; `reason` says which.
    pub fn refused(
        &self,
        endpoint: &Arc<str>,
        reason: &'static str,
        took: Duration,
        span: Option<Ids>,
    ) {
        let labels = RefusalLabels { endpoint: Shared(endpoint.clone()), reason };
        self.refusals.get_or_create(&labels).inc();
        self.refusal_seconds.get_or_create(&labels).observe(took, span);
    }

    /// A sender was not accepted; `reason` is told to nobody else.
    pub fn unauthorized(&self, endpoint: &Arc<str>, reason: &'static str) {
        let labels = RefusalLabels { endpoint: Shared(endpoint.clone()), reason };
        self.unauthorized.get(&labels).inc();
    }

    /// For what reasons a sender of this endpoint may not be accepted.
    fn unauthorized_reasons(&self, endpoint: &Arc<str>, reasons: &'static [&'static str]) {
        for reason in reasons {
            let labels = RefusalLabels { endpoint: Shared(endpoint.clone()), reason };
            self.unauthorized.get(&labels);
        }
    }

    /// An attempt to store an event failed.
    pub fn publish_failed(&self, destination: &Arc<str>, reason: &'static str) {
        let labels = PublishErrorLabels { destination: Shared(destination.clone()), reason };
        self.publish_errors.get_or_create(&labels).inc();
    }

    /// A reply was none: not an acknowledgement of an `event`, or no answer to a `question` but an acknowledgement, or
    /// `extra`: its question had a reply already.
    pub fn ignored_reply(&self, kind: &'static str) {
        self.ignored_replies.get_or_create(&KindLabels { kind }).inc();
    }

    /// How many webhooks of a kind are held now.
    pub fn set_in_flight(&self, kind: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.in_flight.get_or_create(&KindLabels { kind }).set(count);
    }

    /// How many of them there may be.
    pub fn set_in_flight_max(&self, kind: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.in_flight_max.get_or_create(&KindLabels { kind }).set(count);
    }

    /// How many bytes are held now, and how many may be.
    pub fn set_in_flight_bytes(&self, bytes: usize, max: usize) {
        self.in_flight_bytes.set(bytes as u64);
        self.in_flight_bytes_max.set(max as u64);
    }

    /// The bytes held of bodies whose sender isn't known yet.
    pub fn set_unverified_bytes(&self, bytes: usize) {
        self.unverified_bytes.set(bytes as u64);
    }

    /// Whether a broker is connected.
    pub fn set_connected(&self, broker: &'static str, connected: bool) {
        self.broker_connected.get_or_create(&BrokerLabels { broker }).set(connected.into());
    }

    /// A changed configuration was taken over, or not.
    pub fn reloaded(&self, is_done: bool) {
        let outcome = if is_done { "done" } else { "refused" };
        self.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// What the collector doesn't get of a signal is counted here.
    pub fn telemetry_dropped(&self, signal: &'static str) -> Counter {
        self.telemetry_dropped.get_or_create_owned(&SignalLabels { signal })
    }

    /// How many events queue on disk for a destination, and how many of them wait apart from the others.
    pub fn set_spooled(&self, destination: &Arc<str>, records: u64, apart: u64) {
        let labels = DestinationLabels { destination: Shared(destination.clone()) };
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.spool_records.get_or_create(&labels).set(number(records));
        self.spool_apart_records.get_or_create(&labels).set(number(apart));
    }

    /// What the spool takes, since when its oldest event has been waiting, and how often something of it was damaged.
    pub fn set_spool(&self, bytes: u64, oldest: Duration, damaged: u64) {
        self.spool_bytes.set(bytes);
        self.spool_oldest_seconds.set(oldest.as_secs_f64());
        self.spool_damaged.set(damaged);
    }

    /// What was on disk when it was opened: queued events and dead letters.
    pub fn set_spool_found(&self, records: u64) {
        self.spool_found.set(records);
    }

    /// What was on disk when it was opened.
    pub fn spool_found(&self) -> u64 {
        self.spool_found.get()
    }

    /// A dead letter is about to go, since it is published.
    pub fn dead_letter_replayed(&self) {
        self.dead_letters_removed.get_or_create(&OutcomeLabels { outcome: REPLAYED }).inc();
    }

    /// A dead letter is about to go, since somebody wants it so.
    pub fn dead_letter_dropped(&self) {
        self.dead_letters_removed.get_or_create(&OutcomeLabels { outcome: DROPPED }).inc();
    }

    /// How many dead letters were published again, and how many dropped.
    pub fn dead_letters_removed(&self) -> (u64, u64) {
        let count =
            |outcome| self.dead_letters_removed.get_or_create(&OutcomeLabels { outcome }).get();
        (count(REPLAYED), count(DROPPED))
    }

    /// How many dead letters there are.
    pub fn set_dead_letters(&self, records: u64) {
        self.dead_letters.set(records);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Also of those that are shown only once something happened.
    #[test]
    fn each_of_them_is_explained_and_no_others() {
        let metrics = Metrics::default();
        let registry = format!("{:?}", metrics.registry);
        let registered = registry.split("Descriptor { name: \"").skip(1);
        let registered: BTreeSet<_> =
            registered.filter_map(|rest| rest.split('"').next()).collect();
        let rows = include_str!("../../docs/operations.md").lines();
        let explained = rows.filter_map(|row| row.strip_prefix("| `hookbus_")?.split('`').next());
        let explained = explained
            .map(|name| {
                ["_total", "_info"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
            })
            .collect();
        assert_eq!(registered, explained);
    }
}
