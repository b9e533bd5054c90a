//! What librdkafka is told: the properties of the file, and those that the promises rest on. `check` tries out the
//! very settings that `serve` uses.

use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};

use super::units::Time;
use super::{Http, Kafka};

/// librdkafka looks for timed-out messages once a second; a little more than that.
const SCAN_INTERVAL: Duration = Duration::from_millis(1_200);

/// The shortest `ack_timeout`: librdkafka then has 300 ms for an event, and stops trying before we do.
pub const MIN_ACK_TIMEOUT: Time = Time::milliseconds(1_500);

/// Room for headers and key on top of a body.
const MESSAGE_OVERHEAD: usize = 64 << 10;

/// The largest message that librdkafka can be told of.
const MAX_MESSAGE: usize = 1_000_000_000;

/// The pauses between attempts to send a batch that a broker refuses for now, in milliseconds: the first, which doubles
/// each time, and the longest, unless `ack_timeout` is long.
const RETRY_BACKOFF: (u64, u64) = (100, 300);

/// librdkafka doubles the pause in 32 bits: later ones would come out below zero, and the broker be asked in a loop.
const MAX_RETRIES: u32 = 20;

/// Names of one property each: librdkafka keeps whichever it is told last.
pub const ALIASES: [(&str, &str); 8] = [
    ("acks", "request.required.acks"),
    ("bootstrap.servers", "metadata.broker.list"),
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanism", "sasl.mechanisms"),
];

/// How long librdkafka tries to send an event: what our own timer gave up must not be sent afterwards.
pub fn message_timeout(ack_timeout: Duration) -> Duration {
    ack_timeout.saturating_sub(SCAN_INTERVAL).max(Duration::from_millis(1))
}

/// What producers and administration share.
pub fn client(settings: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in &settings.properties {
        config.set(name, value.expose());
    }
    config.set("bootstrap.servers", settings.brokers.join(","));
    config
}

/// The producer of events. `http` bounds what it has to hold.
pub fn producer(settings: &Kafka, http: &Http) -> ClientConfig {
    let timeout = message_timeout(settings.ack_timeout.get());
    let max_in_flight = http.max_in_flight_bytes.get();
    let mut config = client(settings);
    config
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", timeout.as_millis().to_string())
        .set("statistics.interval.ms", "1000");
    let mut default = |name: &str, value: String| {
        if property(settings, name).is_none() {
            config.set(name, value);
        }
    };
    default("partitioner", "murmur2_random".to_owned());
    default("linger.ms", "0".to_owned());
    let max_message = http.max_body.get().saturating_add(MESSAGE_OVERHEAD).min(MAX_MESSAGE);
    default("message.max.bytes", max_message.to_string());
    default("queue.buffering.max.kbytes", (max_in_flight / 1_024).clamp(1, 2_097_151).to_string());
    default("socket.keepalive.enable", "true".to_owned());
    default("socket.nagle.disable", "true".to_owned());
    default("reconnect.backoff.max.ms", "1000".to_owned());
    // A topic that was made just now may not be known to all brokers. Events wait on our side, so that the reason may
    // be told soon.
    default("topic.metadata.propagation.max.ms", "1000".to_owned());
    let backoff = |name, unset: u64| {
        property(settings, name).and_then(|value| value.parse().ok()).unwrap_or(unset)
    };
    let first = backoff("retry.backoff.ms", RETRY_BACKOFF.0);
    let longest =
        (timeout.as_millis() as u64 / u64::from(MAX_RETRIES)).clamp(RETRY_BACKOFF.1, 300_000);
    let longest = backoff("retry.backoff.max.ms", longest.max(first));
    default("retry.backoff.ms", first.to_string());
    default("retry.backoff.max.ms", longest.to_string());
    default("retries", retries(timeout, (first, longest)).to_string());
    config
}

/// The same for a second producer that sends each event in a batch of its own. It isn't idempotent: an idempotent one
/// holds back all that it sends to a partition for a tenth of a second when one record is refused, and here that is
/// expected. The first producer tells the state of the brokers.
pub fn alone(producer: &ClientConfig) -> ClientConfig {
    let mut config = producer.clone();
    config
        .set("batch.num.messages", "1")
        .set("enable.idempotence", "false")
        .set("acks", "all")
        .set("statistics.interval.ms", "0")
        .remove("enable.gapless.guarantee");
    config
}

/// The same for a third producer, which sends runs of events of one key. What fails in front of others stops it for good,
/// and nothing fails before it is purged: no event is given up by time or count of attempts while those behind it go on.
/// With one request a broker at a time none is sent while the fate of the one before is open.
pub fn pipeline(producer: &ClientConfig) -> ClientConfig {
    let mut config = producer.clone();
    for (one, other) in ALIASES {
        if matches!(one, "linger.ms" | "max.in.flight" | "message.timeout.ms" | "retries") {
            config.remove(one).remove(other);
        }
    }
    config
        .set("enable.gapless.guarantee", "true")
        .set("max.in.flight", "1")
        .set("linger.ms", "0")
        .set("message.timeout.ms", "0")
        .set("statistics.interval.ms", "0");
    config
}

/// A property by any of its names.
pub fn property<'a>(settings: &'a Kafka, name: &str) -> Option<&'a str> {
    let other = ALIASES.iter().find_map(|(one, other)| match name {
        _ if name == *one => Some(*other),
        _ if name == *other => Some(*one),
        _ => None,
    });
    let get = |name| settings.properties.get(name).map(super::secret::Secret::expose);
    get(name).or_else(|| get(other?))
}

/// As many that the last attempt comes just before `timeout`: an event that runs out of attempts fails with what the
/// broker said, one that runs out of time fails with that alone.
fn retries(timeout: Duration, (first, longest): (u64, u64)) -> u32 {
    /// librdkafka stretches and shrinks each pause by up to a fifth.
    const PART: f64 = 0.8;
    let limit = timeout.as_millis() as f64 * PART;
    let (mut pause, mut sum, mut count) = (first.max(1) as f64, 0.0, 0);
    while sum + pause <= limit && count < MAX_RETRIES {
        sum += pause;
        count += 1;
        pause = (pause * 2.0).min(longest.max(1) as f64);
    }
    count.max(1)
}

/// Whether librdkafka makes a producer of these settings. It is made without the addresses of brokers, so that it
/// connects to nothing.
pub fn try_out(producer: &ClientConfig) -> Result<(), KafkaError> {
    let mut config = producer.clone();
    config.remove("bootstrap.servers");
    let producer: BaseProducer<Silent> = config.create_with_context(Silent)?;
    drop(producer);
    Ok(())
}

/// Says nothing: all that matters is whether there is a producer.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Silent {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests;
