//! The same for Kafka, for users who may not ask JetStream, and for destinations that are gone.

use super::*;
use crate::support::kafka;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_holds_up_no_other() {
    let Some(kafka) = kafka::shared().await else { return };
    kafka.create_topic("names-hang", 1).await;
    let spool = folder();
    let to = "kafka:names-{type}";
    let text = format!(
        "{}\n[kafka]\nbrokers = [\"{{kafka}}\"]\nack_timeout = \"{ACK:?}\"\n",
        config(spool.path(), &[to])
    );
    let bridge = Bridge::config(&text).kafka(kafka).start_ready().await;
    let mut homeless = vec![told(&bridge, "status-update", "k", 0, 202).await];
    let mut hang = Vec::new();
    for number in 1..20 {
        hang.push(told(&bridge, "hang", "k", number, 200).await);
        homeless.push(told(&bridge, "status-update", "k", number, 202).await);
        homeless.push(told(&bridge, "status-update", &format!("l{number}"), number, 202).await);
    }
    let slow = homeless.iter().skip(1).map(|sent| sent.answer.elapsed).max().unwrap();
    assert!(slow < SLACK, "nobody waits for what is known: {slow:?}");
    bridge.readiness(&format!("{to}: unknown-topic: `names-status-update` takes nothing")).await;
    kafka.create_topic("names-status-update", 1).await;
    drained(&bridge).await;
    eventually("200", RECOVERY, async || {
        let number = homeless.len();
        let sent = post(&bridge, "status-update", "k", 1_000 + number).await;
        let is_direct = sent.answer.status == 200;
        homeless.push(sent);
        is_direct.then_some(())
    })
    .await;
    drained(&bridge).await;
    for (topic, sent) in [("names-hang", &hang), ("names-status-update", &homeless)] {
        let records = kafka.records(topic, sent.len()).await;
        let stored = records
            .iter()
            .map(|record| Stored::new(record.payload.as_deref().unwrap(), record.header("ce_id")));
        assert_kept(sent, &stored.collect::<Vec<_>>());
    }
}

/// A user that may publish and hear the acknowledgements, and nothing else: whether there is a stream can't be asked. It
/// takes longer then than an election.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_ask_it_takes_its_time() {
    let users = r#"
        authorization {
            users: [
                {user: bridge, password: b, permissions: {publish: ["events.>"], subscribe: ["_INBOX.>"]}}
                {user: all, password: a}
            ]
        }
        no_auth_user: all
    "#;
    let Some(nats) = Nats::start_with(users).await else { return };
    nats.create_stream("SOME", &["events.hang"]).await;
    let spool = folder();
    let url = nats.url().replace("nats://", "nats://bridge:b@");
    let bridge = Bridge::config(config(spool.path(), &[TO])).nats_at(&url).start_ready().await;
    let mut homeless = vec![told(&bridge, "status-update", "k", 0, 202).await];
    // It may be over in a moment: those of its call wait for it, and no others.
    let mut hang = vec![told(&bridge, "hang", "k", 0, 202).await];
    let other = told(&bridge, "hang", "other", 0, 200).await;
    homeless.push(told(&bridge, "status-update", "other", 0, 202).await);
    waiting_apart(&bridge, homeless.len()).await;
    hang.push(told(&bridge, "hang", "k", 1, 200).await);
    hang.push(other);
    homeless.push(told(&bridge, "status-update", "k", 1, 202).await);
    nats.create_stream("REST", &["events.status-update"]).await;
    drained(&bridge).await;
    assert_stored(&nats, "SOME", "hang", &hang).await;
    assert_stored(&nats, "REST", "status-update", &homeless).await;
}

/// A destination that left the configuration: `hookbus spool drain` publishes what it can of both its queues,
/// and says what takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_former_destination_is_drained_as_far_as_it_goes() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("SOME", &["events.hang", "new"]).await;
    let spool = folder();
    let setup = |to: &str| Bridge::config(config(spool.path(), &[to])).nats(&nats);
    let (old, new) = (setup(TO), setup("nats:new"));
    let mut bridge = old.start_ready().await;
    let mut homeless = vec![told(&bridge, "status-update", "k", 0, 202).await];
    nats.kill();
    bridge.readiness("nats: down").await;
    let hang = vec![told(&bridge, "hang", "k", 1, 202).await];
    homeless.push(told(&bridge, "status-update", "k", 2, 202).await);
    bridge.kill();
    nats.restart().await;

    let bridge = new.start_ready().await;
    let run = async |arguments: &[&str]| {
        let mut command = crate::support::bridge::program();
        command.arg("spool").args(arguments).current_dir(bridge.folder());
        crate::support::process::output(command.into(), b"").await
    };
    let list = run(&["list"]).await;
    assert!(
        list.stderr.contains(&format!("3 queued for {TO}, which left the configuration")),
        "{list:?}"
    );
    let output = run(&["drain", TO]).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("1 published, 2 left"), "{output:?}");
    assert!(output.stderr.contains(&format!("error: {TO}: no-stream")), "{output:?}");
    assert_stored(&nats, "SOME", "hang", &hang).await;
    let list = run(&["list"]).await;
    assert!(
        list.stderr.contains(&format!("2 queued for {TO} wait apart from the others")),
        "{list:?}"
    );
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains(TO), "{}", ready.text());

    nats.create_stream("REST", &["events.status-update"]).await;
    let output = run(&["drain", TO]).await;
    assert!(output.code == Some(0) && output.stderr.contains("2 published, 0 left"), "{output:?}");
    assert_stored(&nats, "REST", "status-update", &homeless).await;
}
