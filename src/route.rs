//! Where things go: an event to its destinations, a question to its subject, with its time and its fallback.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::{self, Context, Endpoint};
use crate::publish::{Destination, Draft};
use crate::source::Source;
use crate::template::{self, Template, Vars, glob};

/// The rules of one endpoint, ready to be used.
pub struct Routes {
    events: Vec<EventRule>,
    /// Nothing where there is no broker; then some rule drops whatever comes.
    default_event: Option<Arc<Destination>>,
    jobs: Option<Arc<Destination>>,
    audit: Vec<Arc<Destination>>,
    questions: Vec<AskRule>,
    default_question: AskRule,
    tools: Vec<AskRule>,
    default_tool: AskRule,
}

struct EventRule {
    types: Vec<String>,
    to: Vec<Arc<Destination>>,
}

/// How some questions are asked.
pub struct AskRule {
    patterns: Vec<String>,
    subject: Template,
    timeout: Option<Duration>,
    /// How long "nobody is there" is not taken for an answer.
    pub grace: Duration,
    /// How long a streamed answer may pause between two parts.
    pub chunk_timeout: Duration,
    /// What is answered when no worker does, as JSON.
    pub fallback: Option<Bytes>,
    /// The members of the message that a tool worker gets.
    pub context: Context,
    /// Destinations that store the webhook too.
    pub copy_to: Vec<Arc<Destination>>,
    /// The metric label of each pattern, and of all others.
    labels: Vec<Arc<str>>,
}

/// Why the rules of an endpoint can't be used.
#[derive(Debug, thiserror::Error)]
#[error("`{text}`: {error}")]
pub struct Error {
    text: String,
    error: template::Error,
}

impl Routes {
    /// The rules of an endpoint.
    pub fn new(
        endpoint: &Endpoint,
        default_event: Option<&str>,
        job: Option<&str>,
        destinations: &Draft<'_>,
    ) -> Result<Self, Error> {
        let all = |texts: &[String]| -> Result<Vec<_>, Error> {
            texts.iter().map(|text| find(destinations, text)).collect()
        };
        let events = endpoint
            .events
            .iter()
            .map(|rule| Ok(EventRule { types: rule.types.clone(), to: all(&rule.to)? }))
            .collect::<Result<_, Error>>()?;
        let questions = endpoint
            .questions
            .iter()
            .map(|rule| {
                Ok(AskRule {
                    patterns: rule.types.clone(),
                    subject: subject(&rule.subject)?,
                    timeout: rule.timeout.map(config::units::Time::get),
                    grace: rule.no_responders_grace.get(),
                    chunk_timeout: rule.chunk_timeout.get(),
                    fallback: rule.fallback.as_ref().map(json),
                    context: Context::default(),
                    copy_to: all(&rule.copy_to)?,
                    labels: Vec::new(),
                })
            })
            .collect::<Result<_, Error>>()?;
        let tools = endpoint
            .tools
            .iter()
            .map(|rule| {
                Ok(AskRule {
                    patterns: rule.names.clone(),
                    subject: subject(&rule.subject)?,
                    timeout: rule.timeout.map(config::units::Time::get),
                    grace: rule.no_responders_grace.get(),
                    chunk_timeout: Duration::ZERO,
                    fallback: rule.fallback.as_ref().map(json),
                    context: rule.context.clone(),
                    copy_to: all(&rule.copy_to)?,
                    labels: rule.names.iter().map(|name| name.as_str().into()).collect(),
                })
            })
            .collect::<Result<_, Error>>()?;
        let by_default = |text: &str| -> Result<AskRule, Error> {
            Ok(AskRule {
                patterns: Vec::new(),
                subject: subject(text)?,
                timeout: None,
                grace: Duration::ZERO,
                chunk_timeout: config::CHUNK_TIMEOUT.get(),
                fallback: None,
                context: Context::default(),
                copy_to: Vec::new(),
                labels: vec!["other".into()],
            })
        };
        Ok(Self {
            events,
            questions,
            tools,
            default_question: by_default(config::ASK_SUBJECT)?,
            default_tool: by_default(config::TOOL_SUBJECT)?,
            default_event: default_event.map(|text| find(destinations, text)).transpose()?,
            jobs: job.map(|text| find(destinations, text)).transpose()?,
            audit: endpoint
                .audit
                .as_ref()
                .map_or_else(|| Ok(Vec::new()), |audit| all(&audit.to))?,
        })
    }

    /// The destinations of an event type; none means that it is dropped on purpose.
    pub fn event(&self, kind: &str) -> &[Arc<Destination>] {
        let rule = self
            .events
            .iter()
            .find(|rule| rule.types.iter().any(|pattern| glob::matches(pattern, kind)));
        rule.map_or(self.default_event.as_slice(), |rule| &rule.to)
    }

    /// All destinations that something may go to.
    pub fn destinations(&self) -> impl Iterator<Item = &Arc<Destination>> {
        let events = self.events.iter().flat_map(|rule| &rule.to);
        let copies = self.questions.iter().chain(&self.tools).flat_map(|rule| &rule.copy_to);
        events.chain(copies).chain(&self.audit).chain(&self.default_event).chain(&self.jobs)
    }

    /// Where jobs are stored; nowhere without a broker.
    pub fn job(&self) -> Option<&Arc<Destination>> {
        self.jobs.as_ref()
    }

    /// Where it is told what became of each question.
    pub fn audit(&self) -> &[Arc<Destination>] {
        &self.audit
    }

    /// How a question of this type is asked.
    pub fn question(&self, kind: &str) -> &AskRule {
        self.questions
            .iter()
            .find(|rule| rule.place(kind).is_some())
            .unwrap_or(&self.default_question)
    }

    /// How a function is asked, and its metric label: the name or pattern as configured.
    pub fn tool(&self, function: &str) -> (&AskRule, &Arc<str>) {
        let found = self
            .tools
            .iter()
            .find_map(|rule| Some((rule, rule.labels.get(rule.place(function)?)?)));
        found.unwrap_or((&self.default_tool, &self.default_tool.labels[0]))
    }

    /// Whether some rule gives an answer without a worker.
    pub fn has_fallback(&self) -> bool {
        self.questions.iter().chain(&self.tools).any(|rule| rule.fallback.is_some())
    }
}

impl AskRule {
    /// Which of the patterns fits.
    fn place(&self, name: &str) -> Option<usize> {
        self.patterns.iter().position(|pattern| glob::matches(pattern, name))
    }

    /// The subject of a question.
    pub fn subject(&self, vars: &Vars<'_>) -> String {
        self.subject.render_subject(vars)
    }

    /// The time that a question has: the rule's, else the source's; and the sender's own limit, if it is shorter.
    pub fn time(&self, source: &dyn Source, label: &str, limit: Option<Duration>) -> Duration {
        let time = self.timeout.unwrap_or_else(|| source.time_limit(label));
        limit.map_or(time, |limit| limit.min(time))
    }
}

fn find(destinations: &Draft<'_>, text: &str) -> Result<Arc<Destination>, Error> {
    destinations.get(text).map_err(|error| Error { text: text.to_owned(), error })
}

fn subject(text: &str) -> Result<Template, Error> {
    Template::subject(text).map_err(|error| Error { text: text.to_owned(), error })
}

fn json(value: &serde_json::Value) -> Bytes {
    value.to_string().into()
}
