//! Names of subjects and topics, made from a configured text and values from outside.
//!
//! A template is literal text with the variables `{endpoint}`, `{type}`, `{key}` and `{function}`.
//! What comes from outside can only fill the place of its variable: it is escaped so that it can add
//! no wildcard, no whitespace, no control character and no empty token, and it can't be the first
//! thing in a name. In a subject two different values never give the same text; in a topic, whose
//! alphabet is too small for that, they may.

pub mod destination;
mod escape;
pub mod glob;
pub mod pattern;
mod render;

use std::fmt;

pub use self::destination::Destination;
use self::escape::MAX_VALUE_BYTES;
pub use self::pattern::{covers, overlaps};

/// Longest topic name that Kafka takes.
const MAX_TOPIC_CHARS: usize = 249;
/// Longest subject that a template may come to. NATS takes 4,096 bytes for a whole command line.
const MAX_SUBJECT_BYTES: usize = 2_048;

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// What can stand in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// `{endpoint}`: the endpoint's name.
    Endpoint,
    /// `{type}`: the type of the webhook; in a subject it may be several tokens.
    Type,
    /// `{key}`: what ties webhooks together.
    Key,
    /// `{function}`: the function of a tool call.
    Function,
}

impl Variable {
    const ALL: [Self; 4] = [Self::Endpoint, Self::Type, Self::Key, Self::Function];

    /// The word in the braces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Type => "type",
            Self::Key => "key",
            Self::Function => "function",
        }
    }
}

/// The values of one webhook.
#[derive(Debug, Clone, Copy)]
pub struct Vars<'a> {
    /// `{endpoint}`.
    pub endpoint: &'a str,
    /// `{type}`.
    pub kind: &'a str,
    /// `{key}`.
    pub key: Option<&'a str>,
    /// `{function}`.
    pub function: Option<&'a str>,
}

impl<'a> Vars<'a> {
    fn get(&self, variable: Variable) -> &'a str {
        match variable {
            Variable::Endpoint => self.endpoint,
            Variable::Type => self.kind,
            Variable::Key => self.key.unwrap_or_default(),
            Variable::Function => self.function.unwrap_or_default(),
        }
    }
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Error {
    fn new(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { offset, message: message.into(), hint: Some(hint.into()) }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => formatter.write_str(text),
            Part::Variable(variable) => write!(formatter, "{{{}}}", variable.as_str()),
        })
    }
}

