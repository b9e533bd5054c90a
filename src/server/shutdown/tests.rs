use super::*;

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_once_nothing_has_come_for_a_while() {
    let shutdown = Shutdown::new();
    let mut stage = shutdown.watch();
    let is_busy = Arc::new(AtomicBool::new(true));
    let draining = {
        let (shutdown, is_busy) = (shutdown.clone(), is_busy.clone());
        tokio::spawn(async move { shutdown.drain(|| is_busy.load(Ordering::Relaxed)).await })
    };
    sleep(QUIET_PERIOD * 2).await;
    assert!(shutdown.is_announced());
    assert_eq!(*stage.borrow_and_update(), Stage::Draining, "some are being handled");
    is_busy.store(false, Ordering::Relaxed);
    for _ in 0..5 {
        sleep(QUIET_PERIOD - POLL_INTERVAL * 2).await;
        shutdown.record_activity();
    }
    assert_eq!(*stage.borrow(), Stage::Draining, "some have come");
    sleep(QUIET_PERIOD + POLL_INTERVAL * 2).await;
    assert_eq!(*stage.borrow_and_update(), Stage::Closing);
    // It never goes back, and says nothing twice.
    shutdown.announce();
    assert!(!stage.has_changed().is_ok_and(|has_changed| has_changed));
    shutdown.end();
    shutdown.end();
    assert_eq!(*stage.borrow_and_update(), Stage::Ended);
    assert!(!draining.is_finished());
    drop(stage);
    assert!(draining.await.is_ok());
}
