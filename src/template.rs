//! Names of subjects and topics, made from a configured text and values from outside.
//!
//! A template is literal text with the variables `{endpoint}`, `{type}`, `{key}` and `{function}`.
//! What comes from outside can only fill the place of its variable: it is escaped so that it can add
//! no wildcard, no whitespace, no control character and no empty token, and it can't be the first
//! thing in a name. In a subject two different values never give the same text; in a topic, whose
//! alphabet is too small for that, they may.

pub mod destination;
pub mod glob;
pub mod pattern;

use sha2::{Digest, Sha256};

pub use self::destination::Destination;
pub use self::pattern::{covers, overlaps};

/// The longest text that one value becomes in a subject.
const VALUE_LIMIT: usize = 128;
/// The longest name that Kafka takes for a topic.
const TOPIC_LIMIT: usize = 249;
/// The longest subject that a template may come to. NATS takes 4,096 bytes for a whole command line.
const SUBJECT_LIMIT: usize = 2_048;
/// Hex digits of the hash that stands for what was cut: 128 bits, so that nobody finds two equal ones.
const HASH_DIGITS: usize = 32;
/// What stands between the kept part of a value and its hash. No escape looks like it, so that
/// no short value can be mistaken for a cut one.
const CUT: &str = "%-";
/// What stands for a value that is absent or empty. No escape is this short.
const EMPTY: &str = "%";

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
                    "write variables as `{type}`; braces can't stand in a name",
                ));
            };
            let variable = variable(name)
                .map_err(|hint| Error::new(at, format!("unknown variable `{{{name}}}`"), hint))?;
            if parts.is_empty() && variable != Variable::Endpoint {
                return Err(Error::new(
                    at,
                    format!("`{{{name}}}` can't stand at the beginning"),
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
        if longest > SUBJECT_LIMIT {
            return Err(Error::new(
                0,
                format!(
                    "the subject can become {longest} bytes long; at most {SUBJECT_LIMIT} are allowed"
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
                format!("{} can't stand in a topic's name", quoted(character)),
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
        if !text.contains('{') && text.len() > TOPIC_LIMIT {
            return Err(Error::new(
                TOPIC_LIMIT,
                format!("the name is longer than {TOPIC_LIMIT} characters"),
                "shorten it",
            ));
        }
        Ok(template)
    }

    /// Whether the template holds this variable.
    pub fn uses(&self, variable: Variable) -> bool {
        self.parts.contains(&Part::Variable(variable))
    }

    /// The subject for these values.
    pub fn render_subject(&self, vars: &Vars<'_>) -> String {
        let mut out = String::with_capacity(self.estimate(vars));
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Variable(variable) => {
                    escape(vars.get(*variable), *variable == Variable::Type, &mut out);
                }
            }
        }
        out
    }

    /// The topic for these values.
    pub fn render_topic(&self, vars: &Vars<'_>) -> String {
        let mut out = String::with_capacity(self.estimate(vars).min(TOPIC_LIMIT + 1));
        'parts: for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Variable(variable) => {
                    let value = vars.get(*variable);
                    if value.is_empty() {
                        out.push('-');
                    }
                    for byte in value.bytes() {
                        let character = char::from(byte);
                        out.push(if stays_in_topic(character) { character } else { '-' });
                        if out.len() > TOPIC_LIMIT {
                            break 'parts;
                        }
                    }
                }
            }
        }
        if out.len() > TOPIC_LIMIT {
            // Every byte of `out` is ASCII, unless someone made the template without `topic`.
            let kept = floor_char_boundary(&out, TOPIC_LIMIT - 1 - HASH_DIGITS);
            out.truncate(kept);
            out.push('-');
            push_hash(self.hash(vars), &mut out);
        }
        if out == "." || out == ".." {
            out = out.replace('.', "-");
        }
        out
    }

    /// The NATS pattern that covers every subject this can become for one endpoint.
    pub fn pattern(&self, endpoint: &str) -> String {
        let mut out = String::new();
        // Where the token begins that is being written.
        let mut token = 0;
        let mut is_wild = false;
        for part in &self.parts {
            match part {
                Part::Variable(Variable::Endpoint) => escape(endpoint, false, &mut out),
                Part::Variable(Variable::Type) => {
                    out.truncate(token);
                    out.push('>');
                    return out;
                }
                Part::Variable(_) => is_wild = true,
                Part::Literal(text) => {
                    for character in text.chars() {
                        if character == '.' {
                            close_token(&mut out, token, is_wild);
                            out.push('.');
                            token = out.len();
                            is_wild = false;
                        } else {
                            out.push(character);
                        }
                    }
                }
            }
        }
        close_token(&mut out, token, is_wild);
        out
    }

    /// How long the result is when nothing has to be escaped.
    fn estimate(&self, vars: &Vars<'_>) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Variable(variable) => vars.get(*variable).len().clamp(1, VALUE_LIMIT),
        });
        lengths.sum()
    }

    fn longest(&self) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Variable(_) => VALUE_LIMIT,
        });
        lengths.sum()
    }

    fn hash(&self, vars: &Vars<'_>) -> Sha256 {
        let mut hash = Sha256::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => hash.update(text),
                Part::Variable(variable) => hash.update(vars.get(*variable)),
            }
        }
        hash
    }

    fn check_subject_characters(&self) -> Result<(), Error> {
        let wrong = |c: char| !c.is_ascii_graphic() || matches!(c, '*' | '>');
        let Some((offset, character)) = self.find_in_literals(wrong) else {
            return Ok(());
        };
        let hint = match character {
            '*' | '>' => {
                "wildcards are for those who subscribe; here stands one subject, with variables such as `{type}`"
            }
            _ => "subjects hold visible ASCII characters without spaces",
        };
        Err(Error::new(offset, format!("{} can't stand in a subject", quoted(character)), hint))
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

fn close_token(out: &mut String, token: usize, is_wild: bool) {
    if is_wild {
        out.truncate(token);
        out.push('*');
    }
}

fn stays_in_topic(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// Write a value so that it can't be more than one token, or, with `dots`, so many as it has parts.
fn escape(value: &str, dots: bool, out: &mut String) {
    if value.is_empty() {
        out.push_str(EMPTY);
        return;
    }
    let bytes = value.as_bytes();
    let start = out.len();
    // The last place, whole escapes only, where a cut leaves room for the hash.
    let mut cut = start;
    for (at, &byte) in bytes.iter().enumerate() {
        let stays = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => true,
            b'.' => dots && is_inner_dot(bytes, at),
            _ => false,
        };
        if stays {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(hex(byte >> 4, b'A'));
            out.push(hex(byte & 0xf, b'A'));
        }
        let written = out.len() - start;
        if written <= VALUE_LIMIT - CUT.len() - HASH_DIGITS {
            cut = out.len();
        } else if written > VALUE_LIMIT {
            out.truncate(cut);
            out.push_str(CUT);
            push_hash(Sha256::new_with_prefix(bytes), out);
            return;
        }
    }
}

/// Whether the dot at this place has something other than a dot on both sides.
fn is_inner_dot(bytes: &[u8], at: usize) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'.');
    is_part(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_part(bytes.get(at + 1))
}

