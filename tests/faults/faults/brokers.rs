//! Brokers that die, freeze, and come back.

use std::time::Duration;

use tokio::time::sleep;

use crate::history::Part;
use crate::stage::Stage;
use crate::webhook::{Broker, LIMIT_SECONDS};

pub(super) async fn kill(stage: &mut Stage<'_>, broker: Broker) {
    stage.trouble(Part::Broker(broker));
    stage.ground.kill(broker);
    sleep(stage.lengths.outage).await;
    stage.ground.restart(broker).await;
    stage.healed(Part::Broker(broker));
}

pub(super) async fn freeze(stage: &mut Stage<'_>, broker: Broker) {
    stage.freeze(broker);
    // The questions that its socket holds have to be stale when it goes on.
    let stale = Duration::from_secs(LIMIT_SECONDS + 1);
    let is_asked = broker == Broker::Nats;
    sleep(stage.lengths.frozen.max(if is_asked { stale } else { Duration::ZERO })).await;
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
        stage.ground.restart(broker).await;
    }
    stage.healed(Part::Broker(broker));
}
