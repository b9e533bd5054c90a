//! A network that cuts, swallows, and is slow.

use std::time::Duration;

use tokio::time::sleep;

use crate::history::Part;
use crate::proxy::{Mode, Proxy};
use crate::stage::Stage;

/// For each 16 KiB at the most: less than the load is.
const PAUSE: Duration = Duration::from_millis(150);

pub(super) async fn cut_nats(stage: &mut Stage<'_>) {
    cut(stage, Part::Nats).await;
}

pub(super) async fn cut_kafka(stage: &mut Stage<'_>) {
    cut(stage, Part::Kafka).await;
}

pub(super) async fn hold_nats(stage: &mut Stage<'_>) {
    change(stage, Part::Nats, Mode::Hole, stage.lengths.outage).await;
}

pub(super) async fn hold_kafka(stage: &mut Stage<'_>) {
    change(stage, Part::Kafka, Mode::Hole, stage.lengths.outage).await;
}

pub(super) async fn slow_nats(stage: &mut Stage<'_>) {
    change(stage, Part::Nats, Mode::Slow(PAUSE), stage.lengths.outage).await;
}

pub(super) async fn slow_kafka(stage: &mut Stage<'_>) {
    change(stage, Part::Kafka, Mode::Slow(PAUSE), stage.lengths.outage).await;
}

/// All connections, again and again.
async fn cut(stage: &mut Stage<'_>, part: Part) {
    stage.trouble(part);
    for _ in 0..stage.lengths.rounds * 2 {
        proxy(stage, part).cut();
        let pause = stage.random.about(stage.lengths.step / 2);
        sleep(pause).await;
    }
    stage.healed(part);
}

async fn change(stage: &mut Stage<'_>, part: Part, mode: Mode, time: Duration) {
    stage.trouble(part);
    proxy(stage, part).set(mode);
    sleep(time).await;
    proxy(stage, part).set(Mode::Open);
    stage.healed(part);
}

fn proxy<'a>(stage: &'a Stage<'_>, part: Part) -> &'a Proxy {
    match part {
        Part::Nats => &stage.ground.nats_proxy,
        _ => &stage.ground.kafka_proxy,
    }
}
