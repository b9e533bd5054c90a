//! A user that may not do everything.

use super::{SOON, connected};
use crate::support::{Bridge, Nats, Reply, Worker, bridge, endpoint, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CONNECTION: &str = r#"
[nats]
servers = ["{nats}"]
user = "bridge"
password = "secret"
ack_timeout = "4s"
"#;

/// Questions of these types, and all functions, have 4 s; one of them has a fallback.
fn config(types: &str) -> String {
    let endpoint = endpoint("hook").tables(&format!(
        "[[endpoint.question]]\ntypes = [\"{types}\"]\ntimeout = \"4s\"\n\
         [[endpoint.tool]]\nnames = [\"spare\"]\ntimeout = \"4s\"\nfallback = \"later\"\n\
         [[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"4s\""
    ));
    format!("{CONNECTION}{endpoint}")
}

/// At once is less than any limit here.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The bridge's user with these permissions; all others may do everything.
fn users(publish: &[&str], subscribe: &[&str]) -> String {
    format!(
        r#"authorization {{ users: [
            {{ user: bridge, password: secret, permissions: {{ publish: {publish:?}, subscribe: {subscribe:?} }} }}
            {{ user: all, password: all }}
        ] }}
        no_auth_user: all"#
    )
}

fn call(function: &str) -> String {
    json!({"message": {"type": "tool-calls", "toolCallList": [{"id": "c", "function": {"name": function}}]}})
        .to_string()
}

fn message(kind: &str) -> String {
    json!({"message": {"type": kind}}).to_string()
}

