//! One question: how much time it has, what the program gets of it, and how it can fail.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::service::Request;
use async_nats::service::error::Error as ServiceError;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use super::target::Target;
use crate::json::{Kind, Reader};
use crate::message::attribute;

/// Time for a question that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(18);
/// Longest time that counts, so that adding it to a clock can't overflow.
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);
/// Longest text of an error, in characters.
const MAX_ERROR_CHARS: usize = 200;

/// What goes on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The arguments of the function.
    Arguments,
    /// The whole payload.
    Payload,
}

/// One question.
#[derive(Debug)]
pub struct Question {
    /// The request, through which it is replied to.
    pub(super) request: Request,
    /// The number of the connection that it came through.
    pub(super) connection: u64,
    /// The function's name, or the type of the webhook.
    pub name: Arc<str>,
    /// When it came.
    pub arrived: Instant,
    /// When the answer must be there.
    pub deadline: Instant,
    /// Whether the question named that deadline.
    pub(super) is_limited: bool,
    input: Input,
}

impl Question {
    /// A question that has just come.
    pub(super) fn new(request: Request, connection: u64, target: &Target, input: Input) -> Self {
        let headers = request.message.headers.as_ref();
        let left = left(headers, SystemTime::now());
        let name = match target {
            Target::Function(name) => name.clone(),
            Target::AnyFunction | Target::Functions(_) => {
                attribute(&name(&request.message.payload))
            }
            Target::Other => {
                let kind = header(headers, "Hookbus-Type").unwrap_or(&request.message.subject);
                attribute(&kind.into())
            }
        };
        let input = if *target == Target::Other { Input::Payload } else { input };
        let arrived = Instant::now();
        let deadline = arrived + left.unwrap_or(DEFAULT_TIMEOUT);
        Self { request, connection, name, arrived, deadline, is_limited: left.is_some(), input }
    }

    /// Whether the deadline for the answer has passed.
    pub(super) fn is_expired(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// What was sent.
    pub fn payload(&self) -> &Bytes {
        &self.request.message.payload
    }

    /// The key of its webhook.
    pub fn key(&self) -> Option<String> {
        let key = self.header("Hookbus-Key")?;
        Some(percent_decode_str(key).decode_utf8_lossy().into_owned())
    }

    /// The size of its payload.
    pub(super) fn size(&self) -> usize {
        self.request.message.payload.len()
    }

    /// What the program reads.
    pub(super) fn input(&self) -> Result<Bytes, AnswerError> {
        let payload = &self.request.message.payload;
        match self.input {
            Input::Payload => Ok(payload.clone()),
            Input::Arguments => member(payload, "arguments")
                .map(|arguments| payload.slice_ref(arguments.as_bytes()))
                .ok_or_else(|| {
                    AnswerError::new(400, "the question is no JSON object with `arguments`")
                }),
        }
    }

    /// Whether the program gets the whole payload.
    pub(super) fn is_whole(&self) -> bool {
        self.input == Input::Payload
    }

    /// The id of the webhook, as it may stand in a log.
    pub fn id(&self) -> String {
        self.header("Hookbus-Id").unwrap_or("-").escape_debug().to_string()
    }

    /// A header of the question.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.request.message.headers.as_ref(), name)
    }

    /// The time that is left, in milliseconds.
    pub fn left_ms(&self) -> u128 {
        self.deadline.saturating_duration_since(Instant::now()).as_millis()
    }

    /// The deadline, in milliseconds since 1970.
    pub fn deadline_ms(&self) -> u128 {
        since_1970(SystemTime::now()).as_millis() + self.left_ms()
    }

    /// The variables that a program started for this question gets. What isn't known is taken out of what it inherits.
    pub(super) fn variables(&self) -> Vec<(&'static str, Option<String>)> {
        // No variable holds a NUL, and the system limits their size: `attribute` sees to both.
        let text = |name| self.header(name).map(|value| attribute(&value.into()).to_string());
        vec![
            ("HOOKBUS_FUNCTION", Some(self.name.to_string())),
            ("HOOKBUS_SUBJECT", Some(self.request.message.subject.to_string())),
            ("HOOKBUS_ID", text("Hookbus-Id")),
            ("HOOKBUS_ENDPOINT", text("Hookbus-Endpoint")),
            ("HOOKBUS_TYPE", text("Hookbus-Type")),
            ("HOOKBUS_KEY", self.key().map(|key| attribute(&key.into()).to_string())),
            ("HOOKBUS_DEADLINE", Some(self.deadline_ms().to_string())),
            ("HOOKBUS_TIMEOUT_MS", Some(self.left_ms().to_string())),
            ("TRACEPARENT", text("traceparent")),
            ("TRACESTATE", text("tracestate")),
        ]
    }
}