impl Template {
    /// Read a template, without looking at which characters its literals hold.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let literal = rest.find(['{', '}']).unwrap_or(rest.len());
            if literal > 0 {
                parts.push(Part::Literal(rest[..literal].to_owned()));
                at += literal;
                continue;
            }
            let end = rest.find('}').filter(|_| rest.starts_with('{'));
            let Some(name) = end.and_then(|end| rest.get(1..end)) else {
                return Err(Error::new(
                    at,
                    format!("`{}` without its other half", &rest[..1]),
                    "write variables as `{type}`; names can't contain braces",
                ));
            };
            let variable = variable(name)
                .map_err(|hint| Error::new(at, format!("unknown variable `{{{name}}}`"), hint))?;
            if parts.is_empty() && variable != Variable::Endpoint {
                return Err(Error::new(
                    at,
                    format!("`{{{name}}}` can't be at the beginning"),
                    format!(
                        "begin with a literal or `{{endpoint}}`, as in `{{endpoint}}.{{{name}}}`, \
                         so that what comes from outside doesn't choose the first part"
                    ),
                ));
            }
            parts.push(Part::Variable(variable));
            at += name.len() + 2;
        }
        if parts.is_empty() {
            return Err(Error::new(
                0,
                "the name is empty",
                "write a name such as `{endpoint}.events.{type}`",
            ));
        }
        Ok(Self { parts })
    }

    /// Read a template of a NATS subject.
    pub fn subject(text: &str) -> Result<Self, Error> {
        let template = Self::parse(text)?;
        template.check_subject_characters()?;
        template.check_subject_tokens(text)?;
        let longest = template.longest();
        if longest > MAX_SUBJECT_BYTES {
            return Err(Error::new(
                0,
                format!(
                    "the subject can become {longest} bytes long; at most {MAX_SUBJECT_BYTES} are allowed"
                ),
                "use fewer variables or shorter literals",
            ));
        }
        Ok(template)
    }

    /// Read a template of a Kafka topic.
    pub fn topic(text: &str) -> Result<Self, Error> {
        let template = Self::parse(text)?;
        if let Some((offset, character)) = template.find_in_literals(|c| !stays_in_topic(c)) {
            return Err(Error::new(
                offset,
                format!("a topic's name can't contain {}", quoted(character)),
                "topics hold letters, digits, `.`, `_` and `-`",
            ));
        }
        if text == "." || text == ".." {
            return Err(Error::new(
                0,
                format!("Kafka doesn't take `{text}` as a topic's name"),
                "write a name such as `calls.reports`",
            ));
        }
        if !text.contains('{') && text.len() > MAX_TOPIC_CHARS {
            return Err(Error::new(
                MAX_TOPIC_CHARS,
                format!("the name is longer than {MAX_TOPIC_CHARS} characters"),
                "shorten it",
            ));
        }
        Ok(template)
    }

    /// Whether the template holds this variable.
    pub fn uses(&self, variable: Variable) -> bool {
        self.parts.contains(&Part::Variable(variable))
    }

    /// Whether it can become more than one name.
    pub fn has_variables(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Variable(_)))
    }

    fn longest(&self) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Variable(_) => MAX_VALUE_BYTES,
        });
        lengths.sum()
    }

    fn check_subject_characters(&self) -> Result<(), Error> {
        let wrong = |c: char| !c.is_ascii_graphic() || matches!(c, '*' | '>');
        let Some((offset, character)) = self.find_in_literals(wrong) else {
            return Ok(());
        };
        let hint = match character {
            '*' | '>' => {
                "wildcards are for subscribers; write one subject, with variables such as `{type}`"
            }
            _ => "subjects hold visible ASCII characters without spaces",
        };
        Err(Error::new(offset, format!("a subject can't contain {}", quoted(character)), hint))
    }

    fn check_subject_tokens(&self, text: &str) -> Result<(), Error> {
        let mut offset = 0;
        // No variable holds a dot in its braces, so that the text can be split as it is.
        for token in text.split('.') {
            if token.is_empty() {
                return Err(Error::new(
                    offset.min(text.len().saturating_sub(1)),
                    "a part between the dots is empty",
                    "a subject neither begins nor ends with a dot, nor holds two in a row",
                ));
            }
            offset += token.len() + 1;
        }
        let first = text.split('.').next().unwrap_or_default();
        let literal = first.split('{').next().unwrap_or_default();
        if literal.starts_with('$') {
            return Err(Error::new(
                0,
                "subjects that begin with `$` belong to the NATS server",
                "begin with a word of your own, or `{endpoint}`",
            ));
        }
        // `_IN{type}` could become `_INBOX` as well.
        let may_become_inbox = literal.len() < first.len()
            && literal.starts_with('_')
            && "_INBOX".starts_with(literal);
        if literal.starts_with("_INBOX") || may_become_inbox {
            return Err(Error::new(
                0,
                "subjects that begin with `_INBOX` are for replies",
                "begin with a word of your own, or `{endpoint}`",
            ));
        }
        Ok(())
    }

    fn find_in_literals(&self, wrong: impl Fn(char) -> bool) -> Option<(usize, char)> {
        let mut offset = 0;
        for part in &self.parts {
            match part {
                Part::Literal(text) => {
                    if let Some((at, character)) = text.char_indices().find(|(_, c)| wrong(*c)) {
                        return Some((offset + at, character));
                    }
                    offset += text.len();
                }
                Part::Variable(variable) => offset += variable.as_str().len() + 2,
            }
        }
        None
    }
}

fn variable(name: &str) -> Result<Variable, String> {
    if let Some(found) = Variable::ALL.into_iter().find(|v| v.as_str() == name) {
        return Ok(found);
    }
    let names = Variable::ALL.map(Variable::as_str);
    Err(match nearest(name, names) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => "the variables are `{endpoint}`, `{type}`, `{key}` and `{function}`".to_owned(),
    })
}

/// The candidate that someone may have meant, if one is near enough.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// A character as an error shows it.
fn quoted(character: char) -> String {
    match character {
        ' ' => "a space".to_owned(),
        '`' => "'`'".to_owned(),
        _ => format!("`{}`", character.escape_default()),
    }
}

fn stays_in_topic(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

#[cfg(test)]
mod tests;
