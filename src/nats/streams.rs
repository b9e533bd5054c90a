//! Streams: creating the declared ones, and finding those that would answer our questions.
//!
//! A stream that covers the subject of a question answers it with a PubAck before any
//! worker does, and one that covers the reply subjects swallows the answers. An event
//! subject that no stream covers stores nothing.

mod api;
mod declared;
mod findings;
mod judge;
mod uncovered;

use std::collections::BTreeMap;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config as Stream, Info, RetentionPolicy};
use tokio::time::timeout;

use self::api::{API_TIMEOUT, wanted};
pub use self::api::{Error, all, context};
use self::declared::{changed, stream};
pub use self::findings::{Finding, Findings};
use crate::config::homes::Names;
use crate::config::{self, Config};
use crate::template::{Destination, Template};

const COVER: &str = "create one, or declare it with [[nats.stream]]";

/// What the configuration requires of the server's streams.
#[derive(Debug, Clone, Default)]
pub struct RequiredStreams {
    declared: Vec<config::Stream>,
    /// The JetStream domain that they are in, where it isn't the server's own.
    domain: Option<String>,
    /// Subject patterns that no stream may take, and what they are for.
    free: Vec<(String, String)>,
    /// Subject patterns that some stream must take, and the destination they are of.
    stored: Vec<(String, String)>,
    /// What these come to for types that are known.
    names: BTreeMap<(String, String), Names>,
    /// The same for jobs, which not everybody has.
    jobs: Vec<(String, String)>,
    /// The largest body that may come.
    max_body: usize,
    /// There is one machine, and no second one for a copy.
    is_alone: bool,
}

impl RequiredStreams {
    /// The requirements of a configuration. Templates that don't parse are left to the check of the configuration.
    pub fn new(config: &Config) -> Self {
        let Some(nats) = &config.nats else {
            return Self::default();
        };
        let mut required_streams = Self {
            declared: nats.streams.clone(),
            domain: nats.domain.clone(),
            free: vec![(format!("{}.>", nats.inbox_prefix), "replies".to_owned())],
            max_body: config.http.max_body.get(),
            ..Self::default()
        };
        for endpoint in &config.endpoints {
            let pattern = |text: &str| Some(Template::subject(text).ok()?.pattern(&endpoint.name));
            let stored = |text: &str| match Destination::parse(text).ok()? {
                Destination::Nats(template) => {
                    Some((template.pattern(&endpoint.name), text.to_owned()))
                }
                _ => None,
            };
            let asked = endpoint.questions.iter().map(|rule| rule.subject.as_str());
            let tools = endpoint.tools.iter().map(|rule| rule.subject.as_str());
            for subject in asked.chain(tools).chain([config::ASK_SUBJECT, config::TOOL_SUBJECT]) {
                let name = format!("questions of endpoint `{}`", endpoint.name);
                required_streams.free.extend(pattern(subject).map(|pattern| (pattern, name)));
            }
            let takes_all = |rule: &config::EventRule| rule.types.iter().any(|types| types == "*");
            let by_default =
                (!endpoint.events.iter().any(takes_all)).then_some(config.event_destination());
            let events = endpoint.events.iter().flat_map(|rule| &rule.to);
            let copies = endpoint.questions.iter().flat_map(|rule| &rule.copy_to);
            let tool_copies = endpoint.tools.iter().flat_map(|rule| &rule.copy_to);
            let audit = endpoint.audit.iter().flat_map(|audit| &audit.to);
            let all = events
                .chain(copies)
                .chain(tool_copies)
                .chain(audit)
                .map(String::as_str)
                .chain(by_default);
            for text in all {
                let Some(pair) = stored(text) else { continue };
                let names = Names::new(config, endpoint, text);
                required_streams.names.entry(pair.clone()).or_default().merge(names);
                required_streams.stored.push(pair);
            }
            if endpoint.facts.has_jobs() {
                required_streams.jobs.extend(stored(config.job_destination()));
            }
        }
        for list in
            [&mut required_streams.free, &mut required_streams.stored, &mut required_streams.jobs]
        {
            list.sort();
            list.dedup();
        }
        required_streams
    }

    /// The subjects that events of known types come to.
    pub fn known_subjects(&self) -> impl Iterator<Item = &str> {
        self.names.values().flat_map(|names| &names.known).map(String::as_str)
    }

    /// Whether anything is to be stored in a stream, apart from jobs.
    pub fn needs_streams(&self) -> bool {
        !self.declared.is_empty() || !self.stored.is_empty()
    }

    /// The same on one machine, where copies make no sense.
    pub fn for_one_machine(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// The streams that the configuration declares, as a text names them.
    pub fn declared_names(&self) -> String {
        let names: Vec<_> =
            self.declared.iter().map(|stream| format!("`{}`", stream.name)).collect();
        names.join(", ")
    }

    /// Create what is declared and missing, then compare everything with what the server has.
    pub async fn ensure(&self, client: &Client) -> Result<Findings, Error> {
        self.look(client, true).await
    }

    /// Compare with what the server has, and change nothing.
    pub async fn check(&self, client: &Client) -> Result<Findings, Error> {
        self.look(client, false).await
    }

    async fn look(&self, client: &Client, create: bool) -> Result<Findings, Error> {
        let context = context(client, self.domain.as_deref());
        let mut streams = all(&context).await?;
        let mut findings = Findings { domain: self.domain.clone(), ..Findings::default() };
        for declared in &self.declared {
            match streams.iter().find(|info| info.config.name == declared.name) {
                None if create => findings.create(&context, declared).await,
                None => {}
                Some(info) => findings.compare(&context, declared, &info.config, create).await,
            }
        }
        if create && !findings.done.is_empty() {
            streams = all(&context).await?;
        }
        let consumers = self.consumers(&context, &streams).await;
        let mut judged: Vec<Stream> = streams.into_iter().map(|info| info.config).collect();
        if !create {
            // What the start would change counts as changed, what it would create as there.
            for stream in &mut judged {
                let is_updated =
                    |declared: &&config::Stream| declared.update && declared.name == stream.name;
                if let Some(declared) = self.declared.iter().find(is_updated) {
                    *stream = changed(declared, stream);
                }
            }
            let is_missing = |declared: &&config::Stream| {
                !judged.iter().any(|stream| stream.name == declared.name)
            };
            let missing: Vec<_> = self.declared.iter().filter(is_missing).map(stream).collect();
            findings.done.extend(missing.iter().map(|stream| {
                format!("stream `{}` is missing; `serve` will create it", stream.name)
            }));
            judged.extend(missing);
        }
        self.judge(&judged, &mut findings);
        self.judge_acks(&judged, &consumers, &mut findings);
        Ok(findings)
    }

    /// The streams that take events and keep only what some consumer wants, each with the subjects that are wanted.
    /// Where that isn't known, since it may not be asked, the stream is left out.
    async fn consumers(&self, context: &Context, streams: &[Info]) -> Vec<(String, Vec<String>)> {
        let mut known = Vec::new();
        for info in streams {
            let name = &info.config.name;
            if info.config.retention != RetentionPolicy::Interest || !self.uses(&info.config) {
                continue;
            }
            if info.state.consumer_count == 0 {
                known.push((name.clone(), Vec::new()));
            } else if let Ok(Ok(wanted)) = timeout(API_TIMEOUT, wanted(context, name)).await {
                known.push((name.clone(), wanted));
            }
        }
        known
    }
}
