//! Where things go: an event to its destinations, a question to its subject, with its time and its fallback.

mod texts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::texts::RuleText;
use crate::config::{self, Context, Endpoint};
use crate::message::Question;
use crate::publish::{Destination, Draft};
use crate::template::{self, Template, Vars, glob};

/// The rules of one endpoint, ready to be used.
pub struct Routes {
    events: Vec<EventRule>,
    /// Nothing where there is no broker; then some rule drops whatever comes.
    default_event: Option<Arc<Destination>>,
    jobs: Option<Arc<Destination>>,
    audit: Vec<Arc<Destination>>,
    questions: AskRules,
    functions: AskRules,
}

struct EventRule {
    types: Vec<String>,
    to: Vec<Arc<Destination>>,
}

/// How questions of one sort are asked: by the first rule that fits, or else by the last one, which fits all.
struct AskRules(Vec<AskRule>);

/// How one question is asked: by which rule, and which of its patterns.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    is_function: bool,
    rule: usize,
    pattern: usize,
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
        let rule = |text: &str, copy_to: &[String]| -> Result<AskRule, Error> {
            Ok(AskRule { copy_to: all(copy_to)?, ..AskRule::of(subject(text)?) })
        };
        let questions = endpoint.questions.iter().map(|settings| {
            Ok(AskRule {
                patterns: settings.types.clone(),
                timeout: settings.timeout.map(config::units::Time::get),
                grace: settings.no_responders_grace.get(),
                chunk_timeout: settings.chunk_timeout.get(),
                fallback: settings.fallback.as_ref().map(json),
                ..rule(&settings.subject, &settings.copy_to)?
            })
        });
        let functions = endpoint.tools.iter().map(|settings| {
            Ok(AskRule {
                patterns: settings.names.clone(),
                timeout: settings.timeout.map(config::units::Time::get),
                grace: settings.no_responders_grace.get(),
                fallback: settings.fallback.as_ref().map(json),
                context: settings.context.clone(),
                ..rule(&settings.subject, &settings.copy_to)?
            })
        });
        let any_question = rule(config::ASK_SUBJECT, &[]);
        let any_function = rule(config::TOOL_SUBJECT, &[]);
        let audit = endpoint.audit.as_ref().map(|audit| all(&audit.to));
        Ok(Self {
            events,
            questions: AskRules(questions.chain([any_question]).collect::<Result<_, _>>()?),
            functions: AskRules(functions.chain([any_function]).collect::<Result<_, _>>()?),
            default_event: default_event.map(|text| find(destinations, text)).transpose()?,
            jobs: job.map(|text| find(destinations, text)).transpose()?,
            audit: audit.transpose()?.unwrap_or_default(),
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
        let copies = self.ask_rules().flat_map(|rule| &rule.copy_to);
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

    /// How a question is asked that stands in a webhook of this type.
    pub fn ask(&self, kind: &str, question: &Question) -> Route {
        match &question.function {
            Some(function) => self.functions.find(function).route(true),
            None => self.questions.find(kind).route(false),
        }
    }

    /// The rule of a question.
    pub fn rule(&self, route: Route) -> &AskRule {
        let rules = if route.is_function { &self.functions } else { &self.questions };
        &rules.0[route.rule]
    }

    /// How a function is asked.
    pub fn function(&self, name: &str) -> &AskRule {
        &self.functions.0[self.functions.find(name).rule]
    }

    /// Whether some rule gives an answer without a worker.
    pub fn has_fallback(&self) -> bool {
        self.ask_rules().any(|rule| rule.fallback.is_some())
    }

    fn ask_rules(&self) -> impl Iterator<Item = &AskRule> {
        self.questions.0.iter().chain(&self.functions.0)
    }
}

impl Route {
    /// The numbers of the rule and of the pattern in it, as they are configured. One more than the last rule is none.
    pub fn of_rule(self) -> (usize, usize) {
        (self.rule, self.pattern)
    }
}

struct RuleMatch {
    rule: usize,
    pattern: usize,
}

impl RuleMatch {
    const fn route(self, is_function: bool) -> Route {
        Route { is_function, rule: self.rule, pattern: self.pattern }
    }
}

impl AskRules {
    /// Where the name is spoken of first.
    fn find(&self, name: &str) -> RuleMatch {
        let fits =
            |rule: &AskRule| rule.patterns.iter().position(|pattern| glob::matches(pattern, name));
        let found = self.0.iter().enumerate().find_map(|(rule, it)| Some((rule, fits(it)?)));
        let (rule, pattern) = found.unwrap_or((self.0.len() - 1, 0));
        RuleMatch { rule, pattern }
    }
}

impl AskRule {
    /// As it is where nothing is configured.
    fn of(subject: Template) -> Self {
        Self {
            patterns: Vec::new(),
            subject,
            timeout: None,
            grace: Duration::ZERO,
            chunk_timeout: config::CHUNK_TIMEOUT.get(),
            fallback: None,
            context: Context::default(),
            copy_to: Vec::new(),
        }
    }

    /// The subject of a question.
    pub fn subject(&self, vars: &Vars<'_>) -> String {
        self.subject.render_subject(vars)
    }

    /// The time that is configured, if one is.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The time that a question has: the rule's, else its own; and the sender's limit, if it is shorter.
    pub fn time(&self, question: &Question) -> Duration {
        let time = self.timeout.unwrap_or(question.timeout);
        question.limit.map_or(time, |limit| limit.min(time))
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
