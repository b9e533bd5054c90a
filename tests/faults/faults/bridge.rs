//! The bridge itself dies, or is asked to stop, while its brokers come and go.

use tokio::time::sleep;

use crate::history::Part;
use crate::stage::Stage;

pub(super) async fn kill(stage: &mut Stage<'_>) {
    for round in 0..stage.lengths.rounds {
        disturb(stage, round).await;
        pause(stage).await;
        stage.kill();
        stage.restart().await;
    }
    settle(stage).await;
}

pub(super) async fn terminate(stage: &mut Stage<'_>) {
    for round in 0..stage.lengths.rounds {
        disturb(stage, round).await;
        pause(stage).await;
        stage.look_at_memory();
        stage.trouble(Part::BridgeGently);
        stage.bridge.signal("TERM");
        let status = stage.bridge.wait().await;
        assert_eq!(status.code(), Some(0), "{}", stage.bridge.log());
        stage.bridge.restart().await;
        stage.healed(Part::BridgeGently);
    }
    settle(stage).await;
}

/// A broker freezes in one round and goes on in the next, so that the bridge ends with a spool that is empty, one that
/// fills, and one that drains.
async fn disturb(stage: &mut Stage<'_>, round: usize) {
    match round % 4 {
        0 => {
            stage.trouble(Part::Kafka);
            stage.ground.kafka.stop_signal();
        }
        1 => {
            stage.ground.kafka.cont_signal();
            stage.healed(Part::Kafka);
        }
        2 => {
            stage.trouble(Part::Nats);
            stage.ground.nats.stop_signal();
        }
        _ => {
            stage.ground.nats.cont_signal();
            stage.healed(Part::Nats);
        }
    }
}

async fn settle(stage: &mut Stage<'_>) {
    let rounds = stage.lengths.rounds;
    if rounds % 2 == 1 {
        disturb(stage, rounds).await;
    }
}

async fn pause(stage: &mut Stage<'_>) {
    let time = stage.random.about(stage.lengths.step * 2);
    sleep(time).await;
}
