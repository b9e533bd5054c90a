//! Brokers that die, freeze, and come back.

use tokio::time::sleep;

use crate::history::Part;
use crate::stage::Stage;

pub(super) async fn kill_nats(stage: &mut Stage<'_>) {
    stage.trouble(Part::Nats);
    stage.ground.nats.kill();
    sleep(stage.lengths.outage).await;
    stage.ground.nats.restart().await;
    stage.healed(Part::Nats);
}

pub(super) async fn kill_kafka(stage: &mut Stage<'_>) {
    stage.trouble(Part::Kafka);
    stage.ground.kafka.kill();
    sleep(stage.lengths.outage).await;
    stage.ground.kafka.restart().await;
    stage.healed(Part::Kafka);
}

pub(super) async fn freeze_nats(stage: &mut Stage<'_>) {
    stage.trouble(Part::Nats);
    stage.ground.nats.stop_signal();
    sleep(stage.lengths.frozen).await;
    stage.ground.nats.cont_signal();
    stage.healed(Part::Nats);
}

pub(super) async fn freeze_kafka(stage: &mut Stage<'_>) {
    stage.trouble(Part::Kafka);
    stage.ground.kafka.stop_signal();
    sleep(stage.lengths.frozen).await;
    stage.ground.kafka.cont_signal();
    stage.healed(Part::Kafka);
}

pub(super) async fn keep_restarting_nats(stage: &mut Stage<'_>) {
    stage.trouble(Part::Nats);
    for _ in 0..stage.lengths.rounds {
        sleep(stage.random.about(stage.lengths.step)).await;
        stage.ground.nats.restart().await;
    }
    stage.healed(Part::Nats);
}

pub(super) async fn keep_restarting_kafka(stage: &mut Stage<'_>) {
    stage.trouble(Part::Kafka);
    // It takes some seconds to start.
    for _ in 0..stage.lengths.rounds.div_ceil(2) {
        sleep(stage.random.about(stage.lengths.step)).await;
        stage.ground.kafka.restart().await;
    }
    stage.healed(Part::Kafka);
}
