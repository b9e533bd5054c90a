//! The resource that all telemetry comes from, and the values of attributes.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as Message;
use uuid::Uuid;

/// This process.
pub(super) struct Resource {
    /// What is told of it.
    pub(super) message: Message,
    /// Since when it counts.
    pub(super) since: u64,
}

impl Resource {
    /// This process, with more that the configuration says of it.
    pub(super) fn new(more: &BTreeMap<String, String>) -> Self {
        let own = [
            ("service.name", "hookbus".to_owned()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", Uuid::new_v4().to_string()),
        ];
        let mut all: BTreeMap<_, _> =
            own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        all.extend(more.clone());
        let attributes = all.into_iter().map(|(name, value)| attribute(name, text(value)));
        let message = Message { attributes: attributes.collect(), ..Message::default() };
        Self { message, since: nanoseconds(SystemTime::now()) }
    }
}

pub(super) fn attribute(name: impl Into<String>, value: AnyValue) -> KeyValue {
    KeyValue { key: name.into(), value: Some(value), ..KeyValue::default() }
}

pub(super) fn text(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

pub(super) fn number(number: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(number)) }
}

pub(super) fn boolean(is: bool) -> AnyValue {
    AnyValue { value: Some(Value::BoolValue(is)) }
}

/// Since 1970.
pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
