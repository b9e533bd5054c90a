//! Places in the brokers that are full, or gone.

use tokio::time::sleep;

use crate::history::Part;
use crate::stage::{PARTITIONS, Stage};
use crate::webhook::Broker;

/// No more messages than there are; then as many as before.
pub(super) async fn fill_stream(stage: &mut Stage<'_>) {
    stage.trouble(Part::Broker(Broker::Nats));
    let jetstream = stage.ground.nats.jetstream().await;
    let mut stream = jetstream.get_stream(&stage.name).await.unwrap();
    let info = stream.info().await.unwrap();
    let mut config = info.config.clone();
    config.max_messages = info.state.messages as i64;
    jetstream.update_stream(&config).await.unwrap();
    sleep(stage.lengths.outage).await;
    config.max_messages = -1;
    jetstream.update_stream(&config).await.unwrap();
    stage.healed(Part::Broker(Broker::Nats));
}

pub(super) async fn delete_topic(stage: &mut Stage<'_>) {
    stage.trouble(Part::Broker(Broker::Kafka));
    stage.ground.kafka.delete_topic(&stage.name).await;
    stage.excused.deleted = Some(stage.clock.now());
    sleep(stage.lengths.outage).await;
    stage.ground.kafka.create_topic(&stage.name, PARTITIONS).await;
    stage.healed(Part::Broker(Broker::Kafka));
}
