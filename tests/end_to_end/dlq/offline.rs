//! Without a bridge that runs.

use super::{SMALL, expect, ids, large, rejected};
use crate::support::{Bridge, HOOK, Nats, ports};
use std::time::{Duration, Instant};

const TIMES: &str = "[nats]\nservers = [\"{nats}\"]\nack_timeout = \"1s\"\n";

#[tokio::test]
async fn the_spool_is_opened_where_no_bridge_runs() {
    let Some(mut nats) = Nats::start_with(SMALL).await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let mut bridge = Bridge::config(format!("{HOOK}{TIMES}")).nats(&nats).start_ready().await;
    for number in 0..10 {
        let kind = if number % 2 == 0 { "hang" } else { "transcript" };
        rejected(&bridge, "/hook", large(kind, &format!("call-{number}"))).await;
    }
    // One that listens elsewhere has the directory.
    let folder = bridge.folder().to_owned();
    let text = std::fs::read_to_string(folder.join("hookbus.toml")).unwrap();
    let admin = bridge.admin_url("").replace("http://", "");
    let moved = text.replace(&admin, &format!("127.0.0.1:{}", ports::free()));
    std::fs::write(folder.join("moved.toml"), moved).unwrap();
    let said = ["another process uses the spool directory", "hint: ", "--admin"];
    expect(&folder, &["dlq", "list", "--config", "moved.toml"], 1, &said).await;
    assert_eq!(ids(&folder, &["--admin", &bridge.admin_url("")]).await.len(), 10);

    bridge.kill();
    let all = ids(&folder, &[]).await;
    assert_eq!(all.len(), 10);
    expect(&folder, &["dlq", "replay", "--all", "--dry-run"], 0, &["10 would be published"]).await;
    expect(
        &folder,
        &["dlq", "replay", "--all"],
        1,
        &["0 published, 10 rejected again, 10 left", "too-large"],
    )
    .await;
    nats.kill();
    let began = Instant::now();
    let said = ["disconnected", "0 published, 0 rejected again, 10 left", "hint: "];
    expect(&folder, &["dlq", "replay", "--all"], 1, &said).await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(ids(&folder, &[]).await, all, "nothing is removed");

    nats.restart_with("").await;
    expect(
        &folder,
        &["dlq", "replay", "--type", "hang"],
        0,
        &["5 published, 0 rejected again, 0 left"],
    )
    .await;
    let mut stored: Vec<_> = nats.messages("EVENTS", 5).await;
    stored.sort_by_key(|event| event.header("ce-id").map(str::to_owned));
    let hangs = all.iter().step_by(2).map(String::as_str);
    assert!(stored.iter().filter_map(|event| event.header("ce-id")).eq(hangs), "{stored:?}");
    expect(&folder, &["dlq", "drop", "--id", &all[1]], 0, &["1 dropped, 0 left"]).await;
    assert_eq!(ids(&folder, &[]).await.len(), 4);
}

#[tokio::test]
async fn it_says_what_to_do_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let hint = ["error: no answer from 127.0.0.1:", "hint: ", "--config"];
    expect(folder, &["dlq", "list", "--admin", &nobody], 1, &hint).await;
    expect(folder, &["dlq", "list", "--config", "none.toml"], 2, &["there is no file", "hint: "])
        .await;
    let text = format!(
        "[admin]\nlisten = \"127.0.0.1:{}\"\n[nats]\n[spool]\ndir = \"none\"\n{HOOK}",
        ports::free()
    );
    std::fs::write(folder.join("hookbus.toml"), &text).unwrap();
    expect(folder, &["dlq", "list"], 1, &["there is no spool directory none", "hint: "]).await;
    assert!(!folder.join("none").exists(), "a look makes no directory");
    let without = text.replace("dir = \"none\"", "enabled = false");
    std::fs::write(folder.join("hookbus.toml"), without).unwrap();
    expect(folder, &["dlq", "list"], 1, &["spool.enabled = false", "hint: "]).await;
}
