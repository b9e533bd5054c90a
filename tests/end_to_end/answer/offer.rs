//! What is offered where: subjects, the service, credentials, and the wrong ways to say so.

use super::{Answer, PATIENCE, ask, text};
use crate::support::bridge::run;
use crate::support::{Bridge, Nats, endpoint, eventually, ports};
use futures_util::StreamExt;
use serde_json::{Value, json};

#[tokio::test]
async fn one_program_may_answer_every_function() {
    let Some(nats) = Nats::start().await else { return };
    let script = "printf '%s' \"$HOOKBUS_FUNCTION\"";
    let _answer = Answer::ready(&nats, &["*", "--", "sh", "-c", script]).await;
    let client = nats.client().await;
    for (name, subject) in
        [("get_weather", "vapi.tool.get_weather"), ("a.b > *", "vapi.tool.a%2Eb%20%3E%20%2A")]
    {
        let payload = super::call(name, json!({})).to_string();
        let reply = client.request(subject, payload.into()).await.unwrap();
        assert_eq!(text(&reply), name);
    }
    // A name that no variable of the environment could hold.
    let name = format!("a\u{0}b{}", "x".repeat(200_000));
    let payload = super::call(&name, json!({})).to_string();
    let reply = client.request("vapi.tool.any", payload.into()).await.unwrap();
    assert!(text(&reply).starts_with("a\u{fffd}bxxx"), "{reply:?}");
}

