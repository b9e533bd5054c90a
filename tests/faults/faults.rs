//! What is done to the bridge and to its brokers, from outside.

mod bridge;
mod brokers;
mod cluster;
mod disk;
mod forward;
mod network;
mod spool;
mod storage;
mod types;

use crate::load::Shape;
use crate::setup;
use crate::stage::Stage;
use crate::support::bridge::Setup;
use crate::support::installed;
use crate::webhook::Broker;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Calm,
    NatsKilled,
    KafkaKilled,
    NatsFrozen,
    KafkaFrozen,
    BothKilled,
    BothFrozen,
    NatsCluster,
    KafkaCluster,
    BusyKeys,
    NatsRestarting,
    KafkaRestarting,
    NatsCut,
    KafkaCut,
    NatsHoled,
    NatsStalled,
    NatsLeaving,
    KafkaHoled,
    NatsSlow,
    KafkaSlow,
    StreamFull,
    TypesHomeless,
    TopicDeleted,
    BridgeKilled,
    BridgeTerminated,
    BridgesRolled,
    DiskFull,
    DiskSlow,
    DiskTooSlow,
    DiskReadOnly,
    TornTail,
    FlippedBits,
    ServerKilled,
}

impl Fault {
    pub(crate) const ALL: [Fault; 33] = [
        Fault::Calm,
        Fault::NatsKilled,
        Fault::KafkaKilled,
        Fault::NatsFrozen,
        Fault::KafkaFrozen,
        Fault::BothKilled,
        Fault::BothFrozen,
        Fault::NatsCluster,
        Fault::KafkaCluster,
        Fault::BusyKeys,
        Fault::NatsRestarting,
        Fault::KafkaRestarting,
        Fault::NatsCut,
        Fault::KafkaCut,
        Fault::NatsHoled,
        Fault::NatsStalled,
        Fault::NatsLeaving,
        Fault::KafkaHoled,
        Fault::NatsSlow,
        Fault::KafkaSlow,
        Fault::StreamFull,
        Fault::TypesHomeless,
        Fault::TopicDeleted,
        Fault::BridgeKilled,
        Fault::BridgeTerminated,
        Fault::BridgesRolled,
        Fault::DiskFull,
        Fault::DiskSlow,
        Fault::DiskTooSlow,
        Fault::DiskReadOnly,
        Fault::TornTail,
        Fault::FlippedBits,
        Fault::ServerKilled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Calm => "calm",
            Fault::NatsKilled => "nats-killed",
            Fault::KafkaKilled => "kafka-killed",
            Fault::NatsFrozen => "nats-frozen",
            Fault::KafkaFrozen => "kafka-frozen",
            Fault::BothKilled => "both-killed",
            Fault::BothFrozen => "both-frozen",
            Fault::NatsCluster => "nats-cluster",
            Fault::KafkaCluster => "kafka-cluster",
            Fault::BusyKeys => "busy-keys",
            Fault::NatsRestarting => "nats-restarting",
            Fault::KafkaRestarting => "kafka-restarting",
            Fault::NatsCut => "nats-cut",
            Fault::KafkaCut => "kafka-cut",
            Fault::NatsHoled => "nats-black-holed",
            Fault::NatsStalled => "nats-stalled-under-large-questions",
            Fault::NatsLeaving => "nats-ends-after-login",
            Fault::KafkaHoled => "kafka-black-holed",
            Fault::NatsSlow => "nats-slow",
            Fault::KafkaSlow => "kafka-slow",
            Fault::StreamFull => "stream-full",
            Fault::TypesHomeless => "types-without-a-stream",
            Fault::TopicDeleted => "topic-deleted",
            Fault::BridgeKilled => "bridge-killed",
            Fault::BridgeTerminated => "bridge-terminated",
            Fault::BridgesRolled => "rolling-restart",
            Fault::DiskFull => "disk-full",
            Fault::DiskSlow => "disk-slow",
            Fault::DiskTooSlow => "sync-over-its-limit",
            Fault::DiskReadOnly => "disk-read-only",
            Fault::TornTail => "spool-torn",
            Fault::FlippedBits => "spool-bits-flipped",
            Fault::ServerKilled => "forward-server-killed",
        }
    }

    /// Whether it is played in the short form too: a Kafka takes seconds to start, and a cluster to choose who leads.
    pub(crate) fn is_short(self) -> bool {
        !matches!(
            self,
            Fault::KafkaRestarting
                | Fault::BothKilled
                | Fault::NatsCluster
                | Fault::KafkaCluster
                | Fault::BusyKeys
        )
    }

    /// The broker that is a cluster of three, in which what is stored has three copies.
    pub(crate) fn cluster(self) -> Option<Broker> {
        match self {
            Fault::NatsCluster => Some(Broker::Nats),
            Fault::KafkaCluster | Fault::BusyKeys => Some(Broker::Kafka),
            _ => None,
        }
    }

    /// Whether the bridge comes to its brokers through the proxies.
    pub(crate) fn is_proxied(self) -> bool {
        use Fault::{
            KafkaCut, KafkaHoled, KafkaSlow, NatsCut, NatsHoled, NatsLeaving, NatsSlow, NatsStalled,
        };
        matches!(
            self,
            NatsCut
                | NatsHoled
                | NatsStalled
                | NatsLeaving
                | NatsSlow
                | KafkaCut
                | KafkaHoled
                | KafkaSlow
        )
    }

    /// What the senders send.
    pub(crate) fn shape(self, shape: Shape) -> Shape {
        match self {
            Fault::NatsStalled => Shape { has_large_questions: true, ..shape },
            // Few keys, each with much that waits for what is posted again.
            Fault::ServerKilled => Shape { connections: 32, keys: 32, ..shape },
            // More comes of each key than one after the other gets through the disk.
            Fault::BusyKeys => Shape { connections: 16, keys: 16, rate: 2_000, ..shape },
            _ => shape,
        }
    }

    /// Whether `hookbus forward` posts the events of the stream to a server.
    pub(crate) fn is_forwarded(self) -> bool {
        self == Fault::ServerKilled
    }

    /// So many bytes of questions may be late for one trouble.
    pub(crate) fn late_bytes(self) -> u64 {
        if self == Fault::NatsSlow { setup::kernel_bytes() } else { setup::late_bytes() }
    }

    /// Whether the stream takes all types, and not only those that the load is made of.
    pub(crate) fn takes_all_types(self) -> bool {
        self != Fault::TypesHomeless
    }

    /// How many bridges there are. Several stand behind a proxy, which the senders post to.
    pub(crate) fn bridges(self) -> usize {
        if self == Fault::BridgesRolled { 2 } else { 1 }
    }

    /// Why it can't be played on this machine.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Fault::DiskFull | Fault::DiskSlow | Fault::DiskTooSlow | Fault::DiskReadOnly => {
                disk::missing()
            }
            Fault::BridgesRolled if installed("haproxy").is_none() => {
                Some("haproxy (run: make tools)".to_owned())
            }
            _ => None,
        }
    }

    /// What the bridge is started with for it.
    pub(crate) fn setup(self, setup: Setup) -> Setup {
        match self {
            Fault::DiskFull => disk::small(setup),
            Fault::DiskSlow | Fault::DiskTooSlow | Fault::DiskReadOnly => disk::with_shim(setup),
            _ => setup,
        }
    }

    /// Returns when all is well again.
    pub(crate) async fn inject(self, stage: &mut Stage<'_>) {
        match self {
            Fault::Calm => tokio::time::sleep(stage.lengths.frozen).await,
            Fault::NatsKilled => brokers::kill(stage, Broker::Nats).await,
            Fault::KafkaKilled => brokers::kill(stage, Broker::Kafka).await,
            Fault::NatsFrozen => brokers::freeze(stage, Broker::Nats).await,
            Fault::KafkaFrozen => brokers::freeze(stage, Broker::Kafka).await,
            Fault::BothKilled => brokers::kill_both(stage).await,
            Fault::BothFrozen => brokers::freeze_both(stage).await,
            Fault::NatsCluster => cluster::nats(stage).await,
            Fault::KafkaCluster => cluster::kafka(stage).await,
            Fault::BusyKeys => cluster::kill_kafka(stage).await,
            Fault::NatsRestarting => brokers::keep_restarting(stage, Broker::Nats).await,
            Fault::KafkaRestarting => brokers::keep_restarting(stage, Broker::Kafka).await,
            Fault::NatsCut => network::cut(stage, Broker::Nats).await,
            Fault::KafkaCut => network::cut(stage, Broker::Kafka).await,
            Fault::NatsHoled => network::hold(stage, Broker::Nats).await,
            Fault::NatsStalled => network::stall(stage).await,
            Fault::NatsLeaving => network::leave(stage).await,
            Fault::KafkaHoled => network::hold(stage, Broker::Kafka).await,
            Fault::NatsSlow => network::slow(stage, Broker::Nats).await,
            Fault::KafkaSlow => network::slow(stage, Broker::Kafka).await,
            Fault::StreamFull => storage::fill_stream(stage).await,
            Fault::TypesHomeless => types::without_a_stream(stage).await,
            Fault::TopicDeleted => storage::delete_topic(stage).await,
            Fault::BridgeKilled => bridge::kill(stage).await,
            Fault::BridgeTerminated => bridge::terminate(stage).await,
            Fault::BridgesRolled => bridge::roll(stage).await,
            Fault::DiskFull => disk::fill(stage).await,
            Fault::DiskSlow => disk::slow(stage).await,
            Fault::DiskTooSlow => disk::too_slow(stage).await,
            Fault::DiskReadOnly => disk::read_only(stage).await,
            Fault::TornTail => spool::tear(stage).await,
            Fault::FlippedBits => spool::flip(stage).await,
            Fault::ServerKilled => forward::kill_server(stage).await,
        }
    }
}
