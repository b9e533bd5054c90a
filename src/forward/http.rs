//! One request to the server, and what it answers. Redirects are not followed: the client is made so.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::{Client, Response, Url};
use tokio::time::{Instant, timeout_at};

use super::request::Request;
use crate::auth::credential::Credential;
use crate::http_client::root_cause;

/// What is read of an answer that nobody needs, so that its connection can be used again.
const DISCARDED: usize = 64 << 10;

/// The server that everything is posted to.
pub struct Server {
    client: Client,
    url: Url,
    credential: Credential,
}

/// What the server answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    /// When it wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// Nothing was sent.
    Unreachable(String),
    /// None came in time.
    Late,
    /// The connection ended, or what came was no HTTP.
    Broken(String),
    /// It is larger than this.
    TooLarge(usize),
}

impl Failed {
    /// In a word.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Late => "timeout",
            Self::Broken(_) => "broken",
            Self::TooLarge(_) => "too-large",
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => write!(f, "the server can't be reached: {reason}"),
            Self::Late => f.write_str("the server didn't answer in time"),
            Self::Broken(reason) => write!(f, "the server's answer broke off: {reason}"),
            Self::TooLarge(limit) => write!(f, "the server's answer is larger than {limit} bytes"),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Server {
    /// The one at this address.
    pub fn new(client: Client, url: Url, credential: Credential) -> Self {
        Self { client, url, credential }
    }

    /// Post, and read an answer of at most `limit` bytes before the deadline.
    pub(super) async fn ask(
        &self,
        request: &Request,
        deadline: Instant,
        limit: usize,
    ) -> Result<Answered, Failed> {
        let asking = async {
            let mut response = self.send(request).await?;
            let too_large = Failed::TooLarge(limit);
            if response.content_length().is_some_and(|length| length > limit as u64) {
                return Err(too_large);
            }
            let mut body = BytesMut::new();
            while let Some(part) = response.chunk().await.map_err(|error| failed(&error))? {
                if body.len() + part.len() > limit {
                    return Err(too_large);
                }
                body.extend_from_slice(&part);
            }
            Ok(answered(&response, body.freeze()))
        };
        timeout_at(deadline, asking).await.unwrap_or(Err(Failed::Late))
    }

    /// Post, and wait for a status before the deadline; the body is read as far as it comes in time and is small.
    pub(super) async fn tell(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Answered, Failed> {
        let sent = timeout_at(deadline, self.send(request)).await;
        let mut response = sent.unwrap_or(Err(Failed::Late))?;
        let mut body = BytesMut::new();
        let reading = async {
            while let Ok(Some(part)) = response.chunk().await {
                let left = DISCARDED - body.len();
                body.extend_from_slice(&part[..part.len().min(left)]);
                if part.len() >= left {
                    break;
                }
            }
        };
        // The status says it all.
        let _ = timeout_at(deadline, reading).await;
        Ok(answered(&response, body.freeze()))
    }

    async fn send(&self, request: &Request) -> Result<Response, Failed> {
        let Request { headers, body } = request;
        let signed = self.credential.apply(&Method::POST, &self.url, body.clone());
        let signed = signed.map_err(Failed::Unreachable)?;
        let builder = self.client.post(signed.url).headers(headers.clone()).headers(signed.headers);
        builder.body(signed.body).send().await.map_err(|error| failed(&error))
    }
}

fn answered(response: &Response, body: Bytes) -> Answered {
    let headers = response.headers().clone();
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|text| retry_after(text, SystemTime::now()));
    Answered { status: response.status(), retry_after, headers, body }
}

impl Answered {
    /// The text of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A number of seconds, or a moment.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| {
        let moment = httpdate::parse_http_date(text).ok()?;
        Some(moment.duration_since(now).unwrap_or_default())
    })
}

fn failed(error: &reqwest::Error) -> Failed {
    let reason = root_cause(error);
    if error.is_connect() { Failed::Unreachable(reason) } else { Failed::Broken(reason) }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_server_says_when_to_come_again() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_420);
        let read = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(read(" 120 "), Some(120));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(read("Tue, 21 Oct 2014 07:28:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
