//! Declared streams: creating those that are missing, and comparing the others with what the server has.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{
    Config as Stream, DiscardPolicy, RetentionPolicy, StorageType,
};

use super::api::update;
use super::findings::{Change, Finding, Findings};
use crate::config::{self, Discard, Retention, Storage};

impl Findings {
    /// Create a declared stream.
    pub(super) async fn create(&mut self, context: &Context, declared: &config::Stream) {
        let name = &declared.name;
        match context.create_stream(stream(declared)).await {
            Ok(_) => {
                self.done.push(format!("created stream `{name}`"));
                self.changes.push(Change::Created(name.clone()));
            }
            Err(error) => self.refused.push(Finding::new(
                format!("stream `{name}` can't be created: {error}"),
                "fix what the server says, or create the stream by hand",
            )),
        }
    }

    /// Compare a stream with its declaration, and change it if that is to be done.
    pub(super) async fn compare(
        &mut self,
        context: &Context,
        declared: &config::Stream,
        found: &Stream,
        change: bool,
    ) {
        let name = &declared.name;
        let wanted = if declared.update { changed(declared, found) } else { stream(declared) };
        let differences = differences(&wanted, found).join(", ");
        if differences.is_empty() {
            return;
        }
        let text = format!("stream `{name}` exists and differs: {differences}");
        if !declared.update {
            return self.refused.push(Finding::new(
                text,
                "make them equal, or set `update = true` to have the stream changed at the start",
            ));
        }
        if !change {
            return self
                .done
                .push(format!("stream `{name}` will be changed by `serve`: {differences}"));
        }
        match update(context, found, &wanted).await {
            Ok(before) => {
                self.done.push(format!("changed stream `{name}`: {differences}"));
                self.changes.push(Change::Updated(before));
            }
            Err(error) => self.refused.push(Finding::new(
                format!("{text}, and it can't be changed: {error}"),
                "make them equal by hand",
            )),
        }
    }
}

/// The stream that a declaration asks for.
pub(super) fn stream(declared: &config::Stream) -> Stream {
    let max_age = declared.max_age.map(config::units::Time::get).unwrap_or_default();
    let window = declared.duplicate_window.get();
    Stream {
        name: declared.name.clone(),
        subjects: declared.subjects.clone(),
        max_age,
        max_bytes: declared
            .max_bytes
            .map_or(-1, |size| i64::try_from(size.get()).unwrap_or(i64::MAX)),
        max_messages: -1,
        num_replicas: *declared.replicas,
        storage: match *declared.storage {
            Storage::File => StorageType::File,
            Storage::Memory => StorageType::Memory,
        },
        retention: match *declared.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::Interest => RetentionPolicy::Interest,
            Retention::Workqueue => RetentionPolicy::WorkQueue,
        },
        discard: match *declared.discard {
            Discard::New => DiscardPolicy::New,
            Discard::Old => DiscardPolicy::Old,
        },
        // The server takes no window that is longer than messages live.
        duplicate_window: if max_age.is_zero() { window } else { window.min(max_age) },
        ..Stream::default()
    }
}

/// What differs, as `name is X, wanted Y`.
fn differences(wanted: &Stream, found: &Stream) -> Vec<String> {
    let mut differences = Vec::new();
    let mut check = |name: &str, wanted: String, found: String| {
        if wanted != found {
            differences.push(format!("{name} is {found}, wanted {wanted}"));
        }
    };
    let subjects = |stream: &Stream| stream.subjects.iter().cloned().collect::<BTreeSet<_>>();
    let age = |age: Duration| {
        if age.is_zero() {
            "unlimited".to_owned()
        } else {
            humantime::format_duration(age).to_string()
        }
    };
    let bytes = |bytes: i64| {
        if bytes <= 0 { "unlimited".to_owned() } else { bytes.to_string() }
    };
    check("subjects", format!("{:?}", subjects(wanted)), format!("{:?}", subjects(found)));
    check("max_age", age(wanted.max_age), age(found.max_age));
    check("max_bytes", bytes(wanted.max_bytes), bytes(found.max_bytes));
    check("replicas", wanted.num_replicas.to_string(), found.num_replicas.to_string());
    check("storage", format!("{:?}", wanted.storage), format!("{:?}", found.storage));
    check("retention", format!("{:?}", wanted.retention), format!("{:?}", found.retention));
    check("discard", format!("{:?}", wanted.discard), format!("{:?}", found.discard));
    check("duplicate_window", age(wanted.duplicate_window), age(found.duplicate_window));
    differences
}

/// What a stream is after what is written of it was changed.
pub(super) fn changed(declared: &config::Stream, found: &Stream) -> Stream {
    let wanted = stream(declared);
    let mut changed = Stream { subjects: wanted.subjects, ..found.clone() };
    if declared.max_age.is_some() {
        changed.max_age = wanted.max_age;
    }
    if declared.max_bytes.is_some() {
        changed.max_bytes = wanted.max_bytes;
    }
    if declared.replicas.is_written() {
        changed.num_replicas = wanted.num_replicas;
    }
    if declared.storage.is_written() {
        changed.storage = wanted.storage;
    }
    if declared.retention.is_written() {
        changed.retention = wanted.retention;
    }
    if declared.discard.is_written() {
        changed.discard = wanted.discard;
    }
    if declared.duplicate_window.is_written() {
        changed.duplicate_window = wanted.duplicate_window;
    }
    changed
}