fn push_hash(hash: Sha256, out: &mut String) {
    for byte in hash.finalize().iter().take(HASH_DIGITS / 2) {
        out.push(hex(byte >> 4, b'a'));
        out.push(hex(byte & 0xf, b'a'));
    }
}

fn hex(nibble: u8, letters: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { letters + nibble - 10 })
}

fn floor_char_boundary(text: &str, limit: usize) -> usize {
    (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn vars<'a>(kind: &'a str, value: &'a str) -> Vars<'a> {
        Vars { endpoint: "vapi", kind, key: Some(value), function: Some(value) }
    }

    fn subject(template: &str, kind: &str, value: &str) -> String {
        Template::subject(template).unwrap().render_subject(&vars(kind, value))
    }

    fn error(template: &str) -> (usize, String, String) {
        let error = Template::subject(template).unwrap_err();
        (error.offset, error.message, error.hint.unwrap())
    }

    #[test]
    fn plain_values_stay() {
        assert_eq!(
            subject("{endpoint}.events.{type}", "status-update", ""),
            "vapi.events.status-update"
        );
        assert_eq!(
            subject("{endpoint}.tool.{function}", "", "get_Weather-2"),
            "vapi.tool.get_Weather-2"
        );
        assert_eq!(subject("a.{type}.{key}", "chat.created", "0f-1"), "a.chat.created.0f-1");
    }

    #[test]
    fn dots_stay_only_between_parts_of_the_type() {
        for (kind, expected) in [
            ("a.b.c", "a.b.c"),
            (".a", "%2Ea"),
            ("a.", "a%2E"),
            ("a..b", "a%2E%2Eb"),
            (".", "%2E"),
            ("..", "%2E%2E"),
        ] {
            assert_eq!(subject("x.{type}", kind, ""), format!("x.{expected}"));
        }
        assert_eq!(subject("x.{key}", "", "a.b"), "x.a%2Eb");
        assert_eq!(subject("x.{function}", "", "a.b"), "x.a%2Eb");
    }

    #[test]
    fn foreign_characters_are_escaped() {
        assert_eq!(subject("x.{key}", "", "* >\r\n%\u{0}\u{e9}"), "x.%2A%20%3E%0D%0A%25%00%C3%A9");
        assert_eq!(subject("x.{type}", "", ""), "x.%");
        let absent = Vars { key: None, function: None, ..vars("t", "") };
        assert_eq!(
            Template::subject("x.{key}.{function}").unwrap().render_subject(&absent),
            "x.%.%"
        );
    }

    #[test]
    fn long_values_are_cut() {
        let fits = "a".repeat(128);
        assert_eq!(subject("x.{key}", "", &fits), format!("x.{fits}"));
        for long in [
            "a".repeat(129),
            "\u{1f600}".repeat(50),
            "a.".repeat(90),
            format!("a{}", "*".repeat(60)),
        ] {
            for template in ["x.{key}", "x.{type}"] {
                let rendered = subject(template, &long, &long);
                let value = &rendered[2..];
                assert!(value.len() <= 128 && value.len() > 120, "{value}");
                let (kept, hash) = value.split_once("%-").unwrap();
                assert_eq!(hash.len(), 32);
                // No escape is cut in half.
                assert!(kept.split('%').skip(1).all(|escape| escape.len() >= 2), "{kept}");
                // A value that looks like the cut one is something else.
                assert_ne!(subject(template, value, value), rendered);
            }
        }
        assert_ne!(
            subject("x.{key}", "", &"a".repeat(129)),
            subject("x.{key}", "", &"a".repeat(130))
        );
    }

    /// A small generator, so that failures repeat.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % limit as u64).unwrap()
        }

        fn text(&mut self) -> String {
            const LETTERS: [char; 16] = [
                'a',
                'B',
                '7',
                '_',
                '-',
                '.',
                '.',
                '*',
                '>',
                ' ',
                '%',
                '$',
                '\n',
                '\u{0}',
                '\u{e9}',
                '\u{1f600}',
            ];
            let length = match self.below(10) {
                0 => self.below(400),
                _ => self.below(6),
            };
            (0..length).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
        }
    }

    #[test]
    fn no_value_breaks_a_subject() {
        let templates = [
            "{endpoint}.events.{type}",
            "{endpoint}.tool.{function}",
            "a-{key}-b.{type}.c",
            "{endpoint}{type}{key}{function}",
        ];
        let mut random = Random(42);
        for text in templates {
            let template = Template::subject(text).unwrap();
            let pattern = template.pattern("vapi");
            for _ in 0..5_000 {
                let (kind, key, function) = (random.text(), random.text(), random.text());
                let vars = Vars {
                    endpoint: "vapi",
                    kind: &kind,
                    key: Some(&key),
                    function: Some(&function),
                };
                let subject = template.render_subject(&vars);
                assert!(subject.split('.').all(|token| !token.is_empty()), "{subject}");
                assert!(
                    subject.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>'),
                    "{subject}"
                );
                assert!(covers(&pattern, &subject), "{pattern} {subject}");
            }
        }
    }

    #[test]
    fn different_values_give_different_subjects() {
        let template = Template::subject("x.{type}.y.{key}").unwrap();
        let mut random = Random(7);
        let mut seen = std::collections::HashMap::new();
        for _ in 0..20_000 {
            let (kind, key) = (random.text(), random.text());
            let subject = template.render_subject(&Vars { kind: &kind, ..vars("", &key) });
            let before = seen.insert(subject.clone(), (kind.clone(), key.clone()));
            assert!(before.is_none_or(|before| before == (kind, key)), "{subject}");
        }
    }

    fn topic(template: &str, kind: &str, value: &str) -> String {
        Template::topic(template).unwrap().render_topic(&vars(kind, value))
    }

    #[test]
    fn topics_are_legal() {
        assert_eq!(topic("{endpoint}.events", "", ""), "vapi.events");
        assert_eq!(topic("calls.{type}", "chat.created", ""), "calls.chat.created");
        assert_eq!(topic("calls.{key}", "", "a b*\u{e9}"), "calls.a-b---");
        assert_eq!(topic("calls.{key}", "", ""), "calls.-");
        assert_eq!(topic(".{key}", "", "."), "--");
        let mut random = Random(9);
        for _ in 0..5_000 {
            let name = topic(".{type}{key}", &random.text(), &random.text());
            assert!(name.len() <= 249 && !name.is_empty() && name != "." && name != "..");
            assert!(name.chars().all(stays_in_topic), "{name}");
        }
    }

    #[test]
    fn long_topics_are_cut() {
        let (one, other) = (format!("{}1", "a".repeat(300)), format!("{}2", "a".repeat(300)));
        let name = topic("calls.{key}", "", &one);
        assert_eq!(name.len(), 249);
        assert_ne!(name, topic("calls.{key}", "", &other));
        assert_eq!(topic("c{key}", "", &"a".repeat(248)).len(), 249);
        assert!(!topic("c{key}", "", &"a".repeat(248)).contains('-'));
    }

    #[test]
    fn patterns_cover_what_is_rendered() {
        for (text, pattern) in [
            ("{endpoint}.events.{type}", "vapi.events.>"),
            ("{endpoint}.tool.{function}", "vapi.tool.*"),
            ("a.{key}-x.b.{function}", "a.*.b.*"),
            ("a.b-{type}.c", "a.>"),
            ("plain.{endpoint}-x", "plain.vapi-x"),
        ] {
            assert_eq!(Template::subject(text).unwrap().pattern("vapi"), pattern);
        }
    }

    #[test]
    fn mistakes_are_found() {
        let (at, message, hint) = error("a.{typ}");
        assert_eq!(
            (at, message.as_str(), hint.as_str()),
            (2, "unknown variable `{typ}`", "did you mean `{type}`?")
        );
        assert_eq!(error("{type}.x").1, "`{type}` can't stand at the beginning");
        assert_eq!(error("a.{type").1, "`{` without its other half");
        assert_eq!(error("a.type}").0, 6);
        assert_eq!(error("").1, "the name is empty");
        assert_eq!(error("a..b").0, 2);
        assert_eq!(error("a.").1, "a part between the dots is empty");
        assert_eq!(error("a.*").1, "`*` can't stand in a subject");
        assert_eq!(error("a b").1, "a space can't stand in a subject");
        assert_eq!(error("a.{type}.\u{e9}").0, 9);
        assert!(error("$JS.x").1.contains("`$`"));
        assert!(error("_INBOX.x").1.contains("`_INBOX`"));
        assert!(error("_IN{key}.x").1.contains("`_INBOX`"));
        assert!(Template::subject("_mine.{key}").is_ok());
        assert!(error(&format!("a{}", "{key}".repeat(20))).1.contains("2561 bytes"));
        assert_eq!(
            Template::topic("a/b").unwrap_err().message,
            "`/` can't stand in a topic's name"
        );
        assert!(Template::topic("..").is_err());
        assert!(Template::topic(&"a".repeat(250)).is_err());
    }
}
