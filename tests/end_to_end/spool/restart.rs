//! What a bridge left on disk when it died, and what it finds there when it starts.

use super::*;
use crate::support::bridge::serve;
use crate::support::ports;
use crate::support::process::Output;

/// Runs `serve` on this spool, which it can't.
async fn refused(spool: &Path) -> Output {
    let folder = folder();
    let file = folder.path().join("hookbus.toml");
    let text = format!(
        "{}[http]\nlisten = \"127.0.0.1:{}\"\n[admin]\nlisten = \"127.0.0.1:{}\"\n[nats]\n",
        config(spool, &["nats:events"]),
        ports::free(),
        ports::free()
    );
    std::fs::write(&file, text).unwrap();
    serve(&file).await
}

/// The bridge dies with events on its disk; another one takes over, with the same keys still coming.
async fn taken_over(mut broker: Broker) {
    let _load = LOAD.write().await;
    let spool = folder();
    let mut bridge = broker.setup(spool.path()).start_ready().await;
    let mut sent = send_all(&bridge, 20, 0..2).await;
    assert_all(&sent, 200);
    broker.kill();
    let queued = send_all(&bridge, 20, 2..30).await;
    assert_all(&queued, 202);
    let count = queued.len();
    sent.extend(queued);
    bridge.kill();

    let mut bridge = broker.setup(spool.path()).start().await;
    assert_eq!(bridge.metric("hookbus_spool_records").await, count as f64);
    let more = send_all(&bridge, 20, 30..40).await;
    assert_all(&more, 202);
    sent.extend(more);
    // Once more, amid all of it.
    let traffic = Traffic::start(&bridge, 20, 40);
    broker.restart().await;
    eventually("something published from the disk", RECOVERY, async || {
        (bridge.metric("hookbus_publish_seconds_count").await > 50.0).then_some(())
    })
    .await;
    let last = traffic.stop().await;
    let next = 1 + last.iter().map(|sent| sent.number).max().unwrap();
    sent.extend(last);
    bridge.kill();

    let bridge = broker.setup(spool.path()).start_ready().await;
    let traffic = Traffic::start(&bridge, 20, next);
    drained(&bridge).await;
    stored_at_once(&bridge, "k0").await;
    sent.extend(traffic.stop().await);
    let statuses = statuses(&sent);
    assert!(statuses.keys().all(|status| [200, 202].contains(status)), "{statuses:?}");
    drained(&bridge).await;
    let mut stored = broker.stored().await;
    // The ones that were sent to see where they go are beside the order.
    stored.retain(|stored| stored.number < PROBES);
    let twice = assert_kept(&sent, &stored);
    println!("{statuses:?}, {twice} twice");
    if let Broker::Nats(_) = broker {
        assert_eq!(twice, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_for_nats_is_taken_over() {
    let Some(broker) = Broker::nats().await else { return };
    taken_over(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_for_kafka_is_taken_over() {
    let Some(broker) = Broker::kafka().await else { return };
    taken_over(broker).await;
}

#[tokio::test]
async fn two_processes_share_no_spool() {
    let spool = folder();
    let _bridge = Bridge::config(config(spool.path(), &["nats:events"]))
        .nats_at(&format!("nats://127.0.0.1:{}", ports::free()))
        .start()
        .await;
    let output = refused(spool.path()).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    let expected = format!(
        "error: the spool directory {} is used by another process\nhint: ",
        spool.path().display()
    );
    assert!(output.stderr.contains(&expected), "{}", output.stderr);
}

#[tokio::test]
async fn a_spool_needs_a_directory() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = refused(&file.join("spool")).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    let expected =
        format!("error: the spool directory {} can't be used: ", file.join("spool").display());
    assert!(output.stderr.contains(&expected), "{}", output.stderr);
    assert!(output.stderr.contains("\nhint: "), "{}", output.stderr);
}

/// What waits in it would be overtaken. (Permissions would do too, but not for a test that root runs.)
#[tokio::test]
async fn a_queue_that_cant_be_read_stops_the_start() {
    let spool = folder();
    let segment = spool.path().join("queues/some/00000000000000000000.segment");
    std::fs::create_dir_all(&segment).unwrap();
    let output = refused(spool.path()).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    let expected = format!("error: {} can't be read: ", segment.display());
    assert!(output.stderr.contains(&expected), "{}", output.stderr);
    assert!(output.stderr.contains("\nhint: let this user read and write "), "{}", output.stderr);
}

#[tokio::test]
async fn a_spool_of_another_version_is_left_alone() {
    let spool = folder();
    std::fs::write(spool.path().join("format"), "hookbus spool 1\n").unwrap();
    let output = refused(spool.path()).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    let expected = "has the format 1, and this version reads 2\nhint: ";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    assert_eq!(std::fs::read_to_string(spool.path().join("format")).unwrap(), "hookbus spool 1\n");
}

/// Its events stay, and an operator hears of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_leaves_the_configuration() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>", "new"]).await;
    let spool = folder();
    let setup = |to: &str| Bridge::config(config(spool.path(), &[to])).nats(&nats);
    let (old, new) = (setup("nats:events.{type}"), setup("nats:new"));
    let mut bridge = old.clone().start_ready().await;
    nats.kill();
    let sent = send_all(&bridge, 3, 0..2).await;
    assert_all(&sent, 202);
    bridge.kill();
    nats.restart().await;

    let mut bridge = new.start_ready().await;
    bridge.logs("left the configuration").await;
    let log = bridge.log();
    let line = log.lines().find(|line| line.contains("left the configuration"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("nats:events.{type}") && line.contains("records=6"), "{line}");
    let queued = r#"hookbus_spool_records{destination="nats:events.{type}"}"#;
    assert_eq!(bridge.metric(queued).await, 6.0);
    assert_all(&send(&bridge, "new", 0..1).await, 200);
    assert_eq!(bridge.metric(queued).await, 6.0);
    bridge.kill();

    let bridge = old.start_ready().await;
    drained(&bridge).await;
    let mut stored = Broker::stored_in(&nats, "EVENTS").await;
    stored.retain(|stored| stored.key != "new");
    assert_eq!((stored.len(), assert_kept(&sent, &stored)), (6, 0));
}
