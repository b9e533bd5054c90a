//! `[kafka]`, its properties and topics.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::{Checks, shown};
use crate::config::Kafka;
use crate::config::tree::Node;
use crate::config::units::Time;
use crate::template::{Template, nearest};

/// Properties that the bridge sets itself, and why they are not to be changed.
const OWN: [(&str, &str, &str); 8] = [
    ("bootstrap.servers", "it is the same as `brokers`", "write `brokers` in `[kafka]`"),
    ("metadata.broker.list", "it is the same as `brokers`", "write `brokers` in `[kafka]`"),
    (
        "message.timeout.ms",
        "an event that was refused must not be sent afterwards",
        "set `ack_timeout` in `[kafka]`",
    ),
    (
        "delivery.timeout.ms",
        "an event that was refused must not be sent afterwards",
        "set `ack_timeout` in `[kafka]`",
    ),
    (
        "acks",
        "a 200 means that all replicas in sync have the event",
        "take it out; it is always `all`",
    ),
    (
        "request.required.acks",
        "a 200 means that all replicas in sync have the event",
        "take it out; it is always `all`",
    ),
    (
        "enable.idempotence",
        "events of one key stay in order and come once",
        "take it out; it is always on",
    ),
    ("transactional.id", "the bridge uses no transactions", "take it out"),
];

/// Properties that people set, to find the one that was meant.
const COMMON: [&str; 29] = [
    "batch.size",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "linger.ms",
    "message.max.bytes",
    "metadata.max.age.ms",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.timeout.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.config",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "statistics.interval.ms",
    "topic.metadata.refresh.interval.ms",
];

pub(super) fn check(checks: &mut Checks<'_, '_, '_>, kafka: &Kafka, node: Node<'_>) {
    let brokers = node.get("brokers");
    if kafka.brokers.is_empty() {
        checks.error(
            brokers,
            "`brokers` is empty",
            "write at least one, such as `brokers = [\"127.0.0.1:9092\"]`",
        );
    }
    for (at, broker) in kafka.brokers.iter().enumerate() {
        if !is_address(broker) {
            let at = brokers.at(at);
            checks.error(
                at,
                format!("`{}` is not the address of a broker", shown(at, broker)),
                "write host and port, such as \"kafka-1:9092\", one a text",
            );
        }
    }
    checks.not_zero(node, "ack_timeout", kafka.ack_timeout);
    if kafka.ack_timeout < Time::seconds(1) && !kafka.ack_timeout.get().is_zero() {
        checks.warning(
            node.get("ack_timeout"),
            format!("`ack_timeout` ({}) is under a second, but librdkafka looks for late events once a second: a refused one may still be sent", kafka.ack_timeout),
            "set at least \"1s\"",
        );
    }
    for (key, value) in &kafka.properties {
        property(checks, node.get("properties").get(key), key, value.expose());
    }
    topics(checks, kafka, node.get("topic"));
}

fn is_address(broker: &str) -> bool {
    let address = broker.split_once("://").map_or(broker, |(_, address)| address);
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_plain = !host.contains([':', ',', '/']) && !host.contains(char::is_whitespace);
    !host.is_empty() && (is_bracketed || is_plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Report a property that is ours, unknown or unusable. Its value is never shown.
fn property(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, key: &str, value: &str) {
    if node.is_broken() {
        return;
    }
    if let Some((_, reason, hint)) = OWN.iter().find(|(own, ..)| *own == key) {
        checks.report.error(node.key(), format!("`{key}` can't be set: {reason}"), *hint);
        return;
    }
    if key == "partitioner" && value == "random" {
        checks.error(
            node,
            "`partitioner` can't be `random`: events of one key would lose their order",
            "take it out; the default, `murmur2_random`, is that of the Java clients",
        );
        return;
    }
    let mut native = ClientConfig::new();
    native.set(key, value);
    match native.create_native_config() {
        Ok(_) => {}
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            let hint = match nearest(key, COMMON) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "the names are those of librdkafka's CONFIGURATION.md".to_owned(),
            };
            checks.report.error(
                node.key(),
                format!("librdkafka has no property `{}`", key.escape_debug()),
                hint,
            );
        }
        Err(_) => checks.error(
            node,
            format!("librdkafka can't use this value of `{key}`"),
            "librdkafka's CONFIGURATION.md lists the values of each property",
        ),
    }
}

fn topics(checks: &mut Checks<'_, '_, '_>, kafka: &Kafka, list: Node<'_>) {
    for (at, topic) in kafka.topics.iter().enumerate() {
        let node = list.at(at).get("name");
        match Template::topic(&topic.name) {
            Ok(_) if !topic.name.contains('{') => {}
            Ok(_) => checks.error(
                node,
                "a topic that is to be created can't have variables in its name",
                "write one `[[kafka.topic]]` for each",
            ),
            Err(error) => checks.template_error(node, error),
        }
        let earlier = kafka.topics[..at].iter().position(|earlier| earlier.name == topic.name);
        if let Some(earlier) = earlier.filter(|earlier| !list.at(*earlier).get("name").is_broken())
        {
            let line = checks.report.line(list.at(earlier).get("name").start());
            checks.error(
                node,
                format!(
                    "the topic on line {line} has the name `{}` already",
                    shown(node, &topic.name)
                ),
                "take one out",
            );
        }
    }
}
