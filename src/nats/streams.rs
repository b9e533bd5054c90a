//! Streams: creating the declared ones, and finding those that would answer our questions.
//!
//! A stream that covers the subject of a question answers it with a PubAck before any
//! worker does, and one that covers the reply subjects swallows the answers. An event
//! subject that no stream covers stores nothing.

mod uncovered;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::stream::{
    Config as Stream, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, Context};
use futures_util::TryStreamExt;
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use self::uncovered::Lack;
use crate::config::homes::Names;
use crate::config::{self, Config, Discard, Retention, Storage};
use crate::template::{Destination, Template, covers, overlaps};

/// Time for one request to the JetStream API.
const API_TIMEOUT: Duration = Duration::from_secs(3);

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

const COVER: &str = "create one, or declare it with [[nats.stream]]";

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What must not be: a stream that takes questions or answers, a declared stream that differs.
    pub refused: Vec<Finding>,
    /// Events that would be stored nowhere.
    pub uncovered: Vec<Finding>,
    /// Events that would be acknowledged, and kept by nobody.
    pub unkept: Vec<Finding>,
    /// What may be meant, but loses messages.
    pub warnings: Vec<Finding>,
    /// What was created or changed.
    pub done: Vec<String>,
    /// How to take that back.
    changes: Vec<Change>,
    /// Where it was done.
    domain: Option<String>,
}

/// What was done to the server's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// There was none of this name.
    Created(String),
    /// It was like this.
    Updated(Box<Json>),
}

impl Findings {
    /// What was done stays, and is not found again.
    pub fn settle(&mut self) {
        self.done.clear();
        self.changes.clear();
    }

    /// Take back what was created or changed, since it is not to be used. Returns what couldn't be taken back, which is
    /// also a new stream that has messages already.
    pub async fn undo(&mut self, client: &Client) -> Vec<String> {
        let context = context(client, self.domain.as_deref());
        let mut left = Vec::new();
        self.done.clear();
        for change in self.changes.drain(..).rev() {
            match change {
                Change::Created(name) => match context.get_stream(&name).await {
                    Ok(stream) if stream.cached_info().state.messages > 0 => {
                        left.push(format!("stream `{name}` was created, and has messages already"));
                    }
                    Ok(_) => {
                        if let Err(error) = context.delete_stream(&name).await {
                            left.push(format!(
                                "stream `{name}` was created, and can't be deleted: {error}"
                            ));
                        }
                    }
                    Err(error) => left.push(format!("stream `{name}` was created: {error}")),
                },
                Change::Updated(before) => {
                    let name = before["name"].as_str().unwrap_or_default().to_owned();
                    let back = request(&context, format!("STREAM.UPDATE.{name}"), &before).await;
                    if let Err(error) = back {
                        left.push(format!(
                            "stream `{name}` was changed, and can't be changed back: {error}"
                        ));
                    }
                }
            }
        }
        left
    }
}

/// Something that is not as it should be, and the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Finding {
    fn new(problem: String, hint: &'static str) -> Self {
        Self { problem, hint }
    }
}

/// In one line, for logs.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.hint)
    }
}

/// Why the server's streams could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("JetStream can't be asked: {text}")]
pub struct Error {
    text: String,
    /// There was no answer at all: a server that doesn't let this user ask says nothing.
    pub is_silence: bool,
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
            required_streams.jobs.extend(stored(config.job_destination()));
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

