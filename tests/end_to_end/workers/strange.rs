//! Answers that are rubbish, or too many, or too large.

use super::{config, function, shown};
use crate::support::worker::serve;
use crate::support::{Bridge, Nats, Reply, Worker};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn rubbish_is_counted_and_does_no_harm() {
    let Some(nats) = Nats::start().await else { return };
    let _real = serve(&nats, "weather", "q", "hook.tool.weather").await;
    let deep = "[".repeat(100_000);
    let odd = json!({
        "name": "\u{1b}[2Jodd", "id": "n".repeat(100_000), "version": ["x"],
        "endpoints": [{"name": "a", "subject": "hook.tool.book", "queue_group": null}],
    });
    let mut rubbish = Reply::text("");
    for text in ["{", "null", "\u{0}\u{1}", &deep, r#"{"name":"a"}"#, &odd.to_string()] {
        rubbish = rubbish.then(Reply::text(text.to_owned()));
    }
    rubbish = rubbish.then(Reply::text(vec![0xff; 1_000]));
    let _worker = Worker::start(&nats, "$SRV.INFO", move |_| rubbish.clone()).await;
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    let report = shown(&bridge, |report| !report["problems"].as_array().unwrap().is_empty()).await;
    assert_eq!(function(&report, "weather")["workers"][0]["service"], "weather");
    let odd = &function(&report, "book")["workers"][0];
    assert_eq!(odd["service"], "\u{fffd}[2Jodd");
    assert_eq!(odd["id"].as_str().unwrap().len(), 256);
    assert_eq!(odd["requests"], json!(null));
    assert_eq!(report["problems"], json!(["7 answers could not be read"]));
}

#[tokio::test]
async fn too_much_is_left() {
    let Some(nats) = Nats::start().await else { return };
    let huge = (0..12).fold(Reply::none(), |all, number| {
        let text = json!({"name": "huge", "id": number, "version": "x".repeat(1 << 20)});
        all.then(Reply::json(&text))
    });
    let _worker = Worker::start(&nats, "$SRV.INFO", move |_| huge.clone()).await;
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    let before = bridge.rss_bytes();
    let report = shown(&bridge, |_| true).await;
    assert!(report.to_string().contains("or more than 4 MiB: the rest was left"), "{report}");
    let grown = bridge.rss_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
}

#[tokio::test]
async fn one_asks_for_all() {
    let Some(nats) = Nats::start().await else { return };
    let spy = Worker::start(&nats, "$SRV.INFO", |_| Reply::none()).await;
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    let began = std::time::Instant::now();
    let asking = (0..30).map(|_| bridge.admin("/workers"));
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.status, 200);
    }
    // Each question was asked for at least half a second, and its answer was used for a second.
    let most = began.elapsed().as_secs() as usize + 1;
    let asked = spy.questions().len();
    assert!(asked >= 1 && asked <= most, "{asked} times in {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(20));
}
