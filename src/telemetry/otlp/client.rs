//! One export: gRPC or HTTP, over the same HTTP client.
//!
//! A gRPC call with one message each way is an HTTP/2 request whose body is five bytes and that message, and whose status
//! is in the trailers (or in the headers, if there is no answer). Exports need no more of gRPC than that.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use percent_encoding::percent_decode_str;
use prost::Message as _;
use reqwest::{Certificate, Url};

use super::resource::Resource;
use crate::config::{self, OtlpProtocol, Signal};
use crate::http_client::{self, root_cause};

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Longest text of a collector that is shown, in characters.
const MAX_ERROR: usize = 200;

/// After so much silence a connection is asked whether it still is one.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be parsed.
    #[error("the address of the collector can't be used: {0}")]
    Address(String),
    /// The file with certificate authorities.
    #[error("`tls_ca`: {0}")]
    Authorities(String),
    /// A header, by its name.
    #[error("the header `{0}` can't be sent")]
    Header(String),
    /// Something else.
    #[error("there is no HTTP client: {0}")]
    Client(reqwest::Error),
}

/// Sends messages to a collector.
pub(super) struct Client {
    pub(super) resource: Resource,
    http: reqwest::Client,
    endpoint: Url,
    protocol: OtlpProtocol,
    headers: HeaderMap,
}

/// Why an export failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What happened, without anything secret.
    pub(super) error: String,
    /// What to do about it, where that is known.
    pub(super) hint: Option<&'static str>,
    /// Whether it may work a moment later.
    pub(super) may_pass: bool,
}

impl Client {
    pub(super) fn new(settings: &config::Otlp) -> Result<Self, Error> {
        let endpoint =
            Url::parse(&settings.endpoint).map_err(|error| Error::Address(error.to_string()))?;
        let mut builder = http_client::builder(&endpoint).timeout(settings.timeout.get());
        if settings.protocol == OtlpProtocol::Grpc {
            builder = builder.http2_prior_knowledge().http2_keep_alive_interval(PING_INTERVAL);
        }
        if let Some(path) = &settings.tls_ca {
            let failed = |error: &dyn std::fmt::Display| Error::Authorities(error.to_string());
            let pem = std::fs::read(path).map_err(|error| failed(&error))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| failed(&error))?;
            builder = builder.tls_certs_only(authorities);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let failed = || Error::Header(name.clone());
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| failed())?;
            value.set_sensitive(true);
            headers.insert(name.parse::<HeaderName>().map_err(|_| failed())?, value);
        }
        Ok(Self {
            resource: Resource::new(&settings.resource),
            http: builder.build().map_err(Error::Client)?,
            endpoint,
            protocol: settings.protocol,
            headers,
        })
    }

    /// Send the request of a signal. Returns how much of it the collector rejected.
    pub(super) async fn export(&self, signal: Signal, message: Bytes) -> Result<u64, Failure> {
        let mut headers = self.headers.clone();
        let body = match self.protocol {
            OtlpProtocol::Http => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                message
            }
            OtlpProtocol::Grpc => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert(TE, HeaderValue::from_static("trailers"));
                framed(&message)
            }
        };
        let request = self.http.post(self.url(signal)).headers(headers).body(body);
        let response =
            request.send().await.map_err(|error| Failure::broken(&error.without_url()))?;
        let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| Failure::broken(&*error))?;
        if head.status != StatusCode::OK {
            return Err(Failure::status(head.status, self.protocol));
        }
        let trailers = body.trailers().cloned();
        let mut message = body.to_bytes();
        if self.protocol == OtlpProtocol::Grpc {
            call_status(trailers.as_ref().unwrap_or(&head.headers))?;
            message = message.slice(5.min(message.len())..);
        }
        // What isn't understood rejects nothing. The answers differ in their names alone.
        let answer = ExportTraceServiceResponse::decode(message).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }

    fn url(&self, signal: Signal) -> Url {
        let mut url = self.endpoint.clone();
        let path = match (self.protocol, signal) {
            (OtlpProtocol::Http, _) => {
                format!("{}/v1/{}", url.path().trim_end_matches('/'), signal.as_str())
            }
            (OtlpProtocol::Grpc, Signal::Traces) => call("trace.v1.TraceService"),
            (OtlpProtocol::Grpc, Signal::Metrics) => call("metrics.v1.MetricsService"),
            (OtlpProtocol::Grpc, Signal::Logs) => call("logs.v1.LogsService"),
        };
        url.set_path(&path);
        url
    }
}

fn call(service: &str) -> String {
    format!("/opentelemetry.proto.collector.{service}/Export")
}

/// The frame of a gRPC message: not compressed, its length, the message.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// How a call ended.
fn call_status(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let code = text("grpc-status");
    if code == "0" {
        return Ok(());
    }
    let said = percent_decode_str(text("grpc-message")).decode_utf8_lossy();
    let said: String = said.chars().filter(|c| !c.is_control()).take(MAX_ERROR).collect();
    Err(Failure {
        error: match code {
            "" => "it doesn't answer as gRPC does".to_owned(),
            code => format!("gRPC status {code}: {said}"),
        },
        hint: match code {
            "" => Some("with `protocol = \"http\"` it may be understood"),
            "12" => Some("it doesn't take this signal: leave it out of `signals`"),
            "7" | "16" => Some("look at `[telemetry.otlp.headers]`"),
            _ => None,
        },
        // Cancelled, late, aborted, out of range, unavailable, lost: those that the protocol wants to be tried again.
        may_pass: matches!(code, "1" | "4" | "10" | "11" | "14" | "15"),
    })
}

impl Failure {
    fn broken(error: &dyn std::error::Error) -> Self {
        Self { error: root_cause(error), hint: None, may_pass: true }
    }

    fn status(status: StatusCode, protocol: OtlpProtocol) -> Self {
        Self {
            error: format!("HTTP status {status}"),
            hint: match (status, protocol) {
                (StatusCode::NOT_FOUND, OtlpProtocol::Http) => {
                    Some("look at the path of `endpoint`, and whether it takes this signal")
                }
                (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                    Some("look at `[telemetry.otlp.headers]`")
                }
                _ => None,
            },
            may_pass: matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}
