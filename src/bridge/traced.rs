//! The span of a webhook, by the semantic conventions of HTTP servers. Queries are left out: they may hold secrets.

use http::request::Parts;
use http::{StatusCode, Version};

use super::{Bridge, Done, Endpoint};
use crate::message::Client;
use crate::trace::{Span, Trace};

impl Bridge {
    /// The span of a request, and the context of what is done for it: as it came, where nothing is recorded.
    pub(super) fn trace(
        &self,
        endpoint: &Endpoint,
        head: &Parts,
        client: &Client,
    ) -> (Trace, Span) {
        let Some(tracer) = &self.tracer else {
            return (Trace::received(&head.headers), Span::default());
        };
        // The path is that of an endpoint, letter by letter.
        let (method, path) = (&head.method, head.uri.path());
        let (trace, mut span) =
            tracer.receive(&head.headers, || [method.as_str(), " ", path].concat());
        span.describe(|it| {
            it.add("http.request.method", method.to_string())
                .add("url.path", path.to_owned())
                .add("url.scheme", if client.is_encrypted { "https" } else { "http" })
                .add("http.route", path.to_owned())
                .add("network.protocol.version", version(head.version))
                .add("hookbus.endpoint", &endpoint.name);
        });
        (trace, span)
    }
}

impl Done {
    /// Say in the span what it was, and what became of it.
    pub(super) fn describe(&mut self, endpoint: &Endpoint) {
        let reason = self.reason();
        let Self { id, label, result, reused, .. } = self;
        self.span.describe(|it| {
            it.add("hookbus.outcome", result.as_str());
            if let Some(id) = id {
                it.add("hookbus.id", &*id);
            }
            if let Some(label) = *label {
                it.add("hookbus.type", endpoint.metrics.type_name(label).to_owned());
            }
            if let Some(reason) = reason {
                it.add("hookbus.reason", reason);
            }
            if *reused {
                it.add("hookbus.reused", true);
            }
        });
    }
}

/// The response is on its way: the span is over. What the sender did wrong is no error of ours.
pub fn answered(mut span: Span, status: StatusCode, reason: Option<&'static str>) {
    span.describe(|it| {
        it.add("http.response.status_code", status.as_u16());
    });
    span.end(reason.or(Some("refused")).filter(|_| status.is_server_error()));
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
