//! A changed configuration, taken over while webhooks come in.

mod refused;

use crate::support::http::{Answer, Client};
use crate::support::worker::{Reply, Worker};
use crate::support::{Bridge, Nats, eventually, nats};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn endpoint(name: &str, path: &str, secrets: &str, more: &str) -> String {
    format!(
        r#"
        [[endpoint]]
        name = "{name}"
        path = "{path}"
        source = "vapi"
        {more}
        [[endpoint.auth]]
        kind = "secret"
        header = "x-vapi-secret"
        secrets = [{secrets}]
        "#
    )
}

fn event(kind: &str, key: &str) -> String {
    json!({"message": {"type": kind, "call": {"id": key}}}).to_string()
}

fn tool_call(id: &str) -> String {
    let call = json!({"id": id, "type": "function", "function": {"name": "f", "arguments": {}}});
    json!({"message": {"type": "tool-calls", "call": {"id": "k"}, "toolCallList": [call]}})
        .to_string()
}

/// Asks the admin listener to reload.
async fn reload(bridge: &Bridge) -> Answer {
    bridge.client().post(&bridge.admin_url("/reload"), "", &[]).await
}

async fn with(bridge: &Bridge, secret: &str, path: &str) -> u16 {
    bridge.post(path, event("hang", "k"), &[("x-vapi-secret", secret)]).await.status
}

