//! Taking over a changed configuration without a restart, on SIGHUP or when the admin listener is asked.
//!
//! The file is read and checked whole, everything new is built, and only then it takes the place of the old, at once.
//! Requests in flight end with what they began with. Whatever is in the way is said, and the old settings stay.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::Times;
use super::service_manager;
use super::start::{Components, create_topics};
use crate::admin::reload::{Reloaded, Taken};
use crate::admin::{Guard, Recent};
use crate::config::{self, Config};
use crate::discovery::Workers;
use crate::nats::streams::{Finding, Findings, RequiredStreams};
use crate::publish::Draft;
use crate::receive::Endpoints;
use crate::settings;
use crate::telemetry;

/// The subject of a file that was refused, in `/readyz`.
const CONFIGURATION_SUBJECT: &str = "configuration";

/// Reloads the configuration of a running process.
pub(super) struct Reload {
    file: PathBuf,
    /// What is in use.
    config: Config,
    components: Arc<Components>,
    guard: Arc<Guard>,
    workers: Arc<Workers>,
    recent: Arc<Recent>,
    times: watch::Sender<Times>,
    /// The tasks of new components.
    background: JoinSet<()>,
}

impl Reload {
    pub(super) fn new(
        file: PathBuf,
        config: Config,
        components: Arc<Components>,
        (guard, workers, recent): (Arc<Guard>, Arc<Workers>, Arc<Recent>),
        times: watch::Sender<Times>,
    ) -> Self {
        let background = JoinSet::new();
        Self { file, config, components, guard, workers, recent, times, background }
    }

    /// Reload whenever it is asked for, one after the other.
    pub(super) async fn serve(
        mut self,
        mut hangups: watch::Receiver<u32>,
        mut end_requested: mpsc::Receiver<oneshot::Sender<Reloaded>>,
    ) {
        loop {
            let answer = tokio::select! {
                Ok(()) = hangups.changed() => None,
                Some(answer) = end_requested.recv() => Some(answer),
                else => return,
            };
            service_manager::reloading();
            let outcome = self.reload().await;
            service_manager::ready();
            self.log(&outcome);
            if let Some(answer) = answer {
                // Whoever asked may have gone.
                let _ = answer.send(outcome);
            }
            while self.background.try_join_next().is_some() {}
        }
    }

    fn log(&self, outcome: &Reloaded) {
        self.components.bridge.metrics.reloaded(outcome.is_ok());
        match outcome {
            Ok(taken) => {
                // A problem and its hint are lines of their own: one line of the log has no breaks.
                for line in taken.warnings.iter().flat_map(|warning| warning.lines()) {
                    warn!("{}", line.trim_start());
                }
                match taken.changes.as_slice() {
                    [] => info!("reloaded: nothing has changed"),
                    changes => info!(changes = changes.join("; "), "reloaded"),
                }
            }
            Err(problems) => {
                for line in problems.iter().flat_map(|problem| problem.lines()) {
                    error!("{}", line.trim_start());
                }
                error!("not reloaded: the settings from before stay in use");
            }
        }
        match outcome {
            Ok(_) => self.components.health.clear(CONFIGURATION_SUBJECT),
            Err(problems) => {
                let first = problems.first().and_then(|problem| problem.lines().next());
                let text = format!("not reloaded: {}", first.unwrap_or_default());
                self.components.health.report(CONFIGURATION_SUBJECT, text);
            }
        }
    }

