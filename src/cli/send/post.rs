//! One request and its answer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{StatusCode, Version};
use reqwest::{Client, Url};
use uuid::Uuid;

use super::Arguments;
use super::sign::Credential;
use crate::cli::Failure;
use crate::cli::http_client::{self, root_cause};
use crate::config::units::Time;
use crate::source;

/// Everything about a request but its body.
pub(super) struct Post {
    client: Client,
    to: Url,
    credential: Credential,
    /// What the sample comes with.
    sample: &'static [(&'static str, &'static str)],
    /// Those of every request; they win over the credential's.
    headers: HeaderMap,
    timeout: Time,
    pub(super) count: u64,
    pub(super) concurrency: u64,
}

/// What came back.
pub(super) struct Answer {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) latency: Duration,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

impl Post {
    pub(super) fn new(arguments: Arguments) -> Result<Self, Failure> {
        let credential = Credential::find(&arguments)?;
        let sample = arguments.what.as_deref().and_then(source::sample);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, _) in &arguments.headers {
            headers.remove(name);
        }
        for (name, value) in arguments.headers {
            headers.append(name, value);
        }
        Ok(Self {
            client: client(&arguments.to, arguments.timeout).map_err(|error| {
                Failure::failed(format_args!("can't set up HTTP: {}", root_cause(&error)))
            })?,
            to: arguments.to,
            credential,
            sample: sample.map(|sample| sample.headers).unwrap_or_default(),
            headers,
            timeout: arguments.timeout,
            count: arguments.count,
            concurrency: arguments.concurrency,
        })
    }

    pub(super) async fn send(&self, body: Bytes) -> Result<Answer, reqwest::Error> {
        let started = Instant::now();
        let mut headers = self.credential.headers(&self.to, &body);
        for (name, value) in self.sample {
            let value = value.replace("{uuid}", &Uuid::new_v4().to_string());
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(*name, value);
            }
        }
        for name in self.headers.keys() {
            headers.remove(name);
        }
        headers.extend(self.headers.clone());
        let request = self.client.post(self.to.clone()).headers(headers);
        let response = request.body(body).send().await?;
        let (version, status, headers) =
            (response.version(), response.status(), response.headers().clone());
        let body = response.bytes().await?;
        Ok(Answer { version, status, headers, body, latency: started.elapsed() })
    }

    /// Why there was no answer, without the parts of the address that may be secret.
    pub(super) fn reason(&self, error: &reqwest::Error) -> String {
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