    /// The same on one machine, where nobody expects copies.
    pub fn for_one_machine(self) -> Self {
        Self { is_alone: true, ..self }
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
            let wanted = stream(declared);
            match streams.iter().find(|info| info.config.name == declared.name) {
                None if create => match context.create_stream(wanted).await {
                    Ok(_) => {
                        findings.done.push(format!("created stream `{}`", declared.name));
                        findings.changes.push(Change::Created(declared.name.clone()));
                    }
                    Err(error) => findings.refused.push(Finding::new(
                        format!("stream `{}` can't be created: {error}", declared.name),
                        "mend what the server says, or create the stream by hand",
                    )),
                },
                None => {}
                Some(info) => {
                    let wanted =
                        if declared.update { changed(declared, &info.config) } else { wanted };
                    let differences = differences(&wanted, &info.config);
                    if differences.is_empty() {
                        continue;
                    }
                    let text = format!(
                        "stream `{}` exists and differs: {}",
                        declared.name,
                        differences.join(", ")
                    );
                    if !declared.update {
                        findings.refused.push(Finding::new(
                            text,
                            "make them equal, or set `update = true` to have the stream changed at the start",
                        ));
                    } else if create {
                        match update(&context, declared, &info.config).await {
                            Ok(before) => {
                                findings.done.push(format!(
                                    "changed stream `{}`: {}",
                                    declared.name,
                                    differences.join(", ")
                                ));
                                findings.changes.push(Change::Updated(before));
                            }
                            Err(error) => findings.refused.push(Finding::new(
                                format!("{text}, and it can't be changed: {error}"),
                                "make them equal by hand",
                            )),
                        }
                    } else {
                        findings.done.push(format!(
                            "stream `{}` will be changed by `serve`: {}",
                            declared.name,
                            differences.join(", ")
                        ));
                    }
                }
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

    /// Whether events go to this stream.
    fn uses(&self, stream: &Stream) -> bool {
        self.stored.iter().chain(&self.jobs).any(|(pattern, _)| takes(stream, pattern))
    }

    /// Streams whose acknowledgements are worth nothing, or less than they seem.
    fn judge_acks(
        &self,
        streams: &[Stream],
        consumers: &[(String, Vec<String>)],
        findings: &mut Findings,
    ) {
        for stream in streams.iter().filter(|stream| self.uses(stream)) {
            let name = &stream.name;
            if stream.no_ack {
                findings.refused.push(Finding::new(
                    format!("stream `{name}` takes events and acknowledges nothing (no_ack): each would be stored again and again"),
                    "turn its acknowledgements on, or give it other subjects",
                ));
            }
            if stream.persist_mode == Some(PersistenceMode::Async) {
                findings.warnings.push(Finding::new(
                    format!("stream `{name}` acknowledges what it hasn't written yet (persist_mode async)"),
                    "use the default, if an acknowledged event has to outlive a crash of the server",
                ));
            }
            let Some((_, wanted)) = consumers.iter().find(|(known, _)| known == name) else {
                continue;
            };
            for (pattern, destination) in &self.stored {
                let is_wanted = wanted.iter().any(|wanted| overlaps(wanted, pattern));
                if takes(stream, pattern) && !is_wanted {
                    findings.unkept.push(Finding::new(
                        format!("stream `{name}` keeps only what a consumer wants (retention interest), and none wants `{pattern}`: events for `{destination}` are acknowledged and gone"),
                        "create the consumer first, or use another retention",
                    ));
                }
            }
        }
    }

    fn judge(&self, streams: &[Stream], findings: &mut Findings) {
        let subjects = || {
            streams
                .iter()
                .flat_map(|stream| stream.subjects.iter().map(move |subject| (stream, subject)))
        };
        for (pattern, purpose) in &self.free {
            for (stream, subject) in subjects().filter(|(_, subject)| overlaps(subject, pattern)) {
                findings.refused.push(Finding::new(
                    format!(
                        "stream `{}` stores `{subject}`, which takes in `{pattern}` ({purpose}): it would answer in place of a worker",
                        stream.name
                    ),
                    "give the stream other subjects",
                ));
            }
        }
        let is_taken = |name: &str| subjects().any(|(_, subject)| covers(subject, name));
        for pair in &self.stored {
            let (pattern, destination) = pair;
            let sealed = streams.iter().find(|stream| stream.sealed && takes(stream, pattern));
            if let Some(Stream { name, .. }) = sealed {
                findings.uncovered.push(Finding::new(
                    format!("stream `{name}` is sealed, and stores nothing more of `{pattern}`, where `{destination}` goes"),
                    "give it other subjects, and create another stream for these",
                ));
                continue;
            }
            if is_taken(pattern) {
                continue;
            }
            let names = self.names.get(pair).cloned().unwrap_or_default();
            match uncovered::lack(pattern, destination, &names, is_taken) {
                Some(Lack::Now(finding)) => findings.uncovered.push(finding),
                Some(Lack::Perhaps(finding)) => findings.warnings.push(finding),
                None => {}
            }
        }
        for (pattern, destination) in &self.jobs {
            if !subjects().any(|(_, subject)| covers(subject, pattern)) {
                findings.warnings.push(Finding::new(
                    format!("no stream stores `{pattern}`, where asynchronous tool calls go (`{destination}`)"),
                    COVER,
                ));
            }
        }
        let used = self.stored.iter().chain(&self.jobs);
        for stream in streams {
            let is_used = used.clone().any(|(pattern, _)| {
                stream.subjects.iter().any(|subject| overlaps(subject, pattern))
            });
            if !is_used {
                continue;
            }
            let is_limited = stream.max_bytes > 0
                || stream.max_messages > 0
                || stream.max_messages_per_subject > 0;
            let mut warn = |what: &str, hint| {
                let problem = format!("stream `{}` {what}", stream.name);
                findings.warnings.push(Finding::new(problem, hint));
            };
            if stream.discard == DiscardPolicy::Old && is_limited {
                warn(
                    "deletes its oldest messages when it is full (discard old)",
                    "let it discard new ones: then it refuses what it can't keep, and the sender is told",
                );
            }
            if stream.num_replicas <= 1 && !self.is_alone {
                warn(
                    "has a single copy",
                    "with 3 replicas on a cluster it outlives the loss of a server",
                );
            }
            if stream.storage == StorageType::Memory {
                warn("is kept in memory, and is gone with its server", "use file storage");
            }
            let is_less = |limit| usize::try_from(limit).is_ok_and(|limit| limit < self.max_body);
            if stream.max_message_size > 0 && is_less(stream.max_message_size) {
                warn(
                    &format!(
                        "takes no message over {} bytes, but `http.max_body` is {}",
                        stream.max_message_size, self.max_body
                    ),
                    "raise the stream's limit, or lower `http.max_body`",
                );
            }
        }
    }
}

/// Whether a stream stores something of a pattern.
fn takes(stream: &Stream, pattern: &str) -> bool {
    stream.subjects.iter().any(|subject| overlaps(subject, pattern))
}

/// The subjects that the consumers of a stream want.
async fn wanted(context: &Context, stream: &str) -> Result<Vec<String>, async_nats::Error> {
    let stream = context.get_stream(stream).await?;
    let mut consumers = stream.consumers();
    let mut wanted = Vec::new();
    while let Some(consumer) = consumers.try_next().await? {
        let config = consumer.config;
        let several = config.filter_subjects.into_iter().chain([config.filter_subject]);
        let before = wanted.len();
        wanted.extend(several.filter(|filter| !filter.is_empty()));
        if wanted.len() == before {
            wanted.push(">".to_owned());
        }
    }
    Ok(wanted)
}

/// What a stream is after what is written of it was changed.
fn changed(declared: &config::Stream, found: &Stream) -> Stream {
    let wanted = stream(declared);
    let mut changed = Stream { subjects: wanted.subjects, ..found.clone() };
    if declared.max_age.is_some() {
        changed.max_age = wanted.max_age;
    }
    if declared.max_bytes.is_some() {
        changed.max_bytes = wanted.max_bytes;
    }
    if declared.replicas.is_written() {
        changed.num_replicas = wanted.num_replicas;
    }
    if declared.storage.is_written() {
        changed.storage = wanted.storage;
    }
    if declared.retention.is_written() {
        changed.retention = wanted.retention;
    }
    if declared.discard.is_written() {
        changed.discard = wanted.discard;
    }
    if declared.duplicate_window.is_written() {
        changed.duplicate_window = wanted.duplicate_window;
    }
    changed
}

/// Change what is written of a stream, and nothing else: not even what this program has no name for. Returns its
/// settings as they were.
async fn update(
    context: &Context,
    declared: &config::Stream,
    found: &Stream,
) -> Result<Box<Json>, async_nats::Error> {
    let name = &declared.name;
    let info: Json = request(context, format!("STREAM.INFO.{name}"), &json!({})).await?;
    let before = info["config"].clone();
    let (from, to) =
        (serde_json::to_value(found)?, serde_json::to_value(changed(declared, found))?);
    let mut after = before.clone();
    if let (Some(after), Some(to)) = (after.as_object_mut(), to.as_object()) {
        let is_changed = |(key, value): &(&String, &Json)| from.get(*key) != Some(*value);
        after.extend(to.iter().filter(is_changed).map(|(key, value)| (key.clone(), value.clone())));
    }
    request(context, format!("STREAM.UPDATE.{name}"), &after).await?;
    Ok(Box::new(before))
}

/// One request to the API of JetStream, in its own words.
async fn request(
    context: &Context,
    subject: String,
    body: &Json,
) -> Result<Json, async_nats::Error> {
    let answer: Json = context.request(subject, body).await?;
    match answer.get("error") {
        None => Ok(answer),
        Some(error) => Err(error["description"].as_str().unwrap_or("it refuses").to_owned().into()),
    }
}

/// The JetStream of the server, or of another domain.
fn context(client: &Client, domain: Option<&str>) -> Context {
    let mut context = match domain {
        None => jetstream::new(client.clone()),
        Some(domain) => jetstream::with_domain(client.clone(), domain),
    };
    context.set_timeout(API_TIMEOUT);
    context
}

async fn all(context: &Context) -> Result<Vec<Info>, Error> {
    let list = context.streams().try_collect();
    match timeout(API_TIMEOUT, list).await {
        Ok(list) => list.map_err(|error| {
            let text = error.to_string();
            Error { is_silence: text.contains("timed out"), text }
        }),
        Err(_) => Err(Error { text: "no answer in time".to_owned(), is_silence: true }),
    }
}

fn stream(declared: &config::Stream) -> Stream {
    let max_age = declared.max_age.map(config::units::Time::get).unwrap_or_default();
    let window = declared.duplicate_window.get();
    Stream {
        name: declared.name.clone(),
        subjects: declared.subjects.clone(),
        max_age,
        max_bytes: declared
            .max_bytes
            .map_or(-1, |size| i64::try_from(size.get()).unwrap_or(i64::MAX)),
        max_messages: -1,
        num_replicas: *declared.replicas,
        storage: match *declared.storage {
            Storage::File => StorageType::File,
            Storage::Memory => StorageType::Memory,
        },
        retention: match *declared.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::Interest => RetentionPolicy::Interest,
            Retention::Workqueue => RetentionPolicy::WorkQueue,
        },
        discard: match *declared.discard {
            Discard::New => DiscardPolicy::New,
            Discard::Old => DiscardPolicy::Old,
        },
        // The server takes no window that is longer than messages live.
        duplicate_window: if max_age.is_zero() { window } else { window.min(max_age) },
        ..Stream::default()
    }
}

/// What differs, as `name is X, wanted Y`.
fn differences(wanted: &Stream, found: &Stream) -> Vec<String> {
    let mut differences = Vec::new();
    let mut check = |name: &str, wanted: String, found: String| {
        if wanted != found {
            differences.push(format!("{name} is {found}, wanted {wanted}"));
        }
    };
    let subjects = |stream: &Stream| stream.subjects.iter().cloned().collect::<BTreeSet<_>>();
    let age = |age: Duration| {
        if age.is_zero() {
            "unlimited".to_owned()
        } else {
            humantime::format_duration(age).to_string()
        }
    };
    let bytes = |bytes: i64| {
        if bytes <= 0 { "unlimited".to_owned() } else { bytes.to_string() }
    };
    check("subjects", format!("{:?}", subjects(wanted)), format!("{:?}", subjects(found)));
    check("max_age", age(wanted.max_age), age(found.max_age));
    check("max_bytes", bytes(wanted.max_bytes), bytes(found.max_bytes));
    check("replicas", wanted.num_replicas.to_string(), found.num_replicas.to_string());
    check("storage", format!("{:?}", wanted.storage), format!("{:?}", found.storage));
    check("retention", format!("{:?}", wanted.retention), format!("{:?}", found.retention));
    check("discard", format!("{:?}", wanted.discard), format!("{:?}", found.discard));
    check("duplicate_window", age(wanted.duplicate_window), age(found.duplicate_window));
    differences
}
