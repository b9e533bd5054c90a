//! What is posted: the body that the server knows, a CloudEvent's headers by the HTTP binding, and our own.

use std::borrow::Cow;
use std::time::SystemTime;

use async_nats::HeaderMap as NatsHeaders;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::about::{About, Kind};
use crate::config::provider::{Asking, Payload};
use crate::config::{self, Endpoint};
use crate::nats::header::encoded;
use crate::source;
use crate::template::{Destination, glob};
use crate::worker::Question;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// What stands before the attributes of a CloudEvent in headers.
const ATTRIBUTE: &str = "ce-";

/// A request, apart from where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// How the provider of an endpoint speaks.
#[derive(Debug, Clone)]
pub struct Dialect {
    endpoint: String,
    /// What the types of its CloudEvents begin with.
    prefix: String,
    /// Types that call functions.
    calls: Vec<String>,
    /// How a described provider asks.
    asking: Vec<Asking>,
    source: String,
    /// What the subjects of jobs begin with.
    jobs: String,
}

impl Dialect {
    /// That of this endpoint.
    pub fn new(endpoint: &Endpoint) -> Self {
        let described = endpoint.facts.description.as_ref();
        let jobs = Destination::parse(config::JOB_SUBJECT).ok();
        let jobs = jobs.map(|jobs| jobs.template().pattern(&endpoint.name)).unwrap_or_default();
        Self {
            endpoint: endpoint.name.clone(),
            prefix: source::of(endpoint).event_prefix().to_owned(),
            calls: endpoint.facts.calls.clone(),
            asking: described.map(|provider| provider.questions.clone()).unwrap_or_default(),
            source: endpoint.source.clone(),
            jobs: jobs.trim_end_matches('*').to_owned(),
        }
    }

    /// How a described provider asks questions of this type.
    pub(super) fn asking(&self, kind: &str) -> Option<&Asking> {
        let is_meant =
            |asking: &&Asking| asking.types.iter().any(|pattern| glob::matches(pattern, kind));
        self.asking.iter().find(is_meant)
    }

    /// Whether the answer to a question of this type is no text.
    pub(super) fn is_answered_in_bytes(&self, kind: &str) -> bool {
        source::is_answered_in_bytes(&self.source, kind)
    }

    /// An event that JetStream holds.
    pub(super) fn event(
        &self,
        subject: &str,
        said: Option<&NatsHeaders>,
        payload: &Bytes,
    ) -> (About, Request) {
        let all = said.into_iter().flat_map(|said| said.iter());
        let attributes = all.filter_map(|(name, values)| {
            let name: &str = name.as_ref();
            Some((name.to_ascii_lowercase(), values.first()?.as_str()))
        });
        self.cloud_event(Some(subject), attributes, payload)
    }

    /// An event by the headers that it is stored with, whose names are in lower case: percent-encoded as in the HTTP
    /// binding, the content type as an attribute.
    pub(super) fn cloud_event<'a>(
        &self,
        subject: Option<&str>,
        said: impl Iterator<Item = (String, &'a str)>,
        payload: &Bytes,
    ) -> (About, Request) {
        let mut headers = HeaderMap::new();
        let mut content_type = Cow::Borrowed(JSON);
        let (mut id, mut kind, mut key) = (String::new(), String::new(), None);
        for (name, value) in said {
            let meant = || percent_decode_str(value).decode_utf8_lossy();
            match name.strip_prefix(ATTRIBUTE) {
                Some("datacontenttype") => {
                    content_type = meant();
                    continue;
                }
                Some("id") => id = meant().into_owned(),
                Some("type") => kind = meant().into_owned(),
                Some("subject") => key = Some(meant().into_owned()),
                Some(_) => {}
                None if name == "traceparent" || name == "tracestate" => {}
                None => continue,
            }
            put(&mut headers, &name, value);
        }
        let job = subject.and_then(|subject| subject.strip_prefix(&*self.jobs));
        let function = job.map(|job| percent_decode_str(job).decode_utf8_lossy().into_owned());
        let name = kind.strip_prefix(&*self.prefix).unwrap_or(&kind).to_owned();
        let whole = function.as_ref().and_then(|_| source::webhook_of_call(&name, payload));
        let about = About { kind: Kind::Event, id, name, key, function };
        self.add_own(&mut headers, &about);
        put(&mut headers, CONTENT_TYPE.as_str(), &content_type);
        (about, Request { headers, body: whole.unwrap_or_else(|| payload.clone()) })
    }

