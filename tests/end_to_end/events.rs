//! Events to JetStream: where they go, when they are stored, and in what order.

use crate::support::http::{Answer, raw_within};
use crate::support::process::Output;
use crate::support::{Bridge, HOOK, Nats, bridge, eventually, ports};
use async_nats::jetstream::stream;
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A configuration of one endpoint with these rules.
fn config(rules: &str) -> String {
    format!("{HOOK}\n{rules}")
}

fn event(kind: &str, key: &str, number: usize) -> String {
    json!({"message": {"type": kind, "call": {"id": key}, "number": number}}).to_string()
}

/// The number that [`event`] put into a body.
fn number(payload: &[u8]) -> u64 {
    let body: serde_json::Value = serde_json::from_slice(payload).unwrap();
    body["message"]["number"].as_u64().unwrap()
}

/// Which numbers each key has, as they are stored, repetitions left out.
fn by_key<'a>(
    stored: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> BTreeMap<&'a str, Vec<u64>> {
    let mut keys: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (key, payload) in stored {
        let numbers = keys.entry(key).or_default();
        let number = number(payload);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    keys
}

/// Runs `serve` with a configuration that it can't start with.
async fn refused(nats: &Nats, text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:{}\"\n[admin]\nlisten = \"127.0.0.1:{}\"\n{}",
        ports::free(),
        ports::free(),
        text.replace("{nats}", &nats.url())
    );
    std::fs::write(&file, text).unwrap();
    bridge::serve(&file).await
}

fn assert_not_stored(answer: &Answer, within: Duration) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let within = within + Duration::from_millis(200);
    assert!(answer.elapsed < within, "{:?}", answer.elapsed);
}

#[tokio::test]
async fn the_first_rule_that_matches_decides() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("ALL", &["to.>", "hook.events.>"]).await;
    let bridge = Bridge::config(config(
        r#"
        [[endpoint.event]]
        types = ["speech-*"]
        to = []
        [[endpoint.event]]
        types = ["transcript*", "hang"]
        to = ["nats:to.first.{type}"]
        [[endpoint.event]]
        types = ["transcript", "speech-update", "status-update"]
        to = ["nats:to.second.{endpoint}-{key}.x", "nats:to.third"]
        "#,
    ))
    .nats(&nats)
    .start_ready()
    .await;
    let subjects = |kind: &str, key: &str| {
        let body = event(kind, key, 0);
        let (bridge, nats) = (&bridge, &nats);
        async move {
            let before = nats.messages("ALL", 0).await.len();
            let answer = bridge.post("/hook", body.clone(), &[]).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let id = answer.header("hookbus-id").unwrap().to_owned();
            let new = nats.messages("ALL", 0).await.split_off(before);
            for message in &new {
                assert_eq!(message.payload, body);
                assert_eq!(message.header("ce-id"), Some(&*id));
            }
            new.into_iter().map(|message| message.subject).collect::<Vec<_>>()
        }
    };
    assert!(subjects("speech-update", "k").await.is_empty());
    assert_eq!(subjects("transcript", "k").await, ["to.first.transcript"]);
    assert_eq!(
        subjects("transcript[transcriptType=\"final\"]", "k").await,
        ["to.first.transcript%5BtranscriptType%3D%22final%22%5D"]
    );
    assert_eq!(subjects("hang", "k").await, ["to.first.hang"]);
    assert_eq!(subjects("assistant.started", "k").await, ["hook.events.assistant.started"]);
    let mut two = subjects("status-update", "a.b *>\u{e9}").await;
    two.sort();
    assert_eq!(two, ["to.second.hook-a%2Eb%20%2A%3E%C3%A9.x", "to.third"]);
    let dropped =
        r#"hookbus_webhooks_total{endpoint="hook",type="speech-update",outcome="dropped"}"#;
    assert_eq!(bridge.metric(dropped).await, 1.0);
}

#[tokio::test]
async fn a_destination_that_fails_fails_the_event_and_not_the_other_destination() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("GOOD", &["good.>"]).await;
    let bridge = Bridge::config(config(
        r#"
        [[endpoint.event]]
        types = ["*"]
        to = ["nats:good.x", "nats:nowhere.x"]
        [nats]
        servers = ["{nats}"]
        ack_timeout = "1s"
        "#,
    ))
    .nats(&nats)
    .without_spool()
    .start_ready()
    .await;
    let answer = bridge.post("/hook", event("hang", "k", 0), &[]).await;
    assert_not_stored(&answer, Duration::from_secs(1));
    assert_eq!(nats.messages("GOOD", 1).await.len(), 1);
    let failed = r#"hookbus_publish_errors_total{destination="nats:nowhere.x",reason="no-stream"}"#;
    assert!(bridge.metric(failed).await >= 1.0);
}

