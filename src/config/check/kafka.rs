//! `[kafka]`, its properties and topics.
//!
//! In the end librdkafka is asked to make the very producer that `serve` would use, so that nothing passes here and
//! fails there.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::{Checks, shown, tls};
use crate::config::Kafka;
use crate::config::librdkafka::{self, MIN_ACK_TIMEOUT, message_timeout};
use crate::config::load::tree::Node;
use crate::template::{Template, nearest};

/// Properties that the bridge sets itself, and why they are not to be changed.
const OWN: [(&str, &str, &str); 10] = [
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
    (
        "delivery.report.only.error",
        "without a report it is unknown whether an event is stored",
        "take it out",
    ),
    (
        "test.mock.num.brokers",
        "events would go to a cluster in memory that is gone with the process",
        "take it out; `hookbus dev --kafka` has such a cluster for trying things out",
    ),
];

/// What to do about a way to log in that librdkafka doesn't have here.
const MECHANISMS: &str = "hookbus logs in with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or a client certificate; Amazon MSK takes SCRAM-SHA-512 or certificates, Azure Event Hubs PLAIN with its connection string";

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
    let before = checks.report.count();
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
    if kafka.ack_timeout < MIN_ACK_TIMEOUT && !kafka.ack_timeout.get().is_zero() {
        checks.error(
            node.get("ack_timeout"),
            format!("`ack_timeout` ({}) is too short: librdkafka looks for late events once a second, so that a refused one could still be sent", kafka.ack_timeout),
            format!("set at least \"{MIN_ACK_TIMEOUT}\""),
        );
    }
    for (key, value) in &kafka.properties {
        property(checks, node.get("properties").get(key), key, value.expose());
    }
    aliases(checks, kafka, node.get("properties"));
    unused(checks, kafka, node.get("properties"));
    tls::kafka(checks, node.get("properties"), kafka);
    topics(checks, kafka, node.get("topic"));
    // What was found already would only be said again, in worse words.
    if !checks.report.has_errors_since(before) {
        whole(checks, kafka, node);
    }
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

/// Problems a property that is ours, unknown or unusable. Its value is never shown.
fn property(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, key: &str, value: &str) {
    if node.is_broken() {
        return;
    }
    if let Some((_, reason, hint)) = OWN.iter().find(|(own, ..)| *own == key) {
        checks.report.error(node.key(), format!("`{key}` can't be set: {reason}"), *hint);
        return;
    }
    let is_mechanism = matches!(key, "sasl.mechanism" | "sasl.mechanisms");
    if is_mechanism && value.eq_ignore_ascii_case("OAUTHBEARER")
        || key.starts_with("sasl.oauthbearer.")
        || key == "enable.sasl.oauthbearer.unsecure.jwt"
    {
        // librdkafka would take it, and wait for a token for ever.
        checks.report.error(
            node.key(),
            "hookbus can't log in to Kafka with OAUTHBEARER: its librdkafka is built without the HTTP client that fetches tokens",
            MECHANISMS,
        );
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

/// Problems properties that are set twice, under two names.
fn aliases(checks: &mut Checks<'_, '_, '_>, kafka: &Kafka, node: Node<'_>) {
    for (one, other) in librdkafka::ALIASES {
        let is_set = |key| kafka.properties.contains_key(key);
        if is_set(one) && is_set(other) && !node.get(other).is_broken() {
            checks.report.error(
                node.get(other).key(),
                format!("`{one}` and `{other}` are the same property"),
                "take one of them out",
            );
        }
    }
}

/// Warn of what has no effect.
fn unused(checks: &mut Checks<'_, '_, '_>, kafka: &Kafka, node: Node<'_>) {
    let protocol = librdkafka::property(kafka, "security.protocol").unwrap_or("plaintext");
    let is_sasl = protocol.to_ascii_lowercase().starts_with("sasl_");
    for (prefix, is_used) in
        [("sasl.", is_sasl), ("ssl.", protocol.to_ascii_lowercase().ends_with("ssl"))]
    {
        // Those of OAUTHBEARER are errors already.
        let is_named =
            |key: &&String| key.starts_with(prefix) && !key.starts_with("sasl.oauthbearer.");
        let first = kafka.properties.keys().find(is_named);
        if let Some(key) = first.filter(|_| !is_used) {
            checks.warning(
                node.get(key),
                format!("`{key}` isn't used: `security.protocol` is `{}`", protocol.escape_debug()),
                "set `security.protocol` to `SSL`, `SASL_SSL` or `SASL_PLAINTEXT`, as the brokers want it",
            );
        }
    }
    if kafka.properties.contains_key("statistics.interval.ms") {
        checks.warning(
            node.get("statistics.interval.ms"),
            "`statistics.interval.ms` has no effect: hookbus asks librdkafka for the state of the brokers every second",
            "take it out",
        );
    }
}

/// Let librdkafka make the producer, and report what it says.
fn whole(checks: &mut Checks<'_, '_, '_>, kafka: &Kafka, node: Node<'_>) {
    let properties = node.get("properties");
    let said = match librdkafka::try_out(&librdkafka::producer(kafka, &checks.config.http)) {
        Ok(()) => return,
        Err(KafkaError::ClientCreation(text)) => text,
        Err(KafkaError::ClientConfig(_, text, key, _)) => format!("{key}: {text}"),
        Err(error) => error.to_string(),
    };
    let about = |key: &&String| said.contains(key.as_str());
    let longest = kafka.properties.keys().filter(about).max_by_key(|key| key.len());
    let place = longest.map_or(node, |key| properties.get(key));
    let said = without_values(&said, kafka, properties);
    let (message, hint) = if said.contains("linger.ms") {
        let timeout = message_timeout(kafka.ack_timeout.get()).as_millis();
        (
            format!(
                "`linger.ms` leaves no time to send anything: with an `ack_timeout` of {} librdkafka gives up after {timeout} ms",
                kafka.ack_timeout
            ),
            "lower `linger.ms`, or raise `ack_timeout`".to_owned(),
        )
    } else if said.contains("SASL mechanism") {
        (format!("librdkafka can't log in like that: {said}"), MECHANISMS.to_owned())
    } else {
        (
            format!("librdkafka rejects these settings: {said}"),
            "fix what it says; librdkafka's CONFIGURATION.md lists which values go together"
                .to_owned(),
        )
    };
    checks.error(place, message, hint);
}

/// What librdkafka says may quote a value: one that is secret, or came from the environment, is not shown.
fn without_values(said: &str, kafka: &Kafka, properties: Node<'_>) -> String {
    let mut said = said.to_owned();
    for (key, value) in &kafka.properties {
        let is_secret = ["password", "secret", "pem", "passphrase", "config", "username"]
            .iter()
            .any(|part| key.contains(part));
        let written = properties.get(key).written();
        if (is_secret || written.is_some()) && !value.expose().is_empty() {
            said = said.replace(value.expose(), written.unwrap_or("***"));
        }
    }
    said
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
