//! One request and its answer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use reqwest::{Client, Url};
use uuid::Uuid;

use super::Arguments;
use super::body::sample;
use super::sign;
use crate::auth::credential::{Credential, Signed};
use crate::cli::Failure;
use crate::config::Endpoint;
use crate::config::units::Time;
use crate::http_client::{self, root_cause};
use crate::source::Sample;
use crate::telemetry::terminal;

/// What hookbus says of an answer.
pub(super) const OUTCOME: &str = "hookbus-outcome";
pub(super) const REUSED: &str = "hookbus-reused";
pub(super) const ID: &str = "hookbus-id";

/// Everything about a request but its body.
pub(super) struct Post {
    client: Client,
    to: Url,
    credential: Credential,
    method: Method,
    /// What the sample comes with.
    sample: Option<&'static Sample>,
    /// Those of every request; they win over the credential's.
    headers: HeaderMap,
    timeout: Time,
    pub(super) count: u64,
    pub(super) concurrency: u64,
    pub(super) json: bool,
}

/// What came back.
pub(super) struct Answer {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) latency: Duration,
}

/// Why nothing came back.
pub(super) enum Unanswered {
    /// It wasn't sent: it can't be signed.
    Unsigned(String),
    /// The connection failed.
    Http(reqwest::Error),
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// All of it as one JSON object; the body as JSON if it is JSON, else as text.
    pub(super) fn json(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&self.body).into());
        let answer = serde_json::json!({
            "status": self.status.as_u16(),
            "version": format!("{:?}", self.version),
            "outcome": self.header(OUTCOME),
            "reused": self.header(REUSED).is_some(),
            "id": self.header(ID),
            "milliseconds": self.latency.as_secs_f64() * 1e3,
            "body": body,
        });
        terminal::json(&answer.to_string())
    }
}

impl Post {
    pub(super) fn new(
        arguments: Arguments,
        mut to: Url,
        provider: &str,
        endpoint: Option<&Endpoint>,
    ) -> Result<Self, Failure> {
        let sample = arguments.what.as_deref().and_then(|what| sample(what, provider));
        if let Some(sample) = sample.filter(|sample| !sample.query.is_empty()) {
            to.set_query(Some(&sample.query));
        }
        let credential = sign::credential(&arguments, &to, provider, endpoint)?;
        let mut headers = HeaderMap::new();
        let content_type = sample.map_or("application/json", |sample| &sample.content_type);
        headers.extend(HeaderValue::from_str(content_type).ok().map(|it| (CONTENT_TYPE, it)));
        for (name, _) in &arguments.headers {
            headers.remove(name);
        }
        for (name, value) in arguments.headers {
            headers.append(name, value);
        }
        Ok(Self {
            client: client(&to, arguments.timeout).map_err(|error| {
                Failure::failed(format_args!("can't set up HTTP: {}", root_cause(&error)))
            })?,
            to,
            credential,
            method: sample.map_or(Method::POST, |sample| sample.method.into()),
            sample,
            headers,
            timeout: arguments.timeout,
            count: arguments.count,
            concurrency: arguments.concurrency,
            json: arguments.json,
        })
    }

    pub(super) async fn send(&self, body: Bytes) -> Result<Answer, Unanswered> {
        let started = Instant::now();
        let signed = self.credential.apply(&self.method, &self.to, body);
        let Signed { url: to, mut headers, body } = signed.map_err(Unanswered::Unsigned)?;
        for (name, value) in self.sample.iter().flat_map(|sample| &sample.headers) {
            let value = value.replace("{uuid}", &Uuid::new_v4().to_string());
            let name: Option<HeaderName> = name.parse().ok();
            if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                // One that was signed stays as it was signed.
                headers.entry(name).or_insert(value);
            }
        }
        for name in self.headers.keys() {
            headers.remove(name);
        }
        headers.extend(self.headers.clone());
        let request = self.client.request(self.method.clone(), to).headers(headers);
        let response = request.body(body).send().await?;
        let (version, status, headers) =
            (response.version(), response.status(), response.headers().clone());
        let body = response.bytes().await?;
        Ok(Answer { version, status, headers, body, latency: started.elapsed() })
    }

    /// Why there was no answer, without the parts of the address that may be secret.
    pub(super) fn reason(&self, error: &Unanswered) -> String {
        let error = match error {
            Unanswered::Unsigned(why) => return format!("can't sign the body: {why}"),
            Unanswered::Http(error) => error,
        };
        let place = self.to.host_str().unwrap_or_default();
        let port = self.to.port_or_known_default().unwrap_or_default();
        if error.is_timeout() {
            format!("no answer from {place}:{port} within {}", self.timeout)
        } else if error.is_connect() {
            format!("can't connect to {place}:{port}: {}", root_cause(error))
        } else {
            format!("no answer from {place}:{port}: {}", root_cause(error))
        }
    }
}

fn client(to: &Url, timeout: Time) -> Result<Client, reqwest::Error> {
    http_client::builder(to).timeout(timeout.get()).tcp_nodelay(true).build()
}