#[tokio::test]
async fn declared_streams_are_created_and_those_that_differ_refused_or_changed() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let text = config(
        r#"
        [nats]
        servers = ["{nats}"]
        [[nats.stream]]
        name = "HOOK"
        subjects = ["hook.events.>", "hook.jobs.>"]
        max_age = "7d"
        max_bytes = "64MiB"
        duplicate_window = "1m"
        "#,
    );
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let answer = bridge.post("/hook", event("hang", "k", 0), &[]).await;
    assert_eq!(answer.status, 200);
    let jetstream = nats.jetstream().await;
    let found = async || {
        let mut stream = jetstream.get_stream("HOOK").await.unwrap();
        stream.info().await.unwrap().config.clone()
    };
    let created = found().await;
    assert_eq!(created.max_age, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(created.max_bytes, 64 << 20);
    assert_eq!(created.duplicate_window, Duration::from_secs(60));
    assert_eq!(created.discard, stream::DiscardPolicy::New);
    drop(bridge);

    // What is there already is no difference.
    drop(Bridge::config(&text).nats(&nats).start_ready().await);

    let other = text.replace("7d", "8d").replace("64MiB", "65MiB");
    let output = refused(&nats, &other).await;
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    for part in [
        "error: stream `HOOK` exists and differs: max_age is 7days, wanted 8days, max_bytes is 67108864, wanted 68157440",
        "hint: make them equal, or set `update = true`",
    ] {
        assert!(output.stderr.contains(part), "{}", output.stderr);
    }
    assert_eq!(found().await, created);

    let update = other.replace("max_age", "update = true\nmax_age");
    drop(Bridge::config(&update).nats(&nats).start_ready().await);
    let changed = found().await;
    assert_eq!(changed.max_age, Duration::from_secs(8 * 24 * 3600));
    assert_eq!(nats.messages("HOOK", 1).await.len(), 1);
}

#[tokio::test]
async fn a_stream_that_would_answer_in_place_of_a_worker_is_refused() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("problem"), "{}", ready.text());

    // One that comes later is found at the next connect at the latest.
    nats.create_stream("GREEDY", &["hook.ask.*"]).await;
    nats.restart().await;
    let text = "stream `GREEDY` stores `hook.ask.*`, which takes in `hook.ask.>`";
    eventually("the stream in /readyz", Duration::from_secs(10), async || {
        let ready = bridge.admin("/readyz").await;
        (ready.text().contains(text)).then_some(())
    })
    .await;
    bridge.logs(text).await;
    let log = bridge.log();
    let line = log.lines().find(|line| line.contains(text)).unwrap();
    assert!(line.contains("ERROR"), "{line}");
    drop(bridge);

    let start = config("[nats]\nservers = [\"{nats}\"]");
    let output = refused(&nats, &start).await;
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    let said = format!("error: {text} (questions of endpoint `hook`)");
    assert!(output.stderr.contains(&said), "{}", output.stderr);
}

#[tokio::test]
async fn events_that_no_stream_takes_are_refused_until_one_does() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let bridge = Bridge::config(config(
        r#"
        [nats]
        servers = ["{nats}"]
        ack_timeout = "2s"
        "#,
    ))
    .nats(&nats)
    .without_spool()
    .start_ready()
    .await;
    let text = "no stream stores `hook.events.>`";
    let ready = bridge.admin("/readyz").await;
    assert!(ready.text().contains(text), "{}", ready.text());
    bridge.logs(text).await;
    let answer = bridge.post("/hook", event("hang", "k", 0), &[]).await;
    assert_not_stored(&answer, Duration::from_secs(2));
    assert!(answer.elapsed > Duration::from_millis(1_500), "tried on");

    // The same event again, and the stream comes while the bridge tries.
    let again = bridge.post("/hook", event("hang", "k", 1), &[]);
    let create = async {
        let errors = "hookbus_publish_errors_total";
        let before = bridge.metric(errors).await;
        eventually("another try", Duration::from_secs(2), async || {
            (bridge.metric(errors).await > before).then_some(())
        })
        .await;
        nats.create_stream("LATE", &["hook.events.>"]).await;
    };
    let (answer, ()) = tokio::join!(again, create);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(number(&nats.messages("LATE", 1).await[0].payload), 1);
}