    /// A question.
    pub(super) fn question(&self, question: &Question) -> (About, Request) {
        let about = self.about(question);
        let payload = question.payload();
        let asking = self.asking(&about.name);
        let is_form = asking.is_some_and(|asking| asking.payload == Payload::Fields);
        let form = if is_form { form(payload) } else { None };
        let call = about.function.as_ref();
        let call = call.and_then(|_| source::webhook_of_call(&about.name, payload));
        let content_type = if form.is_some() { FORM } else { JSON };
        let mut headers = HeaderMap::new();
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let attributes = [
            ("ce-specversion", Some("1.0")),
            ("ce-id", Some(&*about.id)),
            ("ce-source", Some(&*format!("/hookbus/{}", self.endpoint))),
            ("ce-type", Some(&*format!("{}{}", self.prefix, about.name))),
            ("ce-time", Some(&*time)),
            ("ce-subject", about.key.as_deref()),
        ];
        for (name, value) in attributes {
            if let Some(value) = value {
                put(&mut headers, name, encoded(value).as_str());
            }
        }
        for name in ["traceparent", "tracestate"] {
            if let Some(value) = question.header(name) {
                put(&mut headers, name, value);
            }
        }
        self.add_own(&mut headers, &about);
        put(&mut headers, CONTENT_TYPE.as_str(), content_type);
        (about, Request { headers, body: call.or(form).unwrap_or_else(|| payload.clone()) })
    }

    /// What a question is about.
    pub(super) fn about(&self, question: &Question) -> About {
        let name = question.header("Hookbus-Type").unwrap_or(&question.name).to_owned();
        let is_call = self.calls.contains(&name);
        About {
            kind: Kind::Question,
            id: question.header("Hookbus-Id").unwrap_or_default().to_owned(),
            name,
            key: question.key(),
            function: is_call.then(|| question.name.to_string()),
        }
    }

    fn add_own(&self, headers: &mut HeaderMap, about: &About) {
        put(headers, "hookbus-id", encoded(&about.id).as_str());
        put(headers, "hookbus-endpoint", &self.endpoint);
        put(headers, "hookbus-type", encoded(&about.name).as_str());
        if let Some(key) = &about.key {
            put(headers, "hookbus-key", encoded(key).as_str());
        }
    }
}

impl Request {
    /// A header more, or another value of one.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        put(&mut self.headers, name, value);
    }
}

/// Set a header. What no header can hold comes from others than the bridge, and is left out.
fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) =
        (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
    {
        headers.insert(name, value);
    }
}

/// Fields that became an object, as the form that they were.
fn form(object: &[u8]) -> Option<Bytes> {
    let fields: Map<String, Value> = serde_json::from_slice(object).ok()?;
    let mut form = Serializer::new(String::new());
    for (name, value) in &fields {
        match value {
            Value::Array(values) => {
                for value in values {
                    form.append_pair(name, value.as_str()?);
                }
            }
            value => {
                form.append_pair(name, value.as_str()?);
            }
        }
    }
    Some(form.finish().into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::nats::header::insert;

    fn dialect() -> Dialect {
        let facts = source::facts("vapi").unwrap();
        Dialect::new(&Endpoint::of("vapi", facts, Vec::new(), "http://127.0.0.1/"))
    }

    #[test]
    fn an_event_goes_out_as_a_cloud_event() {
        let mut said = NatsHeaders::new();
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "id%201"),
            ("ce-type", "ai.vapi.hang"),
            ("ce-subject", "call%C3%A9"),
            ("ce-datacontenttype", "text/plain;%20charset=utf-8"),
            ("traceparent", "00-1-2-01"),
            ("Nats-Msg-Id", "x"),
        ] {
            insert(&mut said, name, value.parse().unwrap());
        }
        let body = Bytes::from_static(b"\xff\x00");
        let (about, request) = dialect().event("vapi.events.hang", Some(&said), &body);
        assert_eq!(
            (&*about.id, &*about.name, about.key.as_deref()),
            ("id 1", "hang", Some("call\u{e9}"))
        );
        assert_eq!(request.body, body);
        let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("ce-subject"), Some("call%C3%A9"));
        assert_eq!(header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(header("hookbus-type"), Some("hang"));
        assert_eq!(header("hookbus-key"), Some("call%C3%A9"));
        assert_eq!(header("traceparent"), Some("00-1-2-01"));
        assert_eq!((header("nats-msg-id"), header("ce-datacontenttype")), (None, None));
    }

    #[test]
    fn an_event_of_others_needs_no_headers() {
        let (about, request) = dialect().event("vapi.events.x", None, &Bytes::new());
        assert_eq!((&*about.name, about.key), ("", None));
        assert_eq!(request.headers["content-type"], "application/json");
    }

    #[test]
    fn a_job_becomes_the_webhook_that_held_it() {
        let mut said = NatsHeaders::new();
        insert(&mut said, "ce-type", "ai.vapi.tool-calls".parse().unwrap());
        let job = Bytes::from_static(br#"{"id":"c","name":"a b","arguments":{}}"#);
        let (about, request) = dialect().event("vapi.jobs.a%20b", Some(&said), &job);
        assert_eq!(about.function.as_deref(), Some("a b"));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["message"]["toolCallList"][0]["id"], "c");
    }

    #[test]
    fn fields_become_a_form_again() {
        let fields = br#"{"a":["1","2 3"],"b":"","c":"\"x\""}"#;
        assert_eq!(form(fields).unwrap(), &b"a=1&a=2+3&b=&c=%22x%22"[..]);
        assert_eq!(form(b"[]"), None);
        assert_eq!(form(br#"{"a":1}"#), None);
    }
}