    async fn reload(&mut self) -> Reloaded {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || settings::read(&file)).await;
        let loaded = read.map_err(|error| vec![format!("error: {error}")])?;
        let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        let Some(new) = loaded.config else { return Err(problems) };
        let fixed = fixed(&self.config, &new);
        if !fixed.is_empty() {
            let log = |key| {
                format!(
                    "error: `{key}` can't change while hookbus runs\nhint: change it back, or restart hookbus"
                )
            };
            return Err(fixed.into_iter().map(log).collect());
        }
        let components = self.components.clone();
        let destinations = components.destinations.draft();
        let endpoints = components
            .endpoints(&new, Some(&self.config), &destinations)
            .map_err(|error| vec![format!("error: {error}")])?;
        // Last of all, since it changes something outside of this process.
        let required_streams = self.streams(&new).await?;
        let changes = changes(&self.config, &new);
        self.swap(new, endpoints, destinations, required_streams);
        Ok(Taken { changes, warnings: problems })
    }

    /// Put everything new in the place of the old; nothing of it can fail.
    fn swap(
        &mut self,
        new: Config,
        endpoints: Endpoints,
        drafted: Draft<'_>,
        required_streams: RequiredStreams,
    ) {
        let Components { bridge, destinations, health, .. } = &*self.components;
        bridge.limits.set(&new.http);
        for endpoint in &new.endpoints {
            if let Some(built) = endpoints.get(&endpoint.path) {
                built.limits.set(endpoint);
                built.seen.set(endpoint.max_seen());
            }
        }
        destinations.adopt(drafted, new.http.max_events);
        destinations.drain_new(&mut self.background);
        bridge.diagnoses.configure(&new.endpoints);
        self.components.serve(endpoints, &new.http, &mut self.background);
        self.components.required_streams.store(Arc::new(required_streams));
        self.guard.set_token(new.admin.token.as_ref());
        bridge.live_tail.configure(&new.tail);
        self.workers.configure(&new);
        self.recent.configure(&new.tail);
        telemetry::set_level(new.log.level);
        self.times.send_replace(Times::of(&new));
        if let Some(kafka) = &new.kafka
            && self.config.kafka.as_ref().is_some_and(|old| old.topics != kafka.topics)
        {
            self.background.spawn(create_topics(kafka.clone(), health.clone()));
        }
        self.config = new;
    }

    /// What is needed of the streams, once the server has it; those that are new are created. After an error they are
    /// as they were.
    async fn streams(&self, new: &Config) -> Result<RequiredStreams, Vec<String>> {
        let required_streams = RequiredStreams::new(new);
        // Without a connection they are looked at as soon as there is one.
        let Some(client) =
            self.components.events.as_ref().and_then(|connection| connection.client())
        else {
            return Ok(required_streams);
        };
        // What can be known to be wrong beforehand needs no undoing.
        if let Ok(findings) = required_streams.check(&client).await {
            refuse(&findings)?;
        }
        if let Ok(mut findings) = required_streams.ensure(&client).await {
            if let Err(mut problems) = refuse(&findings) {
                let left = findings.undo(&client).await;
                problems.extend(left.into_iter().map(|text| format!("warning: {text}")));
                return Err(problems);
            }
            self.components.log(&findings);
        }
        Ok(required_streams)
    }
}

/// What is in the way of using streams as they were found.
fn refuse(findings: &Findings) -> Result<(), Vec<String>> {
    if findings.refused.is_empty() {
        return Ok(());
    }
    let log = |finding: &Finding| format!("error: {}\nhint: {}", finding.problem, finding.hint);
    Err(findings.refused.iter().map(log).collect())
}

