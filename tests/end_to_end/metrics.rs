//! What is counted, and what alerts can be built on.

use crate::http::{event, open, question, tool_calls};
use crate::support::bridge::run;
use crate::support::{Bridge, Nats, Reply, Worker, eventually};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// Two secrets, one being replaced; a function with a fallback, and a rule for all of a kind.
const CONFIG: &str = r#"
    [[endpoint]]
    name = "hook"
    path = "/hook"
    source = "vapi"
    [[endpoint.auth]]
    kind = "secret"
    header = "x-vapi-secret"
    secrets = ["opensesame-81", "opensesame-82"]
    [[endpoint.auth]]
    kind = "basic"
    user = "shop"
    passwords = ["opensesame-83"]
    [[endpoint.question]]
    types = ["*"]
    timeout = "300ms"
    [[endpoint.tool]]
    names = ["book", "get_*"]
    timeout = "300ms"
    fallback = "later"
"#;

const OLD: [(&str, &str); 1] = [("x-vapi-secret", "opensesame-81")];
const NEW: [(&str, &str); 1] = [("x-vapi-secret", "opensesame-82")];

async fn metrics(bridge: &Bridge) -> String {
    bridge.admin("/metrics").await.text().to_owned()
}

/// A rate doesn't see the first of a counter that wasn't there before.
#[tokio::test]
async fn what_can_be_expected_is_zero_from_the_start() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    let text = metrics(&bridge).await;
    for line in [
        r#"hookbus_webhooks_total{endpoint="hook",type="status-update",outcome="stored"} 0"#,
        r#"hookbus_webhooks_total{endpoint="hook",type="tool-calls",outcome="fallback"} 0"#,
        r#"hookbus_webhooks_total{endpoint="hook",type="other",outcome="refused"} 0"#,
        r#"hookbus_questions_total{endpoint="hook",type="",function="book",outcome="no-responders"} 0"#,
        r#"hookbus_questions_total{endpoint="hook",type="",function="get_*",outcome="timeout"} 0"#,
        r#"hookbus_questions_total{endpoint="hook",type="assistant-request",function="",outcome="answered"} 0"#,
        r#"hookbus_late_replies_total{endpoint="hook",type="",function="book"} 0"#,
        r#"hookbus_refusals_total{endpoint="hook",reason="not-stored"} 0"#,
        r#"hookbus_unauthorized_total{endpoint="hook",reason="wrong-secret"} 0"#,
        r#"hookbus_publish_errors_total{destination="nats:{endpoint}.events.{type}",reason="no-stream"} 0"#,
        r#"hookbus_publish_seconds_count{destination="nats:{endpoint}.events.{type}"} 0"#,
        r#"hookbus_authenticated_total{endpoint="hook",auth="1",kind="secret",secret="2"} 0"#,
        r#"hookbus_authenticated_total{endpoint="hook",auth="2",kind="basic",secret="1"} 0"#,
        r#"hookbus_reloads_total{outcome="refused"} 0"#,
        concat!("hookbus_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("opensesame"), "{text}");
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{name}: {value:?}");
    }
}

