//! A network that cuts, swallows, and is slow.

use std::time::Duration;

use tokio::time::sleep;

use crate::history::Part;
use crate::proxy::Mode;
use crate::stage::Stage;
use crate::webhook::Broker;

/// For each 16 KiB at the most: less than the load is.
const PAUSE: Duration = Duration::from_millis(150);

/// All connections, again and again.
pub(super) async fn cut(stage: &mut Stage<'_>, broker: Broker) {
    stage.trouble(Part::Broker(broker));
    for _ in 0..stage.lengths.rounds * 2 {
        stage.ground.proxy(broker).cut();
        let pause = stage.random.about(stage.lengths.step / 2);
        sleep(pause).await;
    }
    stage.healed(Part::Broker(broker));
}

pub(super) async fn hold(stage: &mut Stage<'_>, broker: Broker) {
    change(stage, broker, Mode::Hole).await;
}

pub(super) async fn slow(stage: &mut Stage<'_>, broker: Broker) {
    change(stage, broker, Mode::Slow(PAUSE)).await;
}

async fn change(stage: &mut Stage<'_>, broker: Broker, mode: Mode) {
    stage.trouble(Part::Stalled(broker));
    stage.ground.proxy(broker).set(mode);
    sleep(stage.lengths.frozen).await;
    stage.ground.proxy(broker).set(Mode::Open);
    stage.healed(Part::Stalled(broker));
}
