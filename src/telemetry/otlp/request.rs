//! An export request. Those of all signals are laid out alike: what is sent, within the scope that made it, within the
//! resource that it comes from.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use prost::Message;

use super::resource::Resource;
use super::wire::{BYTES, bytes, field_size, key, varint};

/// The request that sends these metrics or log records.
pub(super) fn of_messages(
    resource: &Resource,
    sent: impl IntoIterator<Item = impl Message>,
) -> Vec<u8> {
    request(resource, sent.into_iter().map(|it| it.encode_to_vec()).collect())
}

/// The request that sends spans, metrics or log records, each as it is encoded: a message within messages would be
/// measured again for each of them.
pub(super) fn request(resource: &Resource, sent: Vec<Vec<u8>>) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let (scope, resource) = (scope.encode_to_vec(), resource.message.encode_to_vec());
    // `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
    let sent_size: usize = sent.iter().map(|it| field_size(it.len())).sum();
    let of_scope_size = field_size(scope.len()) + sent_size;
    // `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    let of_resource_size = field_size(resource.len()) + field_size(of_scope_size);
    let mut out = Vec::with_capacity(field_size(of_resource_size));
    out.push(key(1, BYTES));
    varint(&mut out, of_resource_size as u64);
    bytes(&mut out, 1, &resource);
    out.push(key(2, BYTES));
    varint(&mut out, of_scope_size as u64);
    bytes(&mut out, 1, &scope);
    for it in sent {
        bytes(&mut out, 2, &it);
    }
    out
}
