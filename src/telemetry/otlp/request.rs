//! An export request. Those of all signals are laid out alike: what is sent, within the scope that made it, within the
//! resource that it comes from.
//!
//! Each part is encoded before what it is in: a message within messages would be measured again for each of them.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use prost::Message;

use super::resource::Resource;

/// `ExportTraceServiceRequest`, `ExportMetricsServiceRequest` and `ExportLogsServiceRequest`, with one resource.
#[derive(Message)]
struct Request {
    #[prost(bytes = "vec", tag = "1")]
    of_resource: Vec<u8>,
}

/// `ResourceSpans`, `ResourceMetrics` and `ResourceLogs`, with one scope.
#[derive(Message)]
struct OfResource {
    #[prost(message, optional, tag = "1")]
    resource: Option<ResourceMessage>,
    #[prost(bytes = "vec", tag = "2")]
    of_scope: Vec<u8>,
}

/// `ScopeSpans`, `ScopeMetrics` and `ScopeLogs`.
#[derive(Message)]
struct OfScope {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    sent: Vec<Vec<u8>>,
}

/// The request that sends these spans, metrics or log records.
pub(super) fn request(
    resource: &Resource,
    sent: impl IntoIterator<Item = impl Message>,
) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let sent = sent.into_iter().map(|it| it.encode_to_vec()).collect();
    let of_scope = OfScope { scope: Some(scope), sent }.encode_to_vec();
    let of_resource = OfResource { resource: Some(resource.message.clone()), of_scope };
    Request { of_resource: of_resource.encode_to_vec() }.encode_to_vec()
}
