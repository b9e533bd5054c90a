//! What a bridge is started with, and where its events go.

use std::time::Duration;

use async_nats::jetstream::stream;

use crate::checker;
use crate::ground::Ground;
use crate::support::bridge::Setup;
use crate::support::eventually;
use crate::support::{Bridge, Kafka, Nats};
use crate::webhook::{Broker, Kind};

/// How long brokers may take before anything can be stored.
const START: Duration = Duration::from_secs(30);

/// What the bridge lets be under way to NATS at a time.
const WINDOW: u64 = 512 << 10;

/// So many bytes of questions may be late when a connection stalls: what was under way on it, and on one that took its
/// place. What a worker counts isn't quite what the bridge does.
pub(crate) fn late_bytes() -> u64 {
    2 * WINDOW + WINDOW / 8
}

/// The same for one that is slow all the time, where each question is late by what is before it: what the kernel may
/// hold on the two hops of a proxied connection, of what its sender has written and its receiver hasn't read.
pub(crate) fn kernel_bytes() -> u64 {
    let most = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        let most = text.ok().and_then(|text| text.split_whitespace().nth(2)?.parse::<u64>().ok());
        most.unwrap_or(8 << 20)
    };
    2 * (most("tcp_wmem") + most("tcp_rmem"))
}

/// The configuration of the bridge.
pub(crate) fn of(ground: &Ground, name: &str, is_proxied: bool) -> Setup {
    let mut text = format!(
        r#"
        [nats]
        servers = ["{{nats}}"]
        ack_timeout = "{ack}s"
        [kafka]
        brokers = ["{{kafka}}"]
        ack_timeout = "{ack}s"
        [spool]
        dir = "hookbus-spool"
        sync_timeout = "{sync}s"
        [[endpoint]]
        name = "{name}"
        path = "/hook"
        source = "vapi"
        [[endpoint.auth]]
        kind = "none"
        "#,
        ack = checker::ACK.as_secs(),
        sync = checker::SYNC.as_secs(),
    );
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Question) {
        let to = kind.destinations().iter().map(|destination| destination.text(name));
        let (to, kind) = (to.collect::<Vec<_>>(), kind.name());
        text.push_str(&format!("[[endpoint.event]]\ntypes = [\"{kind}\"]\nto = {to:?}\n"));
    }
    let setup = Bridge::config(&text);
    if is_proxied {
        let nats = format!("nats://127.0.0.1:{}", ground.proxy(Broker::Nats).port());
        let kafka = format!("127.0.0.1:{}", ground.proxy(Broker::Kafka).port());
        setup.nats_at(&nats).kafka_at(&kafka)
    } else {
        // Between the quotes of a list.
        let nats = [&ground.nats].into_iter().chain(&ground.more_nats).map(Nats::url);
        let kafka = [&ground.kafka].into_iter().chain(&ground.more_kafka).map(Kafka::bootstrap);
        let list = |all: Vec<String>| all.join("\", \"");
        setup.nats_at(&list(nats.collect())).kafka_at(&list(kafka.collect()))
    }
}

/// The topic, with as many copies as there are brokers.
pub(crate) async fn create_topic(ground: &Ground, name: &str, partitions: i32) {
    let copies = ground.copies(Broker::Kafka) as i32;
    let least = (copies / 2 + 1).to_string();
    ground.kafka.make_topic(name, partitions, copies, &[("min.insync.replicas", &least)]).await;
}

/// The stream of all that goes to JetStream, or of all types that are sent.
pub(crate) async fn create_stream(ground: &Ground, name: &str, takes_all: bool) {
    let mut subjects = vec![format!("{name}.keys.>")];
    if takes_all {
        subjects.push(format!("{name}.events.>"));
    } else {
        subjects.extend(Kind::ALL.map(|kind| format!("{name}.events.{}", kind.name())));
    }
    let config = stream::Config {
        name: name.to_owned(),
        subjects,
        discard: stream::DiscardPolicy::New,
        num_replicas: ground.copies(Broker::Nats),
        ..stream::Config::default()
    };
    let jetstream = ground.nats.jetstream().await;
    // A cluster that has just met takes a while to choose who leads.
    eventually("a stream", START, async || jetstream.create_stream(&config).await.ok()).await;
}