/// The settings that differ, of those that only a start reads.
fn fixed(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    // A key that stands in neither list doesn't compile: whoever adds one decides whether a reload takes it over.
    macro_rules! check {
        ($table:literal, $type:ident: $old:expr, $new:expr; fixed: $($key:ident),*; follows: $($other:ident),*) => {
            let (config::$type { $($key: _,)* $($other: _,)* }, _) = ($old, $new);
            $(if $old.$key != $new.$key {
                keys.push(format!("{}.{}", $table, stringify!($key)));
            })*
        };
    }
    check!(
        "http", Http: &old.http, &new.http;
        fixed: listen, max_connections, header_timeout, keep_alive, write_timeout, tls;
        follows: max_body, max_reading, max_events, max_questions, max_in_flight_bytes, body_timeout, shutdown_delay,
            drain, trusted_proxies, health, max_unverified_bytes, unverified_timeout
    );
    check!("admin", Admin: &old.admin, &new.admin; fixed: listen, tls; follows: token);
    check!("tail", Tail: &old.tail, &new.tail; fixed: ; follows: bodies, redact, recent, always_recent);
    check!("log", Log: &old.log, &new.log; fixed: format; follows: level);
    check!(
        "spool", Spool: &old.spool, &new.spool;
        fixed: enabled, dir, max_bytes, sync_timeout; follows:
    );
    match (&old.telemetry.otlp, &new.telemetry.otlp) {
        (Some(old), Some(new)) => {
            check!(
                "telemetry.otlp", Otlp: old, new;
                fixed: endpoint, protocol, signals, sample_ratio, metrics_interval, timeout, tls_ca, headers, resource;
                follows:
            );
        }
        (None, None) => {}
        _ => keys.push("telemetry.otlp".to_owned()),
    }
    match (&old.nats, &new.nats) {
        (Some(old), Some(new)) => {
            check!(
                "nats", Nats: old, new;
                fixed: servers, user, password, token, credentials, nkey, tls_ca, tls_cert, tls_key, tls_first, domain,
                    inbox_prefix, ack_timeout;
                follows: streams
            );
        }
        (None, None) => {}
        _ => keys.push("nats".to_owned()),
    }
    match (&old.kafka, &new.kafka) {
        (Some(before), Some(now)) => {
            check!(
                "kafka", Kafka: before, now;
                fixed: brokers, ack_timeout, properties; follows: topics
            );
            // The client was made for them.
            if old.http.max_body != new.http.max_body {
                keys.push("http.max_body".to_owned());
            }
            if old.http.max_in_flight_bytes != new.http.max_in_flight_bytes {
                keys.push("http.max_in_flight_bytes".to_owned());
            }
        }
        (None, None) => {}
        _ => keys.push("kafka".to_owned()),
    }
    keys
}

/// What a reload changes, in words.
fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    let mut note = |name: &str, is_same: bool| {
        if !is_same {
            changes.push(format!("[{name}] changed"));
        }
    };
    note("http", old.http == new.http);
    note("admin", old.admin == new.admin);
    note("tail", old.tail == new.tail);
    note("log", old.log == new.log);
    note("nats", old.nats == new.nats);
    note("kafka", old.kafka == new.kafka);
    for endpoint in &new.endpoints {
        let name = &endpoint.name;
        match old.endpoints.iter().find(|old| old.name == *name) {
            None => changes.push(format!("endpoint `{name}` added")),
            Some(old) if old != endpoint => changes.push(format!("endpoint `{name}` changed")),
            Some(_) => {}
        }
    }
    for endpoint in &old.endpoints {
        let name = &endpoint.name;
        if !new.endpoints.iter().any(|new| new.name == *name) {
            changes.push(format!("endpoint `{name}` removed"));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_only_a_start_reads_is_named() {
        let old = config("[nats]\n[kafka]");
        let text = "[http]\nlisten = \"127.0.0.1:1\"\nmax_events = 1\nmax_body = \"1MiB\"\n[spool]\ndir = \"other\"\n\
                    [nats]\ntoken = \"x\"\n[[nats.stream]]\nname = \"A\"\nsubjects = [\"a\"]";
        let otlp = |ratio| {
            config(&format!("[telemetry.otlp]\nendpoint = \"http://c\"\nsample_ratio = {ratio}"))
        };
        assert_eq!(fixed(&otlp(0.5), &otlp(0.6)), ["telemetry.otlp.sample_ratio"]);
        assert_eq!(fixed(&config(""), &otlp(0.5)), ["telemetry.otlp"]);
        let keys = fixed(&old, &config(text));
        assert_eq!(keys, ["http.listen", "spool.dir", "nats.token", "kafka"]);
        assert_eq!(
            fixed(&old, &config("[nats]\n[kafka]\n[http]\nmax_body = \"1MiB\"")),
            ["http.max_body"]
        );
        assert!(fixed(&old, &old.clone()).is_empty());
    }
}
