//! Brokers that die, freeze, and come back.

use std::time::Duration;

use tokio::time::sleep;

use crate::history::Part;
use crate::stage::Stage;
use crate::webhook::{Broker, LIMIT_SECONDS};

const BOTH: [Broker; 2] = [Broker::Nats, Broker::Kafka];

/// When NATS was frozen for so long, the questions that its socket holds are stale.
const STALE: Duration = Duration::from_secs(LIMIT_SECONDS + 1);

pub(super) async fn kill(stage: &mut Stage<'_>, broker: Broker) {
    stage.trouble(Part::Broker(broker));
    stage.ground.kill(broker, 0);
    sleep(stage.lengths.outage).await;
    stage.ground.restart(broker, 0).await;
    stage.healed(Part::Broker(broker));
}

/// Both at once: nothing is direct, nothing is refused, and no question waits for longer than its limit.
pub(super) async fn kill_both(stage: &mut Stage<'_>) {
    for broker in BOTH {
        stage.trouble(Part::Broker(broker));
        stage.ground.kill(broker, 0);
    }
    sleep(stage.lengths.outage).await;
    for broker in BOTH {
        stage.ground.restart(broker, 0).await;
        stage.healed(Part::Broker(broker));
    }
}

pub(super) async fn freeze_both(stage: &mut Stage<'_>) {
    BOTH.into_iter().for_each(|broker| stage.freeze(broker));
    sleep(stage.lengths.frozen.max(STALE)).await;
    BOTH.into_iter().for_each(|broker| stage.thaw(broker));
}

pub(super) async fn freeze(stage: &mut Stage<'_>, broker: Broker) {
    stage.freeze(broker);
    let least = if broker == Broker::Nats { STALE } else { Duration::ZERO };
    sleep(stage.lengths.frozen.max(least)).await;
    stage.thaw(broker);
}

pub(super) async fn keep_restarting(stage: &mut Stage<'_>, broker: Broker) {
    stage.trouble(Part::Broker(broker));
    let rounds = match broker {
        Broker::Nats => stage.lengths.rounds,
        // It takes some seconds to start.
        Broker::Kafka => stage.lengths.rounds.div_ceil(2),
    };
    for _ in 0..rounds {
        let pause = stage.random.about(stage.lengths.step);
        sleep(pause).await;
        stage.ground.restart(broker, 0).await;
    }
    stage.healed(Part::Broker(broker));
}