#[tokio::test]
async fn a_rotated_secret_works_at_once_and_no_request_fails() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["a.events.>", "b.events.>"]).await;
    let worker = Worker::start(&nats, "a.tool.f", |_| Reply::text("fine")).await;
    let old = endpoint("a", "/a", r#""old""#, "");
    let mut bridge = Bridge::config(&old).nats(&nats).start_ready().await;
    let client = Client::new();
    let done = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..16)
        .map(|sender| {
            let (client, done, count) = (client.clone(), done.clone(), count.clone());
            let url = bridge.url("/a");
            tokio::spawn(async move {
                // Whoever sends both secrets' worth of webhooks sees neither refused: the old one is kept all the time.
                for number in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("{sender}-{number}");
                    let body = if number % 4 == 0 { tool_call(&id) } else { event("hang", &id) };
                    let answer = client.post(&url, body, &[("x-vapi-secret", "old")]).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    if number % 4 == 0 {
                        assert_eq!(
                            answer.json()["results"][0]["result"],
                            "fine",
                            "{}",
                            answer.text()
                        );
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..20 {
        let fresh = format!("new-{round}");
        assert_eq!(with(&bridge, &fresh, "/a").await, 401);
        let both = format!(r#""old", "{fresh}""#);
        let more = "max_events = 4000\n[[endpoint.event]]\ntypes = [\"status-update\"]\nto = [\"nats:a.events.other\"]";
        let text = endpoint("a", "/a", &both, if round % 2 == 0 { more } else { "" });
        bridge.configure(&(text + &endpoint("b", "/b", &both, "")));
        if round % 2 == 0 {
            let answer = reload(&bridge).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains("endpoint `a` changed"), "{}", answer.text());
            assert_eq!(with(&bridge, &fresh, "/a").await, 200, "at once");
        } else {
            bridge.signal("HUP");
            eventually("the new secret", SOON, async || {
                (with(&bridge, &fresh, "/a").await == 200).then_some(())
            })
            .await;
        }
        assert_eq!(with(&bridge, &fresh, "/b").await, 200);
        let before = count.load(Ordering::Relaxed);
        eventually("traffic", SOON, async || {
            (count.load(Ordering::Relaxed) > before + 50).then_some(())
        })
        .await;
    }
    done.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    bridge.configure(&endpoint("a", "/a", r#""only""#, ""));
    assert_eq!(reload(&bridge).await.status, 200);
    assert_eq!(with(&bridge, "old", "/a").await, 401);
    assert_eq!(with(&bridge, "only", "/a").await, 200);
    assert_eq!(with(&bridge, "only", "/b").await, 404, "it was taken out");
    assert_eq!(bridge.metric(r#"hookbus_reloads_total{outcome="done"}"#).await, 21.0);
    assert!(!worker.questions().is_empty());
    println!("{} webhooks during 20 reloads", count.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_question_in_flight_ends_as_it_began() {
    let Some(nats) = nats::shared().await else { return };
    let slow = |_: &_| Reply::text("slow").after(Duration::from_secs(2));
    let worker = Worker::start(nats, "flight.tool.f", slow).await;
    let text = endpoint("flight", "/flight", r#""old""#, "");
    let mut bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let (url, client) = (bridge.url("/flight"), Client::new());
    let asked = tokio::spawn(async move {
        client.post(&url, tool_call("c-1"), &[("x-vapi-secret", "old")]).await
    });
    eventually("the question", SOON, async || (!worker.questions().is_empty()).then_some(())).await;
    // Its endpoint has gone before it is answered.
    bridge.configure(&endpoint("other", "/other", r#""new""#, ""));
    let answer = reload(&bridge).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("endpoint `flight` removed"), "{}", answer.text());
    assert_eq!(with(&bridge, "old", "/flight").await, 404);
    let answer = asked.await.unwrap();
    assert_eq!(answer.json()["results"][0]["result"], "slow", "{}", answer.text());
}

#[tokio::test]
async fn what_is_wrong_is_said_and_changes_nothing() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["a.events.>"]).await;
    let right = endpoint("a", "/a", r#""old""#, "");
    let mut bridge = Bridge::config(&right).nats(&nats).start_ready().await;
    let changed = endpoint("a", "/a", r#""new""#, "");
    for (text, said) in [
        ("[http".to_owned(), vec!["hookbus.toml:"]),
        (
            changed.clone() + "[http]\nmax_event = 5\nlisten = \"{http}\"\n",
            vec!["did you mean `max_events`?"],
        ),
        (
            changed.replace("x-vapi", "x vapi") + "\n[spool]\nmax_bytes = \"0B\"",
            vec!["can't be the name of a header", "`max_bytes` can't be zero"],
        ),
        (endpoint("a", "/a", r#""${NOT_SET_ANYWHERE}""#, ""), vec!["NOT_SET_ANYWHERE"]),
        (
            changed.clone() + "[http]\nlisten = \"127.0.0.1:1\" # {http}",
            vec!["`http.listen` can't change", "restart hookbus"],
        ),
        (
            changed.clone() + "[spool]\ndir = \"elsewhere\"\n[log]\nformat = \"json\"",
            vec!["`spool.dir`", "`log.format`"],
        ),
        (
            changed.clone() + "[nats]\nservers = [\"{nats}\"]\nack_timeout = \"1s\"",
            vec!["`nats.ack_timeout`"],
        ),
        (
            changed.clone()
                + "[nats]\nservers = [\"{nats}\"]\n[[nats.stream]]\nname = \"EVENTS\"\nsubjects = [\"x\"]",
            vec!["EVENTS", "hint: "],
        ),
    ] {
        bridge.configure(&text);
        let answer = reload(&bridge).await;
        assert_eq!(answer.status, 422, "{text}: {}", answer.text());
        for said in said {
            assert!(answer.text().contains(said), "{said}: {}", answer.text());
        }
        assert_eq!(with(&bridge, "old", "/a").await, 200);
        assert_eq!(with(&bridge, "new", "/a").await, 401);
        let ready = bridge.admin("/readyz").await;
        assert_eq!(ready.status, 200);
        assert!(ready.text().contains("problem: configuration: not reloaded"), "{}", ready.text());
    }
    assert_eq!(bridge.metric(r#"hookbus_reloads_total{outcome="refused"}"#).await, 8.0);
    bridge.configure(&changed);
    assert_eq!(reload(&bridge).await.status, 200);
    assert_eq!(with(&bridge, "new", "/a").await, 200);
    assert!(!bridge.admin("/readyz").await.text().contains("configuration"));
    let answer = reload(&bridge).await;
    assert_eq!((answer.status, answer.text()), (200, "nothing has changed\n"));
    bridge.logs("settings from before stay in use").await;
    // Each problem and each hint is a line of its own.
    let log = bridge.log();
    assert!(!log.contains("\\n"), "{log}");
    let lines: Vec<_> = log.lines().collect();
    let at = lines.iter().position(|line| line.contains("`max_bytes` can't be zero")).unwrap();
    assert!(lines[at].contains(" ERROR ") && lines[at + 1].contains(" ERROR hint: "), "{log}");
}

#[tokio::test]
async fn warnings_are_answered_and_logged() {
    let Some(nats) = nats::shared().await else { return };
    let text = endpoint("warned", "/warned", r#""s""#, "");
    let mut bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let rules = "[[endpoint.event]]\ntypes = [\"transcript\"]\nto = []\n";
    bridge.configure(&endpoint("warned", "/warned", r#""s""#, rules));
    let answer = reload(&bridge).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(lines[0], "endpoint `warned` changed");
    assert!(
        lines[1].contains("hookbus.toml:")
            && lines[1].contains(": warning: `transcript` doesn't match"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("  hint: write `\"transcript*\"` for both"), "{lines:?}");
    assert_eq!(lines.len(), 3);
    bridge.logs("`transcript` doesn't match").await;
    bridge.logs("WARN hint: write").await;
    assert!(!bridge.log().contains("\\n"), "{}", bridge.log());
}

#[tokio::test]
async fn streams_destinations_limits_and_the_log_follow() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["a.events.>"]).await;
    let text = endpoint("a", "/a", r#""s""#, "");
    let mut bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let more = "rate_limit = \"1/h\"\nrate_burst = 2\n[[endpoint.event]]\ntypes = [\"hang\"]\nto = [\"nats:fresh.{type}\"]";
    let stream = "[nats]\nservers = [\"{nats}\"]\n[[nats.stream]]\nname = \"FRESH\"\nsubjects = [\"fresh.>\"]\n[log]\nlevel = \"debug\"";
    bridge.configure(&(endpoint("a", "/a", r#""s""#, more) + stream));
    let answer = reload(&bridge).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for expected in [200, 200, 429, 429] {
        assert_eq!(with(&bridge, "s", "/a").await, expected);
    }
    assert_eq!(nats.messages("FRESH", 2).await.len(), 2);
    bridge.logs("outcome=\"refused\"").await;
    // What is changed back forgets nothing that it should remember: the same bucket, still empty.
    bridge.configure(&(endpoint("a", "/a2", r#""s""#, more) + stream));
    assert_eq!(reload(&bridge).await.status, 200);
    assert_eq!(with(&bridge, "s", "/a").await, 404);
    assert_eq!(with(&bridge, "s", "/a2").await, 429);
    bridge.configure(
        &(endpoint(
            "a",
            "/a2",
            r#""s""#,
            "[[endpoint.event]]\ntypes = [\"hang\"]\nto = [\"nats:fresh.{type}\"]",
        ) + stream),
    );
    assert_eq!(reload(&bridge).await.status, 200);
    assert_eq!(with(&bridge, "s", "/a2").await, 200);
}

#[tokio::test]
async fn what_queues_for_a_former_destination_is_still_published() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["a.events.>", "a.elsewhere"]).await;
    let text = endpoint("a", "/a", r#""s""#, "");
    let mut bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    nats.kill();
    eventually("the loss", SOON, async || (with(&bridge, "s", "/a").await == 202).then_some(()))
        .await;
    let rule = "[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"nats:a.elsewhere\"]";
    bridge.configure(&endpoint("a", "/a", r#""s""#, rule));
    let answer = reload(&bridge).await;
    assert_eq!(answer.status, 200, "without a broker too: {}", answer.text());
    assert_eq!(with(&bridge, "s", "/a").await, 202);
    nats.restart().await;
    eventually("both", Duration::from_secs(30), async || {
        let subjects: Vec<_> =
            nats.messages("EVENTS", 0).await.into_iter().map(|message| message.subject).collect();
        let has = |subject: &str| subjects.iter().any(|known| known == subject);
        (has("a.events.hang") && has("a.elsewhere")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_answered_is_not_forgotten() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("KEEPS", &["keeps.events.>"]).await;
    let text = |window: &str| {
        endpoint("keeps", "/keeps", r#""s""#, &format!("answer_window = \"{window}\""))
    };
    let worker = Worker::start(nats, "keeps.tool.f", |_| Reply::text("once")).await;
    let mut bridge = Bridge::config(text("2m")).nats(nats).start_ready().await;
    let ask = async |bridge: &Bridge| -> Value {
        bridge.post("/keeps", tool_call("c-1"), &[("x-vapi-secret", "s")]).await.json()
    };
    assert_eq!(ask(&bridge).await["results"][0]["result"], "once");
    bridge.configure(&text("3m"));
    assert_eq!(reload(&bridge).await.status, 200);
    assert_eq!(ask(&bridge).await["results"][0]["result"], "once");
    assert_eq!(worker.questions().len(), 1, "the answer was reused");
}
