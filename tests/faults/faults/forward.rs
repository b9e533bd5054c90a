//! The HTTP server that `hookbus forward` posts to is killed, again and again.

use tokio::time::sleep;

use crate::stage::Stage;

/// For each of the rounds.
const KILLS: usize = 7;

pub(super) async fn kill_server(stage: &mut Stage<'_>) {
    for _ in 0..stage.lengths.rounds * KILLS {
        let (up, down) = (stage.lengths.step, stage.lengths.step / 4);
        let (up, down) = (stage.random.about(up), stage.random.about(down));
        sleep(up).await;
        stage.forwarding().kill_server(down).await;
    }
}
