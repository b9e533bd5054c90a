//! What is sent: each webhook has its number in its body, so that it is known wherever it turns up.

use memchr::memmem;

/// How long the sender of a question waits, in whole seconds, as the question says. The bridge answers two seconds
/// earlier.
pub(crate) const LIMIT_SECONDS: u64 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broker {
    Nats,
    Kafka,
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event for both brokers.
    Both,
    /// An event for JetStream.
    Nats,
    /// An event for Kafka.
    Kafka,
    /// A tool call, which a worker answers.
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
}

impl Kind {
    /// The type that the bridge's configuration sorts by.
    fn name(self) -> &'static str {
        match self {
            Kind::Both => "hang",
            Kind::Nats => "status-update",
            Kind::Kafka => "speech-update",
            Kind::Question => "tool-calls",
        }
    }

    pub(crate) fn brokers(self) -> &'static [Broker] {
        match self {
            Kind::Both => &[Broker::Nats, Broker::Kafka],
            Kind::Nats => &[Broker::Nats],
            Kind::Kafka => &[Broker::Kafka],
            Kind::Question => &[],
        }
    }
}

impl Webhook {
    /// The same bytes each time.
    pub(crate) fn body(&self) -> String {
        let Webhook { number, key, kind, size } = self;
        let content = match kind {
            Kind::Question => format!(
                r#""toolWithToolCallList":[{{"type":"function","name":"look_up","server":{{"timeoutSeconds":{LIMIT_SECONDS}}},"toolCall":{{"id":"call_{number}","type":"function","function":{{"name":"look_up","arguments":{{"number":{number}}}}}}}}}]"#
            ),
            _ => format!(r#""number":{number}"#),
        };
        let filling = "hook".repeat(size / 4);
        format!(
            r#"{{"message":{{"type":"{}","call":{{"id":"key-{key}"}},{content},"filling":"{filling}"}}}}"#,
            kind.name()
        )
    }
}

/// The number in a body, in a worker's payload, or in any other bytes that hold one.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    const MARK: &[u8] = br#""number":"#;
    let digits = &bytes[memmem::find(bytes, MARK)? + MARK.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
