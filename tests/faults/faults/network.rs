//! A network that cuts, swallows, and is slow.

use std::time::Duration;

use tokio::time::sleep;

use crate::history::Part;
use crate::proxy::Mode;
use crate::stage::Stage;
use crate::webhook::Broker;

/// For each 16 KiB at the most: less than the load is.
const PAUSE: Duration = Duration::from_millis(150);

/// A server that answers no ping for three seconds counts as gone.
const STALL: Duration = Duration::from_millis(2_200);

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

/// Again and again for less than the time after which a server counts as gone.
pub(super) async fn stall(stage: &mut Stage<'_>) {
    for _ in 0..stage.lengths.rounds {
        stage.trouble(Part::Stalled(Broker::Nats));
        stage.ground.proxy(Broker::Nats).set(Mode::Hole);
        sleep(STALL).await;
        stage.ground.proxy(Broker::Nats).set(Mode::Open);
        stage.healed(Part::Stalled(Broker::Nats));
        let pause = stage.random.about(stage.lengths.step);
        sleep(pause).await;
    }
}

/// Each connection ends as soon as its client has been let in.
pub(super) async fn leave(stage: &mut Stage<'_>) {
    stage.trouble(Part::Broker(Broker::Nats));
    let proxy = stage.ground.proxy(Broker::Nats);
    proxy.set(Mode::Leave);
    proxy.cut();
    let before = proxy.connections();
    sleep(stage.lengths.frozen).await;
    let connections = proxy.connections() - before;
    proxy.set(Mode::Open);
    stage.healed(Part::Broker(Broker::Nats));
    // Three roles of the bridge, each with pauses that double up to a second.
    let most = 3 * (6 + 2 * stage.lengths.frozen.as_secs());
    assert!((1..=most).contains(&connections), "{connections} connections, of at most {most}");
}

async fn change(stage: &mut Stage<'_>, broker: Broker, mode: Mode) {
    stage.trouble(Part::Stalled(broker));
    stage.ground.proxy(broker).set(mode);
    sleep(stage.lengths.frozen).await;
    stage.ground.proxy(broker).set(Mode::Open);
    stage.healed(Part::Stalled(broker));
}