#[tokio::test]
async fn other_questions_come_whole() {
    let Some(nats) = Nats::start().await else { return };
    let script = r#"[ "$HOOKBUS_FUNCTION" = assistant-request ] && grep -q message && echo '{"assistantId": "a-1"}'"#;
    let options = ["--subject", "vapi.ask.assistant-request", "--", "sh", "-c", script];
    let _answer = Answer::ready(&nats, &options).await;
    let bridge = Bridge::config(endpoint("vapi")).nats(&nats).start_ready().await;
    let body = json!({ "message": { "type": "assistant-request" } }).to_string();
    let reply = bridge.post("/vapi", body, &[]).await;
    assert_eq!((reply.status, reply.text()), (200, r#"{"assistantId": "a-1"}"#));
}

#[tokio::test]
async fn it_is_a_service_that_can_be_found_and_counts() {
    let Some(nats) = Nats::start().await else { return };
    let script = "[ $HOOKBUS_FUNCTION = good ] && echo fine";
    let options = ["good", "bad", "--name", "demo-1", "--", "sh", "-c", script];
    let _first = Answer::ready(&nats, &options).await;
    let _second = Answer::ready(&nats, &options).await;
    let client = nats.client().await;
    let infos = all(&client, "$SRV.INFO.demo-1", 2).await;
    for info in &infos {
        assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
        let endpoints = info["endpoints"].as_array().unwrap();
        let subjects = endpoints.iter().map(|endpoint| endpoint["subject"].as_str().unwrap());
        let subjects: std::collections::BTreeSet<_> = subjects.collect();
        assert_eq!(subjects, ["vapi.tool.good", "vapi.tool.bad"].into());
        assert!(endpoints.iter().all(|endpoint| endpoint["queue_group"] == "q"), "{info}");
    }
    for _ in 0..10 {
        ask(&client, "good", json!({})).await;
        ask(&client, "bad", json!({})).await;
    }
    // A question went to one of them, and errors are counted as such.
    let sums = eventually("all to be counted", PATIENCE, async || {
        let stats = all(&client, "$SRV.STATS.demo-1", 2).await;
        let sum = |name: &str, field: &str| -> u64 {
            let endpoints = stats.iter().flat_map(|stats| stats["endpoints"].as_array().unwrap());
            let named = endpoints.filter(|endpoint| endpoint["name"] == name);
            named.map(|endpoint| endpoint[field].as_u64().unwrap()).sum()
        };
        let sums = ["good", "bad"].map(|name| (sum(name, "num_requests"), sum(name, "num_errors")));
        (sums[1].1 >= 10).then_some(sums)
    })
    .await;
    assert_eq!(sums, [(10, 0), (10, 10)]);
}

async fn all(client: &async_nats::Client, subject: &str, count: usize) -> Vec<Value> {
    let inbox = client.new_inbox();
    let replies = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply(subject.to_owned(), inbox, "".into()).await.unwrap();
    let read = replies.take(count).map(|reply| serde_json::from_slice(&reply.payload).unwrap());
    tokio::time::timeout(PATIENCE, read.collect()).await.expect("all instances reply")
}

const CONFIG: &str = r#"
[nats]
servers = ["{nats}"]
user = "worker"
password = "${WORKER_PASSWORD:-let me in}"

[[endpoint]]
name = "voice"
path = "/voice"
source = "vapi"

[[endpoint.auth]]
kind = "none"

[[endpoint.tool]]
names = ["book_*"]
subject = "crm.{function}"
"#;

#[tokio::test]
async fn the_configuration_says_where_and_who() {
    let authorization = "authorization { user: worker, password: \"let me in\" }";
    let Some(nats) = Nats::start_with(authorization).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("{nats}", &nats.url());
    std::fs::write(folder.path().join("hookbus.toml"), config).unwrap();
    let options = ["book_table", "get_weather", "--endpoint", "voice", "--", "cat"];
    let mut answer = Answer::start(folder, &options);
    answer.said("hookbus answer is ready: crm.book_table, voice.tool.get_weather at").await;
    let client =
        async_nats::ConnectOptions::with_user_and_password("worker".into(), "let me in".into());
    let client = client.connect(nats.url()).await.unwrap();
    let payload = super::call("book_table", json!({ "a": 1 })).to_string();
    let reply = client.request("crm.book_table", payload.into()).await.unwrap();
    assert_eq!(text(&reply), r#"{"a":1}"#);
    assert!(!answer.log().contains("let me in"), "{}", answer.log());
    // Without them it says why it isn't connected, once, and tries on.
    let mut stranger =
        Answer::start(tempfile::tempdir().unwrap(), &["--server", &nats.url(), "f", "--", "cat"]);
    stranger.said("refuses these credentials").await;
    let log = stranger.stop().await;
    assert_eq!(log.matches("not connected to NATS").count(), 1, "{log}");
}

/// The server says so once, and to the client alone.
#[tokio::test]
async fn a_subject_that_is_not_allowed_is_said() {
    let permissions = "{ subscribe: { deny: \"vapi.tool.secret\" } }";
    let authorization = format!(
        "authorization {{ users: [{{ user: w, password: p, permissions: {permissions} }}] }}"
    );
    let Some(nats) = Nats::start_with(&authorization).await else { return };
    let url = nats.url().replace("//", "//w:p@");
    let folder = tempfile::tempdir().unwrap();
    let mut answer = Answer::start(folder, &["--server", &url, "open", "secret", "--", "cat"]);
    answer.said("the NATS server refuses something").await;
    let log = answer.log();
    assert!(log.contains("vapi.tool.secret") && !log.contains("vapi.tool.open\""), "{log}");
    assert!(!log.contains("w:p"), "{log}");
}

#[tokio::test]
async fn it_waits_for_a_server_that_is_not_there_yet() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.kill();
    let folder = tempfile::tempdir().unwrap();
    let mut answer = Answer::start(folder, &["--server", &nats.url(), "f", "--", "cat"]);
    answer.said("not connected to NATS; retrying: ").await;
    nats.restart().await;
    answer.said("hookbus answer is ready: vapi.tool.f at").await;
    assert_eq!(text(&ask(&nats.client().await, "f", json!({})).await), "{}");
    answer.stop().await;
}

#[tokio::test]
async fn wrong_usage_is_said_at_once() {
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    for (arguments, part) in [
        (&["answer"][..], "FUNCTION"),
        (&["answer", "f"], "COMMAND"),
        (&["answer", "--", "cat"], "FUNCTION"),
        (
            &["answer", "f", "--", "no-such-program"],
            "there is no program `no-such-program`\nhint: ",
        ),
        (&["answer", "book_*", "--", "cat"], "`book_*` is not the name of a function\nhint: "),
        (&["answer", "", "--", "cat"], "is not the name of a function\nhint: "),
        (&["answer", "--subject", "a..b", "--", "cat"], "can't listen on `a..b`"),
        (&["answer", "--subject", "vapi.>", "--", "cat"], "can't listen on `vapi.>`"),
        (&["answer", "f", "--server", "nowhere:x", "--", "cat"], "hint: "),
        (&["answer", "f", "--config", "no-such-file.toml", "--", "cat"], "no-such-file.toml"),
        (&["answer", "f", "--concurrency", "0", "--", "cat"], "--concurrency"),
        (&["answer", "f", "--queue", "a b", "--", "cat"], "--queue"),
        (&["answer", "f", "--drain", "5", "--", "cat"], "--drain"),
    ] {
        let output = run(arguments).await;
        assert_eq!(output.code, Some(2), "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(part), "{arguments:?}: {}", output.stderr);
        assert!(output.stdout.is_empty() && !output.stderr.contains("panicked"));
    }
    // There is such a file, but it is no program.
    let readme = crate::support::project().join("README.md");
    let readme = readme.to_str().unwrap();
    let output = run(&["answer", "f", "--lines", "--server", &nowhere, "--", readme]).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(
        output.stderr.contains("can't start") && output.stderr.contains("hint: "),
        "{}",
        output.stderr
    );
}
