#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
use super::*;

fn settings(text: &str) -> Kafka {
    toml::from_str(text).unwrap()
}

#[test]
fn librdkafka_gives_up_before_we_do() {
    for (ack, timeout) in [(1_500, 300), (2_000, 800), (5_000, 3_800), (30_000, 28_800)] {
        let left = message_timeout(Duration::from_millis(ack));
        assert_eq!(left, Duration::from_millis(timeout));
    }
}

#[test]
fn attempts_end_just_before_the_time_does() {
    let count = |timeout| retries(Duration::from_millis(timeout), RETRY_BACKOFF);
    assert_eq!([300, 800, 3_800, 28_800].map(count), [1, 3, 11, MAX_RETRIES]);
    assert_eq!(retries(Duration::ZERO, (0, 0)), 1);
    let config = producer(&settings("ack_timeout = \"30s\""), &Http::default());
    let names = ["retry.backoff.ms", "retry.backoff.max.ms", "retries"];
    assert_eq!(names.map(|name| config.get(name).unwrap()), ["100", "1440", "18"]);
    let config =
        producer(&settings("[properties]\n\"retry.backoff.ms\" = \"500\""), &Http::default());
    assert_eq!(names.map(|name| config.get(name).unwrap_or("unset")), ["500", "500", "6"]);
}

#[test]
fn what_the_file_says_wins_under_any_of_its_names() {
    let text =
        "[properties]\n\"queue.buffering.max.ms\" = \"7\"\n\"message.send.max.retries\" = \"3\"";
    let config = producer(&settings(text), &Http::default());
    assert_eq!((config.get("linger.ms"), config.get("retries")), (None, None));
    assert_eq!(config.get("queue.buffering.max.ms"), Some("7"));
    let config = producer(&settings(""), &Http::default());
    assert_eq!((config.get("linger.ms"), config.get("retries")), (Some("0"), Some("11")));
    assert_eq!(alone(&config).get("batch.num.messages"), Some("1"));
}

/// Whatever the file says of one producer: in this one nothing may be given up while others go on.
#[test]
fn the_producer_of_runs_gives_nothing_up() {
    let text = "[properties]\n\"queue.buffering.max.ms\" = \"7\"\n\"message.send.max.retries\" = \"3\"\n\
                \"max.in.flight.requests.per.connection\" = \"5\"\n\"compression.type\" = \"lz4\"";
    let first = producer(&settings(text), &Http::default());
    let config = pipeline(&first);
    let unset = ["queue.buffering.max.ms", "message.send.max.retries", "retries"];
    assert_eq!(unset.map(|name| config.get(name)), [None; 3]);
    let set =
        ["enable.gapless.guarantee", "enable.idempotence", "max.in.flight", "message.timeout.ms"];
    assert_eq!(set.map(|name| config.get(name).unwrap()), ["true", "true", "1", "0"]);
    assert_eq!(config.get("compression.type"), Some("lz4"));
    assert!(try_out(&config).is_ok());
}

#[test]
fn what_librdkafka_refuses_is_refused() {
    let result = |text: &str| try_out(&producer(&settings(text), &Http::default()));
    assert!(result("").is_ok());
    for property in [
        "\"linger.ms\" = \"4000\"",
        "\"max.in.flight\" = \"6\"",
        "\"retries\" = \"0\"",
        "\"security.protocol\" = \"sasl_ssl\"",
        "\"security.protocol\" = \"ssl\"\n\"ssl.ca.location\" = \"/nowhere\"",
        "\"queuing.strategy\" = \"lifo\"",
    ] {
        assert!(result(&format!("[properties]\n{property}")).is_err(), "{property}");
    }
}
