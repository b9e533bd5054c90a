//! The admin listener: who may ask for what, and what happens when nobody listens.

use super::{SMALL, expect, ids, large, rejected};
use crate::support::bridge::program;
use crate::support::http::{Client, raw};
use crate::support::process::Process;
use crate::support::{Bridge, HOOK, Nats, eventually, ports};
use bytes::Bytes;
use hookbus::config::Spool as Settings;
use hookbus::message::Event;
use hookbus::spool::{DeadLetter, Record, Spool};
use hookbus::trace::Trace;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn web_pages_and_misspelt_requests_change_nothing() {
    let Some(nats) = Nats::start_with(SMALL).await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    rejected(&bridge, "/hook", large("hang", "k")).await;
    let address = bridge.admin_url("").replace("http://", "");
    let ask = async |method: &str, path: &str, host: &str, more: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
        let answer = raw(&address, request.as_bytes()).await;
        String::from_utf8(answer).unwrap()
    };
    for (method, path, host, more, status) in [
        (
            "POST",
            "/dead-letters/drop?all=true",
            &*address,
            "origin: http://127.0.0.1:9180\r\n",
            403,
        ),
        ("POST", "/dead-letters/drop?all=true", &address, "origin: null\r\n", 403),
        ("GET", "/dead-letters", &address, "origin: http://example.com\r\n", 403),
        ("POST", "/dead-letters/drop?all=true", "example.com", "", 403),
        ("POST", "/dead-letters/replay?all=true", "localhost.example.com:9180", "", 403),
        ("GET", "/dead-letters", "example.com", "", 403),
        ("GET", "/spool", "", "", 403),
        ("GET", "/dead-letters/drop?all=true", &address, "", 405),
        ("GET", "/dead-letters/replay?all=true", &address, "", 405),
        ("POST", "/dead-letters/drop", &address, "", 400),
        ("POST", "/dead-letters/drop?all=false", &address, "", 400),
        ("POST", "/dead-letters/replay", &address, "", 400),
        ("POST", "/dead-letters/drop?endpoints=hook", &address, "", 400),
        ("POST", "/dead-letters/drop?type=hang&queue=x", &address, "", 400),
        ("POST", "/spool/drain", &address, "", 400),
        ("POST", "/spool/drain?endpoint=hook", &address, "", 400),
        ("POST", "/spool/drain?destination=x&all=true", &address, "", 400),
        ("GET", "/spool/drain?destination=x", &address, "", 405),
        ("POST", "/spool/drain?destination=x", "example.com", "", 403),
        ("POST", "/dead-letters", &address, "", 405),
        ("POST", "/dead-letters/drop?all=true&since=yesterday", &address, "", 400),
        ("GET", "/dead-letters?id=", &address, "", 200),
        ("GET", "/dead-letters", "localhost", "", 200),
        ("GET", "/dead-letters", "[::1]:80", "", 200),
    ] {
        let answer = ask(method, path, host, more).await;
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&line), "{method} {path} {host} {more}: {answer}");
    }
    assert_eq!(ids(bridge.folder(), &[]).await.len(), 1);
    let answer =
        ask("POST", "/dead-letters/drop?type=hang", "127.0.0.1", "content-length: 0\r\n").await;
    assert!(answer.contains(r#""outcome":"dropped""#), "{answer}");
    assert!(ids(bridge.folder(), &[]).await.is_empty());
}

#[tokio::test]
async fn on_loopback_only() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let port = ports::free();
    let text = format!(
        "{HOOK}[admin]\nlisten = \"0.0.0.0:{port}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[nats]\nservers = [{:?}]\n",
        nats.url()
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hookbus.toml"), text).unwrap();
    let mut command = program();
    command.arg("serve").current_dir(folder.path()).stderr(std::process::Stdio::null());
    let _bridge = Process::start(&mut command, Some(folder.path()));
    let client = Client::new();
    let url = format!("http://127.0.0.1:{port}");
    eventually("the bridge", Duration::from_secs(20), async || {
        client.try_get(&format!("{url}/livez")).await.ok()
    })
    .await;
    let said = ["loopback", "hint: ", "admin.listen"];
    for arguments in [
        &["dlq", "list"][..],
        &["dlq", "replay", "--all"],
        &["dlq", "drop", "--all"],
        &["spool", "list"],
        &["spool", "drain", "nats:x"],
    ] {
        expect(folder.path(), arguments, 1, &said).await;
    }
}

#[tokio::test]
async fn one_at_a_time_and_none_for_nobody() {
    let Some(mut nats) = Nats::start_with(SMALL).await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let text = "[nats]\nservers = [\"{nats}\"]\nack_timeout = \"30s\"\n";
    let mut bridge = Bridge::config(format!("{HOOK}{text}")).nats(&nats).start_ready().await;
    for number in 0..20 {
        rejected(&bridge, "/hook", large("hang", &format!("call-{number}"))).await;
    }
    nats.restart_with("").await;
    eventually("the connection", Duration::from_secs(10), async || {
        bridge.admin("/readyz").await.text().contains("nats: connected").then_some(())
    })
    .await;
    // Nothing is acknowledged, until the connection counts as gone.
    nats.stop_signal();
    let address = bridge.admin_url("").replace("http://", "");
    let mut first = TcpStream::connect(&address).await.unwrap();
    let request = "POST /dead-letters/replay?all=true HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    first.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    expect(
        bridge.folder(),
        &["dlq", "replay", "--all"],
        1,
        &["another replay, drop or drain is running", "hint: "],
    )
    .await;
    expect(
        bridge.folder(),
        &["dlq", "drop", "--all"],
        1,
        &["another replay, drop or drain is running"],
    )
    .await;
    assert_eq!(ids(bridge.folder(), &[]).await.len(), 20, "looking is free");
    drop(first);
    nats.cont_signal();
    eventually("the end of the first", Duration::from_secs(20), async || {
        let output = super::run(bridge.folder(), &["dlq", "replay", "--all"]).await;
        (output.code == Some(0)).then_some(())
    })
    .await;
    assert_eq!(nats.messages("EVENTS", 20).await.len(), 20);
    bridge.signal("TERM");
    assert_eq!(bridge.wait().await.code(), Some(0));
}

