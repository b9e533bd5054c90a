//! The bridge itself dies, or is asked to stop: when all is well, while its spool fills, and while that drains.

use tokio::time::sleep;

use crate::stage::Stage;

pub(super) async fn kill(stage: &mut Stage<'_>) {
    end_again_and_again(stage, async |stage| stage.kill()).await;
}

pub(super) async fn terminate(stage: &mut Stage<'_>) {
    end_again_and_again(stage, async |stage| stage.terminate().await).await;
}

async fn end_again_and_again(stage: &mut Stage<'_>, end: impl AsyncFn(&mut Stage<'_>)) {
    for _ in 0..stage.lengths.rounds.div_ceil(2) {
        pause(stage).await;
        end(stage).await;
        stage.restart().await;

        let broker = stage.random.broker();
        stage.freeze(broker);
        stage.spooled(50).await;
        pause(stage).await;
        end(stage).await;
        stage.restart().await;
        stage.spooled(50).await;

        stage.thaw(broker);
        stage.draining().await;
        end(stage).await;
        stage.restart().await;
    }
}

/// Two bridges behind a proxy, one after the other, which isn't even given the time to look. No sender notices.
pub(super) async fn roll(stage: &mut Stage<'_>) {
    for round in 0..stage.lengths.rounds * 2 {
        pause(stage).await;
        stage.roll(round).await;
    }
    assert_eq!(stage.counts().refused(), 0, "requests got a 503, of the proxy or of a bridge");
}

async fn pause(stage: &mut Stage<'_>) {
    let time = stage.random.about(stage.lengths.step);
    sleep(time).await;
}
