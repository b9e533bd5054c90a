//! Clusters of three, of which one member after the other is killed, frozen, and restarted: the one that leads.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::history::Part;
use crate::stage::Stage;
use crate::support::{Kafka, Nats, eventually};
use crate::webhook::Broker;

/// For those who are left to choose another leader, and for a member to catch up.
const SETTLED: Duration = Duration::from_secs(60);

/// How long a broker is asked for metadata.
const STEP: Duration = Duration::from_secs(2);

const MEMBERS: usize = 3;

/// What is done to a member.
const DEEDS: [Deed; MEMBERS] = [Deed::Kill, Deed::Freeze, Deed::Restart];

#[derive(Clone, Copy)]
enum Deed {
    Kill,
    Freeze,
    Restart,
}

impl Deed {
    fn part(self, broker: Broker) -> Part {
        match self {
            Deed::Kill | Deed::Restart => Part::Broker(broker),
            Deed::Freeze => Part::Stalled(broker),
        }
    }

    async fn does(self, stage: &mut Stage<'_>, broker: Broker, place: usize) {
        let (ground, lengths) = (&mut stage.ground, stage.lengths);
        match self {
            Deed::Kill => {
                ground.kill(broker, place);
                sleep(lengths.outage).await;
                ground.restart(broker, place).await;
            }
            Deed::Freeze => {
                ground.freeze(broker, place);
                sleep(lengths.frozen).await;
                ground.thaw(broker, place);
            }
            Deed::Restart => ground.restart(broker, place).await,
        }
    }
}

/// The server that leads the stream.
pub(super) async fn nats(stage: &mut Stage<'_>) {
    for deed in DEEDS {
        let leader = stream_leader(stage).await;
        let ground = &stage.ground;
        let members = [&ground.nats].into_iter().chain(&ground.more_nats);
        let place = members.map(Nats::name).position(|name| name == leader);
        stage.trouble(deed.part(Broker::Nats));
        deed.does(stage, Broker::Nats, place.expect("the leader")).await;
        stream_leader(stage).await;
        stage.healed(deed.part(Broker::Nats));
        sleep(stage.lengths.step).await;
    }
}

/// One after the other: each leads a third of the partitions, and the first, which comes last, chooses the leaders.
pub(super) async fn kafka(stage: &mut Stage<'_>) {
    for (deed, place) in DEEDS.into_iter().zip([1, 2, 0]) {
        in_sync(stage).await;
        stage.trouble(deed.part(Broker::Kafka));
        deed.does(stage, Broker::Kafka, place).await;
        in_sync(stage).await;
        stage.healed(deed.part(Broker::Kafka));
        sleep(stage.lengths.step).await;
    }
}

/// All three at once; the first, which chooses the leaders, is back first.
pub(super) async fn kill_kafka(stage: &mut Stage<'_>) {
    in_sync(stage).await;
    stage.trouble(Part::Broker(Broker::Kafka));
    for place in 0..MEMBERS {
        stage.ground.kill(Broker::Kafka, place);
    }
    sleep(stage.lengths.outage).await;
    for place in 0..MEMBERS {
        stage.ground.restart(Broker::Kafka, place).await;
    }
    in_sync(stage).await;
    stage.healed(Part::Broker(Broker::Kafka));
}

/// The server that leads the stream, once all others have what it has.
async fn stream_leader(stage: &Stage<'_>) -> String {
    let ask = async |server: &Nats| {
        let stream = server.jetstream().await.get_stream(&stage.name).await.ok()?;
        let cluster = stream.cached_info().cluster.clone()?;
        let leader = cluster.leader.filter(|leader| !leader.is_empty())?;
        let is_well =
            |replica: &async_nats::jetstream::stream::PeerInfo| replica.current && !replica.offline;
        (cluster.replicas.len() == 2 && cluster.replicas.iter().all(is_well)).then_some(leader)
    };
    eventually("a stream with a leader and its copies", SETTLED, async || {
        ask(&stage.ground.nats).await
    })
    .await
}

/// Waits until each partition has a leader and all its copies.
async fn in_sync(stage: &Stage<'_>) {
    let ask = async |broker: &Kafka| {
        let (settings, topic) = (broker.settings(), stage.name.clone());
        let asked = spawn_blocking(move || {
            let consumer: BaseConsumer = settings.create().ok()?;
            let metadata = consumer.fetch_metadata(Some(&topic), STEP).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            let is_well = |partition: &rdkafka::metadata::MetadataPartition| {
                partition.leader() >= 0 && partition.isr().len() == 3
            };
            (!partitions.is_empty() && partitions.iter().all(is_well)).then_some(())
        });
        asked.await.ok()?
    };
    eventually("partitions with leaders and copies", SETTLED, async || {
        ask(&stage.ground.kafka).await
    })
    .await;
}
