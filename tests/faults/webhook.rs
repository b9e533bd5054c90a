//! What is sent: each webhook has its number in its body, so that it is known wherever it turns up.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use memchr::memmem;

/// How long the sender of a question waits, in whole seconds, as the question says. The bridge answers two seconds
/// earlier.
pub(crate) const LIMIT_SECONDS: u64 = 5;

/// The tools that are called.
const FUNCTIONS: [&str; 2] = ["look_up", "book"];

/// One question in so many is never answered, and one in so many too late.
const SILENT: u64 = 199;
const SLUGGISH: u64 = 211;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broker {
    Nats,
    Kafka,
}

/// Where events are stored, each with a queue and an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    /// A subject for each type, in the stream.
    Types,
    /// A subject for each key, in the same stream.
    Keys,
    /// The topic.
    Topic,
    /// Whoever listens; it is stored nowhere.
    Live,
}

impl Destination {
    pub(crate) const ALL: [Destination; 4] =
        [Destination::Types, Destination::Keys, Destination::Topic, Destination::Live];

    pub(crate) fn broker(self) -> Broker {
        match self {
            Destination::Types | Destination::Keys | Destination::Live => Broker::Nats,
            Destination::Topic => Broker::Kafka,
        }
    }

    /// Whether what is told to be stored has to be there.
    pub(crate) fn is_stored(self) -> bool {
        self != Destination::Live
    }

    /// As it is configured.
    pub(crate) fn text(self, endpoint: &str) -> String {
        match self {
            Destination::Types => "nats:{endpoint}.events.{type}".to_owned(),
            Destination::Keys => "nats:{endpoint}.keys.{key}".to_owned(),
            Destination::Topic => format!("kafka:{endpoint}"),
            Destination::Live => "nats-core:{endpoint}.live.{type}".to_owned(),
        }
    }
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// An event for both brokers.
    Both,
    /// An event for JetStream.
    Nats,
    /// An event for Kafka.
    Kafka,
    /// An event for two destinations of the same broker.
    Pair,
    /// An event for JetStream and for whoever listens.
    Live,
    /// Tool calls, which a worker answers.
    Question,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Webhook {
    /// Later ones of the same key have higher ones.
    pub(crate) number: u64,
    pub(crate) key: usize,
    pub(crate) kind: Kind,
    /// Of the filling.
    pub(crate) size: usize,
    /// How many tools a question calls.
    pub(crate) calls: usize,
    pub(crate) is_compressed: bool,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] =
        [Kind::Both, Kind::Nats, Kind::Kafka, Kind::Pair, Kind::Live, Kind::Question];

    /// The type that the bridge's configuration sorts by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Both => "hang",
            Kind::Nats => "status-update",
            Kind::Kafka => "speech-update",
            Kind::Pair => "end-of-call-report",
            Kind::Live => "transcript",
            Kind::Question => "tool-calls",
        }
    }

    pub(crate) fn destinations(self) -> &'static [Destination] {
        match self {
            Kind::Both => &[Destination::Types, Destination::Topic],
            Kind::Nats => &[Destination::Types],
            Kind::Kafka => &[Destination::Topic],
            Kind::Pair => &[Destination::Types, Destination::Keys],
            Kind::Live => &[Destination::Types, Destination::Live],
            Kind::Question => &[],
        }
    }

    /// Whether its answer needs this broker.
    pub(crate) fn needs(self, broker: Broker) -> bool {
        match self {
            Kind::Question => broker == Broker::Nats,
            _ => self.destinations().iter().any(|one| one.is_stored() && one.broker() == broker),
        }
    }
}

impl Webhook {
    /// The same bytes each time.
    pub(crate) fn body(&self) -> String {
        let Webhook { number, key, kind, size, .. } = self;
        let filling = "hook".repeat(size / 4);
        let content = match kind {
            Kind::Question => {
                // The first of them has all of it.
                let filling = |place| if place == 0 { filling.as_str() } else { "" };
                let calls: Vec<String> =
                    (0..self.calls).map(|place| self.call(place, filling(place))).collect();
                format!(r#""toolWithToolCallList":[{}]"#, calls.join(","))
            }
            _ => format!(r#""number":{number},"filling":"{filling}""#),
        };
        format!(
            r#"{{"message":{{"type":"{}","call":{{"id":"{}"}},{content}}}}}"#,
            kind.name(),
            key_text(*key),
        )
    }

    fn call(&self, place: usize, filling: &str) -> String {
        let (number, id, function) = (self.number, self.call_id(place), self.function(place));
        format!(
            r#"{{"type":"function","name":"{function}","server":{{"timeoutSeconds":{LIMIT_SECONDS}}},"toolCall":{{"id":"{id}","type":"function","function":{{"name":"{function}","arguments":{{"number":{number},"place":{place},"filling":"{filling}"}}}}}}}}"#
        )
    }

    /// As they go over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = self.body().into_bytes();
        if !self.is_compressed {
            return body;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).and_then(|()| encoder.finish()).expect("memory that is written to")
    }

    pub(crate) fn call_id(&self, place: usize) -> String {
        format!("call_{}_{place}", self.number)
    }

    /// The tool that is called at this place.
    fn function(&self, place: usize) -> &'static str {
        FUNCTIONS[(self.number as usize + place) % FUNCTIONS.len()]
    }

    /// The subject on which a worker gets a call.
    pub(crate) fn call_subject(&self, endpoint: &str, place: usize) -> String {
        format!("{endpoint}.tool.{}", self.function(place))
    }

    /// The subject or topic that it has there.
    pub(crate) fn name_at(&self, destination: Destination, endpoint: &str) -> String {
        match destination {
            Destination::Types => format!("{endpoint}.events.{}", self.kind.name()),
            Destination::Keys => format!("{endpoint}.keys.{}", key_text(self.key)),
            Destination::Topic => endpoint.to_owned(),
            Destination::Live => format!("{endpoint}.live.{}", self.kind.name()),
        }
    }

    /// Whether the worker answers it in time.
    pub(crate) fn is_answered(&self) -> bool {
        is_answered(self.number) && !is_late(self.number)
    }
}

/// What a key is called in a body.
pub(crate) fn key_text(key: usize) -> String {
    format!("key-{key}")
}

/// Whether the worker answers the question of this number at all.
pub(crate) fn is_answered(number: u64) -> bool {
    !number.is_multiple_of(SILENT)
}

/// Whether it answers when the bridge has given up.
pub(crate) fn is_late(number: u64) -> bool {
    number.is_multiple_of(SLUGGISH)
}

/// What the worker says, given what it was asked.
pub(crate) fn result(call: &str) -> String {
    format!("done {call}")
}

/// The number in a body, in a worker's payload, or in any other bytes that hold one.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    const MARK: &[u8] = br#""number":"#;
    let digits = &bytes[memmem::find(bytes, MARK)? + MARK.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
