//! Whose fault it is, by librdkafka's error codes.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::sink::{Class, Error};

/// Whether Kafka refused a whole batch for what may be the fault of another record in it.
pub(super) fn is_of_a_batch(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::InvalidMessage
                | Code::InvalidMessageSize
                | Code::InvalidRecord
                | Code::InvalidTimestamp
                | Code::InvalidDifferentRecord
        )
    )
}

/// The verdict over an event that was sent by itself, or that no broker has seen.
pub(super) fn of(error: &KafkaError) -> Error {
    let detail = error.to_string();
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize) => {
            Error::permanent("too-large", detail)
        }
        Some(Code::InvalidRecord | Code::InvalidMessage) => {
            Error::permanent("invalid-record", detail)
        }
        Some(Code::MessageTimedOut) => Error::timeout(),
        Some(Code::QueueFull) => Error::unavailable("queue-full", detail),
        Some(
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic,
        ) => Error::unavailable("unknown-topic", detail).of_name(),
        Some(Code::TopicAuthorizationFailed) => {
            Error::unavailable("unauthorized", detail).of_name()
        }
        Some(Code::ClusterAuthorizationFailed) => Error::unavailable("unauthorized", detail),
        Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => {
            Error::unavailable("not-enough-replicas", detail)
        }
        Some(
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::SSL
            | Code::Authentication
            | Code::RequestTimedOut
            | Code::OperationTimedOut,
        ) => Error::unavailable(UNREACHABLE, detail),
        Some(Code::Fatal | Code::PurgeQueue | Code::PurgeInflight) => {
            Error::unavailable("producer-restarted", detail)
        }
        _ => Error::unavailable("refused", detail),
    }
}

/// The reason when there is no connection to the brokers that would store an event.
pub(super) const UNREACHABLE: &str = "unreachable";

/// Whether the error says only that nothing came of it, so that the state of the brokers says more.
pub(super) fn is_unexplained(error: &Error) -> bool {
    error.class == Class::Unavailable && (*error == Error::timeout() || error.reason == UNREACHABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Scope;

    /// The verdict by class, scope and reason, and whether another record of the batch may be to blame.
    #[test]
    fn a_fault_is_that_of_the_record_the_topic_or_the_cluster() {
        use Class::{Permanent, Unavailable};
        use Scope::{Destination, Name};
        for (code, expected, is_of_batch) in [
            (Code::MessageSizeTooLarge, (Permanent, Destination, "too-large"), true),
            (Code::MessageBatchTooLarge, (Permanent, Destination, "too-large"), true),
            (Code::InvalidMessageSize, (Permanent, Destination, "too-large"), true),
            (Code::InvalidRecord, (Permanent, Destination, "invalid-record"), true),
            (Code::InvalidMessage, (Permanent, Destination, "invalid-record"), true),
            (Code::InvalidTimestamp, (Unavailable, Destination, "refused"), true),
            (Code::InvalidDifferentRecord, (Unavailable, Destination, "refused"), true),
            (Code::MessageTimedOut, (Unavailable, Destination, "timeout"), false),
            (Code::QueueFull, (Unavailable, Destination, "queue-full"), false),
            (Code::UnknownTopic, (Unavailable, Name, "unknown-topic"), false),
            (Code::UnknownTopicOrPartition, (Unavailable, Name, "unknown-topic"), false),
            (Code::InvalidTopic, (Unavailable, Name, "unknown-topic"), false),
            (Code::TopicAuthorizationFailed, (Unavailable, Name, "unauthorized"), false),
            (Code::ClusterAuthorizationFailed, (Unavailable, Destination, "unauthorized"), false),
            (Code::NotEnoughReplicas, (Unavailable, Destination, "not-enough-replicas"), false),
            (
                Code::NotEnoughReplicasAfterAppend,
                (Unavailable, Destination, "not-enough-replicas"),
                false,
            ),
            (Code::BrokerTransportFailure, (Unavailable, Destination, "unreachable"), false),
            (Code::AllBrokersDown, (Unavailable, Destination, "unreachable"), false),
            (Code::Authentication, (Unavailable, Destination, "unreachable"), false),
            (Code::Fatal, (Unavailable, Destination, "producer-restarted"), false),
            (Code::PurgeQueue, (Unavailable, Destination, "producer-restarted"), false),
            (Code::NotLeaderForPartition, (Unavailable, Destination, "refused"), false),
        ] {
            let error = KafkaError::MessageProduction(code);
            let verdict = of(&error);
            assert_eq!((verdict.class, verdict.scope, verdict.reason), expected, "{code:?}");
            assert_eq!(is_of_a_batch(&error), is_of_batch, "{code:?}");
            // Only of what never got to a broker its state says more.
            let is_silent = matches!(verdict.reason, "timeout" | "unreachable");
            assert_eq!(is_unexplained(&verdict), is_silent, "{code:?}");
        }
        assert!(!is_unexplained(&Error::permanent(UNREACHABLE, "no")));
    }
}
