//! Lines of the log as messages.

use std::fmt;
use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber as Severity};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;

use super::queue::Queue;
use super::resource::{attribute, boolean, nanoseconds, number, text as any};

/// Longest text of a record, in bytes; a longer one is cut.
const MAX_TEXT_BYTES: usize = 8 << 10;

/// Where records go, once something sends them.
pub(super) static RECORDS: OnceLock<Queue<LogRecord>> = OnceLock::new();

/// Makes records of what is logged.
pub(in crate::telemetry) struct Layer;

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(records) = RECORDS.get() else { return };
        let (level, now) = (event.metadata().level(), nanoseconds(SystemTime::now()));
        let mut fields = Fields::default();
        event.record(&mut fields);
        records.push(LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: severity(level).into(),
            severity_text: level.to_string(),
            body: Some(any(fields.message)),
            attributes: fields.attributes,
            ..LogRecord::default()
        });
    }
}

fn severity(level: &Level) -> Severity {
    match *level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    attributes: Vec<KeyValue>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: AnyValue) {
        self.attributes.push(attribute(field.name(), value));
    }

    fn text(&mut self, field: &Field, mut text: String) {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        match field.name() {
            "message" => self.message = text,
            _ => self.add(field, any(text)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, number(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, number(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, AnyValue { value: Some(Value::DoubleValue(value)) });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, boolean(value));
    }
}