#[tokio::test]
async fn what_goes_to_nats_core_is_heard_and_not_stored() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let bridge = Bridge::config(config(
        r#"
        [[endpoint.event]]
        types = ["*"]
        to = ["nats-core:live.{type}"]
        "#,
    ))
    .nats(&nats)
    .start_ready()
    .await;
    // Nobody listens, and that is fine.
    let answer = bridge.post("/hook", event("hang", "k", 0), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let client = nats.client().await;
    let mut heard = client.subscribe("live.>").await.unwrap();
    client.flush().await.unwrap();
    eventually("an event", Duration::from_secs(5), async || {
        let answer = bridge.post("/hook", event("hang", "k", 1), &[]).await;
        assert_eq!(answer.status, 200);
        let next = tokio::time::timeout(Duration::from_millis(200), heard.next()).await;
        let message = next.ok()??;
        assert_eq!(message.subject.as_str(), "live.hang");
        if message.payload == event("hang", "k", 0) {
            // It was answered before it had left, and came after the subscription.
            return None;
        }
        assert_eq!(message.payload, event("hang", "k", 1));
        let headers = message.headers.unwrap();
        assert_eq!(headers.get("ce-type").unwrap().as_str(), "ai.vapi.hang");
        Some(())
    })
    .await;
}

#[tokio::test]
async fn repetitions_are_told_by_what_the_endpoint_says() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("ALL", &["delivery-id.events.>", "body.events.>", "off.events.>"]).await;
    let endpoint = |dedupe: &str| {
        let text = HOOK.replace("hook", dedupe);
        text.replace("source", &format!("dedupe = \"{dedupe}\"\n    source"))
    };
    let text = ["delivery-id", "body", "off"].map(endpoint).concat();
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let mut ids = BTreeMap::new();
    for dedupe in ["delivery-id", "body", "off"] {
        for _ in 0..2 {
            let path = format!("/{dedupe}");
            let answer = bridge.post(&path, event("hang", "k", 0), &[]).await;
            assert_eq!(answer.status, 200);
            let id = answer.header("hookbus-id").unwrap().to_owned();
            ids.entry(dedupe).or_insert_with(Vec::new).push(id);
        }
    }
    let stored: Vec<(String, Option<String>)> = nats
        .messages("ALL", 5)
        .await
        .iter()
        .map(|message| {
            let id = message.header("Nats-Msg-Id").map(str::to_owned);
            (message.subject.clone(), id)
        })
        .collect();
    let with_id = |dedupe: &str, which: usize| {
        let subject = format!("{dedupe}.events.hang");
        let id = format!("{dedupe}/{}/{subject}", ids[dedupe][which]);
        (subject, Some(id))
    };
    let without = ("off.events.hang".to_owned(), None);
    let expected = [
        with_id("delivery-id", 0),
        with_id("delivery-id", 1),
        with_id("body", 0),
        without.clone(),
        without,
    ];
    assert_eq!(stored, expected);
    assert_eq!(ids["body"][0], ids["body"][1]);
    assert_ne!(ids["delivery-id"][0], ids["delivery-id"][1]);
    assert_ne!(ids["off"][0], ids["off"][1]);
}

#[tokio::test]
async fn what_a_server_or_a_stream_does_not_take_is_refused_at_once() {
    let Some(nats) = Nats::start_with("max_payload: 32KB").await else {
        return;
    };
    nats.create_stream("SMALL", &["hook.events.>"]).await;
    nats.create_stream_with(stream::Config {
        name: "FULL".to_owned(),
        subjects: vec!["full".to_owned()],
        max_messages: 1,
        discard: stream::DiscardPolicy::New,
        ..Default::default()
    })
    .await;
    let bridge =
        Bridge::config(config("[[endpoint.event]]\ntypes = [\"hang\"]\nto = [\"nats:full\"]"))
            .nats(&nats)
            .without_spool()
            .start_ready()
            .await;
    let large = json!({"message": {"type": "transcript", "text": "x".repeat(40_000)}}).to_string();
    let answer = bridge.post("/hook", large, &[]).await;
    assert_not_stored(&answer, Duration::from_secs(1));
    let errors = "hookbus_publish_errors_total";
    let too_large = r#"{destination="nats:{endpoint}.events.{type}",reason="too-large"}"#;
    assert_eq!(bridge.metric(&format!("{errors}{too_large}")).await, 1.0);
    bridge.logs("too-large").await;

    // Others pass.
    let answer = bridge.post("/hook", event("transcript", "k", 0), &[]).await;
    assert_eq!(answer.status, 200);
    let answer = bridge.post("/hook", event("hang", "k", 0), &[]).await;
    assert_eq!(answer.status, 200);
    let answer = bridge.post("/hook", event("hang", "k", 1), &[]).await;
    assert_not_stored(&answer, Duration::from_secs(1));
    let full = r#"{destination="nats:full",reason="store-failed"}"#;
    assert_eq!(bridge.metric(&format!("{errors}{full}")).await, 1.0);
}