/// What the bridge gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Text, JSON, or what else the sender reads.
    pub body: Bytes,
    /// With what it is to be sent, such as `Hookbus-Status`.
    pub headers: HeaderMap,
}

impl From<Bytes> for Answer {
    fn from(body: Bytes) -> Self {
        Self { body, headers: HeaderMap::new() }
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerError {
    /// As in HTTP: 400 for a question that can't be read, 500 for the program's fault, 503 when it is busy, 504 when
    /// it was too slow.
    pub code: u16,
    /// One line for the bridge.
    pub text: String,
}

impl AnswerError {
    /// With the text as one line.
    pub fn new(code: u16, text: impl AsRef<str>) -> Self {
        Self { code, text: one_line(text.as_ref()) }
    }

    /// The program took too long.
    pub fn late() -> Self {
        Self::new(504, "there was no answer in time")
    }

    /// The answer doesn't fit into a message.
    pub fn too_large(limit: usize) -> Self {
        Self::new(500, format!("the answer is larger than the {limit} bytes that the server takes"))
    }

    /// As NATS micro has it.
    pub(super) fn into_service_error(self) -> ServiceError {
        ServiceError { status: self.text, code: self.code.into() }
    }
}

/// A text for a header: without control characters, and not too long.
pub(super) fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MAX_ERROR_CHARS).map(clean).collect()
}

/// The time that the headers leave, whichever of the two is shorter.
fn left(headers: Option<&HeaderMap>, now: SystemTime) -> Option<Duration> {
    let number = |name| header(headers, name).and_then(|text| text.parse::<u64>().ok());
    let until = number("Hookbus-Deadline")
        .map(|deadline| Duration::from_millis(deadline).saturating_sub(since_1970(now)));
    let timeout = number("Hookbus-Timeout-Ms").map(Duration::from_millis);
    let shorter = until.into_iter().chain(timeout).min();
    shorter.map(|left| left.min(MAX_TIMEOUT))
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    headers.and_then(|headers| headers.get(name)).map(HeaderValue::as_str)
}

/// The function that a payload names.
fn name(payload: &[u8]) -> Arc<str> {
    let raw = member(payload, "name").unwrap_or_default();
    let name = Reader::over(raw).string().map(|text| text.unescape().into_owned());
    name.unwrap_or_default().into()
}

/// The raw value of a member of a JSON object; the last one of that name.
pub(super) fn member<'a>(payload: &'a [u8], name: &str) -> Option<&'a str> {
    let mut found = None;
    let mut reader = Reader::new(payload).ok()?;
    if reader.peek() != Ok(Kind::Object) {
        return None;
    }
    let read = reader.object(|reader, key| {
        let value = reader.skip()?;
        if key == *name {
            found = Some(value);
        }
        Ok(())
    });
    read.and_then(|()| reader.end()).ok()?;
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::nats::header::insert;

    #[test]
    fn the_shorter_time_counts() {
        let now = UNIX_EPOCH + Duration::from_secs(100);
        let left = |deadline: Option<&str>, timeout: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("Hookbus-Deadline", deadline), ("Hookbus-Timeout-Ms", timeout)] {
                if let Some(value) = value {
                    insert(&mut headers, name, value.parse().unwrap());
                }
            }
            left(Some(&headers), now).map(|left| left.as_millis())
        };
        assert_eq!(left(Some("103000"), Some("5000")), Some(3000));
        assert_eq!(left(Some("103000"), Some("2000")), Some(2000));
        assert_eq!(left(Some("99999"), Some("2000")), Some(0));
        assert_eq!(left(None, Some("2000")), Some(2000));
        assert_eq!(left(Some("soon"), None), None);
        assert_eq!(left(Some("18446744073709551615"), None), Some(MAX_TIMEOUT.as_millis()));
        assert_eq!(super::left(None, now), None);
    }

    #[test]
    fn the_last_member_counts() {
        let payload = br#" {"name": "a", "arguments": {"x": 1}, "argum\u0065nts": [2] } "#;
        assert_eq!(member(payload, "arguments"), Some("[2]"));
        assert_eq!(&*name(payload), "a");
        for wrong in [&b""[..], b"[]", b"{}", b"{\"arguments\": 1", b"\xff"] {
            assert_eq!(member(wrong, "arguments"), None);
        }
    }

    #[test]
    fn an_error_is_one_line_that_a_header_takes() {
        let failed = AnswerError::new(500, " a\r\nb\u{0}c ");
        assert_eq!(failed.text, "a  b c");
        assert_eq!(AnswerError::new(500, "\u{e9}".repeat(300)).text.chars().count(), 200);
    }
}