async fn problem(bridge: &Bridge, text: &str) {
    eventually(&format!("{text:?} in /readyz"), SOON, async || {
        bridge.admin("/readyz").await.text().contains(text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_question_that_may_not_be_asked_ends_at_once() {
    let allowed = ["hook.tool.f", "hook.events.>", "$JS.API.>"];
    let Some(mut nats) = Nats::start_with(&users(&allowed, &["_INBOX.>"])).await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let _worker = Worker::start(&nats, "hook.>", |question| match &*question.subject {
        "hook.ask.assistant-request" => Reply::text(r#"{"assistantId":"a"}"#),
        _ => Reply::text("done"),
    })
    .await;
    let bridge = Bridge::config(config("*")).nats(&nats).start_ready().await;
    connected(&bridge).await;
    let tool = bridge.post("/hook", call("f"), &[]).await;
    assert_eq!(tool.header("hookbus-outcome"), Some("answered"), "{}", bridge.log());

    let whole = bridge.post("/hook", message("assistant-request"), &[]).await;
    assert_eq!((whole.status, whole.header("hookbus-outcome")), (503, Some("not-permitted")));
    assert!(whole.elapsed < AT_ONCE, "{:?}", whole.elapsed);
    let voice = bridge.post("/hook", message("voice-request"), &[]).await;
    assert_eq!((voice.status, voice.header("hookbus-outcome")), (503, Some("not-permitted")));
    assert!(voice.elapsed < AT_ONCE, "{:?}", voice.elapsed);
    let tool = bridge.post("/hook", call("g"), &[]).await;
    assert_eq!((tool.status, tool.header("hookbus-outcome")), (200, Some("not-permitted")));
    assert!(tool.elapsed < AT_ONCE && tool.text().contains("error"), "{}", tool.text());
    let spare = bridge.post("/hook", call("spare"), &[]).await;
    assert_eq!(spare.json()["results"][0]["result"], "later");
    assert_eq!(spare.header("hookbus-outcome"), Some("not-permitted"));
    // Those that may be asked are not touched.
    let tool = bridge.post("/hook", call("f"), &[]).await;
    assert_eq!(tool.header("hookbus-outcome"), Some("answered"));
    problem(&bridge, "problem: nats (questions), permissions: ").await;
    for subject in ["hook.ask.assistant-request", "hook.tool.g", "hook.tool.spare"] {
        problem(&bridge, &format!("publish to `{subject}`")).await;
    }
    let said = "doesn't permit this user to publish to `hook.tool.g`";
    assert_eq!(bridge.log().matches(said).count(), 1, "{}", bridge.log());

    nats.reload_with(&users(&[">"], &["_INBOX.>"])).await;
    eventually("the permission", SOON, async || {
        let whole = bridge.post("/hook", message("assistant-request"), &[]).await;
        (whole.status == 200).then_some(())
    })
    .await;
    eventually("the end of the problem", SOON, async || {
        let ready = bridge.admin("/readyz").await;
        (!ready.text().contains("assistant-request")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_event_that_may_not_be_stored_is_told_at_once() {
    let allowed = ["hook.events.hang", "$JS.API.>"];
    let Some(nats) = Nats::start_with(&users(&allowed, &["_INBOX.>"])).await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let bridge = Bridge::config(config("*")).nats(&nats).without_spool().start_ready().await;
    connected(&bridge).await;
    assert_eq!(bridge.post("/hook", message("hang"), &[]).await.status, 200, "{}", bridge.log());
    let refused = bridge.post("/hook", message("status-update"), &[]).await;
    assert_eq!(refused.status, 503);
    assert!(refused.elapsed < AT_ONCE, "{:?}", refused.elapsed);
    assert!(refused.text().contains("not-permitted"), "{}", refused.text());
    let reason = r#"hookbus_publish_errors_total{destination="nats:{endpoint}.events.{type}",reason="not-permitted""#;
    assert!(bridge.metric(reason).await >= 1.0);
    problem(&bridge, "permissions: the server doesn't permit this user to publish to `hook.events.status-update`").await;
    assert_eq!(bridge.post("/hook", message("hang"), &[]).await.status, 200, "{}", bridge.log());
}

/// Nothing that is asked could ever be answered, and no event acknowledged.
#[tokio::test]
async fn without_the_inbox_all_is_refused_at_once() {
    let Some(mut nats) = Nats::start_with(&users(&[">"], &["other.>"])).await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let _worker = Worker::start(&nats, "hook.tool.>", |_| Reply::text("done")).await;
    let bridge = Bridge::config(config("*")).nats(&nats).without_spool().start().await;
    problem(&bridge, "problem: nats (questions), permissions: the server doesn't permit this user to subscribe to `_INBOX.").await;
    problem(&bridge, "nats: down (events, questions)").await;
    bridge.logs("serving").await;
    for _ in 0..3 {
        let tool = bridge.post("/hook", call("f"), &[]).await;
        assert_eq!((tool.status, tool.header("hookbus-outcome")), (200, Some("not-permitted")));
        assert!(tool.elapsed < AT_ONCE, "{:?}", tool.elapsed);
        let whole = bridge.post("/hook", message("assistant-request"), &[]).await;
        assert_eq!((whole.status, whole.header("hookbus-outcome")), (503, Some("not-permitted")));
        let event = bridge.post("/hook", message("hang"), &[]).await;
        assert_eq!(event.status, 503);
        assert!(event.elapsed < AT_ONCE, "{:?}", event.elapsed);
        assert!(event.text().contains("not-permitted"), "{}", event.text());
    }
    nats.reload_with(&users(&[">"], &["_INBOX.>"])).await;
    eventually("the permission", SOON, async || {
        let tool = bridge.post("/hook", call("f"), &[]).await;
        (tool.header("hookbus-outcome") == Some("answered")).then_some(())
    })
    .await;
    connected(&bridge).await;
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("permissions"), "{}", ready.text());
    assert_eq!(bridge.post("/hook", message("hang"), &[]).await.status, 200);
}

/// What `check --connect` says of a user with these permissions, and how it ends.
async fn checked(nats: &mut Nats, permissions: &str) -> (i32, String) {
    let users = format!(
        "authorization {{ users: [
            {{ user: bridge, password: secret, permissions: {{ {permissions} }} }}
            {{ user: all, password: all }}
        ] }}
        no_auth_user: all"
    );
    nats.reload_with(&users).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let config = config("assistant-request").replace("{nats}", &nats.url());
    std::fs::write(&file, config).unwrap();
    let output = bridge::run(&["check", "--connect", "--config", file.to_str().unwrap()]).await;
    (output.code.unwrap(), output.stderr)
}

/// In whichever way a user is limited, and whether or not it may ask the server what it may do.
#[tokio::test]
async fn a_check_finds_what_is_not_permitted() {
    let Some(mut nats) = Nats::start_with(&users(&[">"], &["_INBOX.>"])).await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let _worker = Worker::start(&nats, "hook.>", move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Reply::text("done")
    })
    .await;
    let question = "publish to `hook.ask.assistant-request`, where questions are asked";
    for (permissions, code, problem) in [
        ("", 0, None),
        ("publish: [\"hook.>\", \"$JS.API.>\"]", 0, None),
        (
            "publish: { deny: [\"hook.tool.>\"] }",
            2,
            Some("publish to `hook.tool.spare`, where questions are asked"),
        ),
        (
            "publish: { deny: [\"hook.events.hang\"] }",
            2,
            Some("publish to `hook.events.hang`: these events would wait on disk"),
        ),
        (
            "publish: { deny: [\"hook.ask.voice-request\"] }",
            0,
            Some("publish to `hook.ask.voice-request`: such questions, if they come"),
        ),
        // Whose list doesn't name what tells a user its permissions.
        ("publish: [\"hook.events.>\", \"hook.tool.*\", \"$JS.API.>\"]", 2, Some(question)),
        ("publish: [\"hook.events.>\", \"hook.tool.*\", \"_INBOX.>\"]", 2, Some(question)),
        ("publish: [\"hook.events.>\"]", 0, Some("can't be found out")),
        ("subscribe: [\"other.>\"]", 2, Some("nothing that is asked could be answered")),
    ] {
        let (ended, said) = checked(&mut nats, permissions).await;
        assert_eq!(ended, code, "{permissions}: {said}");
        match problem {
            Some(problem) => assert!(said.contains(problem), "{permissions}: {said}"),
            None => assert!(!said.contains("permit") && !said.contains("found out"), "{said}"),
        }
    }
    let asked = asked.load(Ordering::Relaxed);
    assert_eq!(asked, 0, "nobody was asked anything");
}