/// Many keys at once, each sending one event after the other and each again until it is stored, while the server dies
/// and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_a_key_outlives_a_restart_of_the_server() {
    const KEYS: usize = 50;
    const EVENTS: usize = 40;
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(config(
        r#"
        [nats]
        servers = ["{nats}"]
        ack_timeout = "1s"
        "#,
    ))
    .nats(&nats)
    .without_spool()
    .start_ready()
    .await;
    let (client, url) = (bridge.client().clone(), bridge.url("/hook"));
    let senders: Vec<_> = (0..KEYS)
        .map(|key| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move {
                let mut refused = 0;
                for number in 0..EVENTS {
                    let body = event("hang", &format!("key-{key:02}"), number);
                    loop {
                        let answer = client.post(&url, body.clone(), &[]).await;
                        match answer.status {
                            200 => break,
                            503 => refused += 1,
                            other => panic!("{other}"),
                        }
                    }
                }
                refused
            })
        })
        .collect();
    let stored = r#"hookbus_webhooks_total{endpoint="hook",type="hang",outcome="stored"}"#;
    let reaches = async |count: f64| {
        eventually("some stored events", Duration::from_secs(30), async || {
            (bridge.metric(stored).await >= count).then_some(())
        })
        .await;
    };
    let all = (KEYS * EVENTS) as f64;
    reaches(all / 4.0).await;
    nats.kill();
    // Until some were refused, so that these are sent again.
    eventually("refused events", Duration::from_secs(10), async || {
        let refused = r#"hookbus_webhooks_total{endpoint="hook",type="hang",outcome="refused"}"#;
        (bridge.metric(refused).await > 0.0).then_some(())
    })
    .await;
    assert!(bridge.metric(stored).await < all, "killed too late");
    nats.restart().await;
    let refused: usize = join_all(senders).await.into_iter().map(Result::unwrap).sum();
    assert!(refused > 0);
    assert_in_order(&nats, KEYS, EVENTS).await;
}

/// All of a key at once: while the server is away they wait, and then they are stored as they came.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_wait_together_are_stored_as_they_came() {
    const KEYS: usize = 5;
    const EVENTS: usize = 20;
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(config(
        r#"
        [nats]
        servers = ["{nats}"]
        ack_timeout = "30s"
        "#,
    ))
    .nats(&nats)
    .without_spool()
    .start_ready()
    .await;
    nats.kill();
    let (client, url) = (bridge.client().clone(), Arc::new(bridge.url("/hook")));
    let mut waiting = Vec::new();
    for number in 0..EVENTS {
        for key in 0..KEYS {
            let (client, url) = (client.clone(), url.clone());
            let body = event("hang", &format!("key-{key:02}"), number);
            waiting.push(tokio::spawn(async move { client.post(&url, body, &[]).await }));
            let count = waiting.len() as f64;
            eventually("the event in flight", Duration::from_secs(5), async || {
                let in_flight = bridge.metric(r#"hookbus_in_flight{kind="event"}"#).await;
                (in_flight >= count).then_some(())
            })
            .await;
        }
    }
    nats.restart().await;
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_in_order(&nats, KEYS, EVENTS).await;
}

/// One connection a key, with all its requests in one go.
#[tokio::test(flavor = "multi_thread")]
async fn pipelined_events_are_stored_in_their_order() {
    const KEYS: usize = 20;
    const EVENTS: usize = 40;
    let Some(nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    let connections = (0..KEYS).map(|key| {
        let address = bridge.address();
        tokio::spawn(async move {
            let requests: String = (0..EVENTS)
                .map(|number| {
                    let body = event("hang", &format!("key-{key:02}"), number);
                    let last = if number + 1 == EVENTS { "connection: close\r\n" } else { "" };
                    format!(
                        "POST /hook HTTP/1.1\r\nhost: hook\r\n{last}content-length: {}\r\n\r\n{body}",
                        body.len()
                    )
                })
                .collect();
            let answers = raw_within(&address, requests.as_bytes(), Duration::from_secs(10)).await;
            String::from_utf8(answers).unwrap().matches("HTTP/1.1 200").count()
        })
    });
    for stored in join_all(connections).await {
        assert_eq!(stored.unwrap(), EVENTS);
    }
    assert_in_order(&nats, KEYS, EVENTS).await;
}

async fn assert_in_order(nats: &Nats, keys: usize, events: usize) {
    let messages = nats.messages("EVENTS", (keys * events) as u64).await;
    let stored =
        messages.iter().map(|message| (message.header("ce-subject").unwrap(), &*message.payload));
    let by_key = by_key(stored);
    assert_eq!(by_key.len(), keys);
    let expected: Vec<u64> = (0..events as u64).collect();
    for (key, numbers) in by_key {
        assert_eq!(numbers, expected, "{key}");
    }
}
