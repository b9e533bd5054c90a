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
            Error::reject("too-large", detail)
        }
        Some(Code::InvalidRecord | Code::InvalidMessage) => Error::reject("invalid-record", detail),
        Some(Code::MessageTimedOut) => Error::timeout(),
        Some(Code::QueueFull) => Error::retry("queue-full", detail),
        Some(
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic,
        ) => Error::retry("unknown-topic", detail).of_name(),
        Some(Code::TopicAuthorizationFailed) => Error::retry("unauthorized", detail).of_name(),
        Some(Code::ClusterAuthorizationFailed) => Error::retry("unauthorized", detail),
        Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => {
            Error::retry("not-enough-replicas", detail)
        }
        Some(
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::SSL
            | Code::Authentication
            | Code::RequestTimedOut
            | Code::OperationTimedOut,
        ) => Error::retry(UNREACHABLE, detail),
        Some(Code::Fatal | Code::PurgeQueue | Code::PurgeInflight) => {
            Error::retry("producer-restarted", detail)
        }
        _ => Error::retry("refused", detail),
    }
}

/// The reason when there is no connection to the brokers that would store an event.
pub(super) const UNREACHABLE: &str = "unreachable";

/// Whether the error says only that nothing came of it, so that the state of the brokers says more.
pub(super) fn is_unexplained(error: &Error) -> bool {
    error.class == Class::Retry && (*error == Error::timeout() || error.reason == UNREACHABLE)
}