/// Memory is what is on its way, not what is on disk.
#[tokio::test(flavor = "multi_thread")]
async fn many_are_streamed() {
    const MANY: u64 = 30_000;
    let Some(nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), MANY).await;
    let config = format!("{HOOK}[spool]\ndir = {:?}\n", folder.path());
    let bridge = Bridge::config(&config).nats(&nats).start_ready().await;
    let before = bridge.rss_bytes();
    assert_eq!(bridge.metric("hookbus_dead_letters").await, MANY as f64);
    assert_eq!(ids(bridge.folder(), &[]).await.len(), MANY as usize);
    let said = format!("{} published, 0 rejected again, 0 left", MANY / 10);
    expect(bridge.folder(), &["dlq", "replay", "--type", "some"], 0, &[&said]).await;
    // A reader that stops reading holds nothing up but itself.
    let address = bridge.admin_url("").replace("http://", "");
    let mut lazy = TcpStream::connect(&address).await.unwrap();
    lazy.write_all(b"GET /dead-letters HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    // One that goes away takes its task with it.
    let mut gone = TcpStream::connect(&address).await.unwrap();
    gone.write_all(b"POST /dead-letters/drop?all=true HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        .await
        .unwrap();
    gone.read_exact(&mut [0; 15]).await.unwrap();
    drop(gone);
    eventually("the end of its task", Duration::from_secs(20), async || {
        bridge.log().matches("processed dead letters").nth(1).map(drop)
    })
    .await;
    let left = bridge.metric("hookbus_dead_letters").await;
    assert!(left > 0.0, "nobody asked for all of it");
    let said = format!("{left} dropped, 0 left");
    expect(bridge.folder(), &["dlq", "drop", "--type", "many"], 0, &[&said]).await;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 0.0);
    let after = bridge.peak_rss_bytes();
    assert!(after < before + (64 << 20), "{before} bytes grew to {after}");
    assert_eq!(nats.messages("EVENTS", MANY / 10).await.len() as u64, MANY / 10);
}

/// A spool with so many dead letters of 2 kB, a tenth of them of the type `some`.
async fn fill(folder: &std::path::Path, many: u64) {
    let settings = Settings { dir: folder.to_owned(), ..Settings::default() };
    let (spool, _) = Spool::open(&settings).unwrap();
    let letters = spool.dead_letters();
    let payload = Bytes::from(vec![b' '; 2_000]);
    let mut waiting = Vec::new();
    for number in 0..many {
        let event = Event {
            id: number.to_string().into(),
            endpoint: "hook".into(),
            kind: if number % 10 == 0 { "ai.vapi.some" } else { "ai.vapi.many" }.into(),
            key: None,
            subject: None,
            time: SystemTime::now(),
            content_type: "application/json".into(),
            payload: payload.clone(),
            trace: Trace::default(),
            dedupe: true,
        };
        let letter = DeadLetter {
            destination: "nats:{endpoint}.events.{type}".into(),
            reason: "too-large".into(),
            detail: "too large".into(),
            record: Record { name: "hook.events.some".into(), event },
        };
        waiting.push(letters.begin(&letter).unwrap());
        if waiting.len() == 500 {
            for waiting in waiting.drain(..) {
                waiting.finish().await.unwrap();
            }
        }
    }
    for waiting in waiting {
        waiting.finish().await.unwrap();
    }
    tokio::task::spawn_blocking(move || drop(spool)).await.unwrap();
}