/// So that a rotation can be ended knowingly.
#[tokio::test]
async fn each_secret_is_counted_by_its_place() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("HOOK", &["hook.events.>"]).await;
    let bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    let count = async |labels: &str| {
        let name = format!("hookbus_authenticated_total{{endpoint=\"hook\",{labels}}}");
        bridge.metric(&name).await
    };
    let basic = [("authorization", "Basic c2hvcDpvcGVuc2VzYW1lLTgz")];
    for headers in [&OLD, &NEW, &NEW, &basic] {
        assert_eq!(bridge.post("/hook", event("c"), headers).await.status, 200);
    }
    assert_eq!(bridge.post("/hook", event("c"), &[("x-vapi-secret", "no")]).await.status, 401);
    assert_eq!(count(r#"auth="1",kind="secret",secret="1""#).await, 1.0);
    assert_eq!(count(r#"auth="1",kind="secret",secret="2""#).await, 2.0);
    assert_eq!(count(r#"auth="2",kind="basic",secret="1""#).await, 1.0);
}

/// Also with a fallback, where the sender sees nothing of it; and once, however often it is asked.
#[tokio::test]
async fn a_function_that_is_not_answered_is_said_once() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    let ask = async || bridge.post("/hook", tool_calls(&["book"]), &OLD).await;
    for _ in 0..5 {
        let answer = ask().await;
        assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("no-responders")));
    }
    bridge.post("/hook", question("assistant-request"), &OLD).await;
    let asked = r#"hookbus_questions_total{endpoint="hook",type="",function="book",outcome="no-responders"}"#;
    assert_eq!(bridge.metric(asked).await, 5.0);
    let fell = r#"hookbus_webhooks_total{endpoint="hook",type="tool-calls",outcome="fallback"}"#;
    assert_eq!(bridge.metric(fell).await, 5.0);
    bridge.logs("questions are not answered").await;
    let lines = |text: &str| bridge.log().lines().filter(|line| line.contains(text)).count();
    // One for the function, and one for the type.
    eventually("both", SOON, async || (lines("questions are not answered") == 2).then_some(()))
        .await;
    let log = bridge.log();
    let line = log.lines().find(|line| line.contains("function=\"book\"")).unwrap();
    for part in
        ["WARN", "endpoint=\"hook\"", "subject=\"hook.tool.book\"", "outcome=\"no-responders\""]
    {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    let ready = bridge.admin("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().contains("unanswered: hook `book` (hook.tool.book): no-responders"),
        "{}",
        ready.text()
    );
    assert!(ready.text().contains("unanswered: hook `assistant-request` ("), "{}", ready.text());
    let url = bridge.admin_url("");
    let healthy = run(&["health", "--admin", &url]).await;
    assert_eq!(
        (healthy.code, healthy.stdout.trim()),
        (Some(0), ready.text().trim()),
        "{}",
        healthy.stderr
    );

    let _worker = Worker::start(&nats, "hook.tool.book", |_| Reply::text("booked")).await;
    eventually("an answer", SOON, async || {
        (ask().await.header("hookbus-outcome") == Some("answered")).then_some(())
    })
    .await;
    bridge.logs("questions are answered again").await;
    assert_eq!(lines("questions are answered again"), 1);
    assert!(!bridge.admin("/readyz").await.text().contains("`book`"));
}

#[tokio::test]
async fn health_is_an_exit_code() {
    let Some(nats) = Nats::start().await else { return };
    let mut bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    let url = bridge.admin_url("");
    assert_eq!(run(&["health", "--admin", &url]).await.code, Some(0));
    bridge.kill();
    let dead = run(&["health", "--admin", &url]).await;
    assert_eq!(dead.code, Some(1));
    assert!(dead.stderr.contains("error: no answer from 127.0.0.1:"), "{}", dead.stderr);
}

/// A worker that answers too late is told from one that never does.
#[tokio::test]
async fn late_is_not_never() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    let _never = Worker::start(&nats, "hook.tool.book", |_| Reply::none()).await;
    let _late = Worker::start(&nats, "hook.tool.get_weather", |_| {
        Reply::text("sunny").after(Duration::from_millis(600))
    })
    .await;
    for _ in 0..2 {
        bridge.post("/hook", tool_calls(&["book", "get_weather"]), &OLD).await;
    }
    let late = r#"hookbus_late_replies_total{endpoint="hook",type="",function="get_*"}"#;
    eventually("late replies", SOON, async || (bridge.metric(late).await == 2.0).then_some(()))
        .await;
    for function in ["book", "get_*"] {
        let timeouts = format!(
            r#"hookbus_questions_total{{endpoint="hook",type="",function="{function}",outcome="timeout"}}"#
        );
        assert_eq!(bridge.metric(&timeouts).await, 2.0, "{function}");
    }
    let never = r#"hookbus_late_replies_total{endpoint="hook",type="",function="book"}"#;
    assert_eq!(bridge.metric(never).await, 0.0);
    assert_eq!(bridge.metric("hookbus_ignored_replies_total").await, 0.0);
}

/// Names come from outside.
#[tokio::test]
async fn strange_functions_and_workers_fill_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = Bridge::config(open("hook")).nats(&nats).start_ready().await;
    let ask = async |from: usize| {
        for webhook in (from..from + 1_000).step_by(50) {
            let names: Vec<_> =
                (webhook..webhook + 50).map(|number| format!("f{number}\u{1b}[2J")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            assert_eq!(bridge.post("/hook", tool_calls(&names), &[]).await.status, 200);
        }
    };
    ask(0).await;
    let (text, memory) = (metrics(&bridge).await, bridge.rss_bytes());
    let series = |text: &str| {
        text.lines().filter(|line| line.starts_with("hookbus_questions_total{")).count()
    };
    let functions = text.lines().filter(|line| {
        line.starts_with("hookbus_questions_total{")
            && line.contains("outcome=\"no-responders\"")
            && !line.contains("function=\"\"")
    });
    assert_eq!(functions.count(), 101, "a hundred names, and all others");
    let other = r#"hookbus_questions_total{endpoint="hook",type="",function="other",outcome="no-responders"}"#;
    assert_eq!(bridge.metric(other).await, 900.0);
    assert!(!text.contains('\u{1b}'));
    ask(1_000).await;
    let _worker = Worker::start(&nats, "hook.tool.>", |question| {
        Reply::text("x").header("Hookbus-Worker", &format!("w{:?}", question.json()["name"]))
    })
    .await;
    ask(2_000).await;
    let later = metrics(&bridge).await;
    assert_eq!(series(&later), series(&text));
    assert!(!later.contains("worker=") && !later.contains("\"wString"), "workers are no labels");
    assert!(bridge.rss_bytes() < memory + (16 << 20), "{memory}, then {}", bridge.rss_bytes());
    let lines = bridge.log().lines().filter(|line| line.contains("questions are")).count();
    assert!(lines <= 103, "{lines} lines for 3000 strange functions");
    let ready = bridge.admin("/readyz").await.text().to_owned();
    assert!(ready.lines().count() < 30 && ready.contains("more\n"), "{ready}");
}

/// Half a second is far from a second, where people wait.
#[tokio::test]
async fn buckets_are_close_where_people_wait() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = Bridge::config(open("hook")).nats(&nats).start_ready().await;
    bridge.post("/hook", json!({"message": {"type": "assistant-request"}}).to_string(), &[]).await;
    let text = metrics(&bridge).await;
    let bounds = text.lines().filter(|line| {
        line.starts_with("hookbus_webhook_seconds_bucket{") && line.contains("kind=\"question\"")
    });
    let bounds: Vec<f64> = bounds
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next()?.parse().ok())
        .filter(|bound: &f64| bound.is_finite())
        .collect();
    assert!(bounds.len() > 20, "{text}");
    for pair in bounds.windows(2).filter(|pair| pair[0] >= 0.05) {
        assert!(pair[1] <= pair[0] * 1.51, "{pair:?}");
    }
    assert!(bounds.contains(&0.3), "{bounds:?}");
}
