//! A program for each question: what goes in, what comes out, how it fails.

use super::{Answer, PATIENCE, ask, error, text};
use crate::support::nats::shared;
use crate::support::{Bridge, Nats, endpoint};
use serde_json::json;

#[tokio::test]
async fn the_arguments_go_in_and_the_answer_comes_out() {
    let Some(nats) = Nats::start().await else { return };
    let script =
        "case $HOOKBUS_FUNCTION in echo) cat; echo;; twice) echo a; printf 'b\\r\\n';; esac";
    let answer = Answer::ready(&nats, &["echo", "twice", "--", "sh", "-c", script]).await;
    let client = nats.client().await;
    let arguments = json!({ "city": "Zürich 東京 🦀 e\u{301}", "line": "a\nb\u{0}" });
    let echoed = ask(&client, "echo", arguments.clone()).await;
    assert_eq!(text(&echoed), arguments.to_string());
    assert_eq!(text(&ask(&client, "twice", json!({})).await), "a\nb");
    let log = answer.stop().await;
    assert!(log.contains("echo delivery-1: answered ("), "{log}");
    assert!(!log.contains("rich"), "a body is in the log:\n{log}");
}

#[tokio::test]
async fn a_call_gets_its_answer_through_the_bridge() {
    let Some(nats) = Nats::start().await else { return };
    let _answer = Answer::ready(&nats, &["get.weather", "--", "sh", "-c", "cat; exit 0"]).await;
    let bridge = Bridge::config(endpoint("vapi")).nats(&nats).start_ready().await;
    let function = json!({ "name": "get.weather", "arguments": "{\"city\": \"Oslo\"}" });
    let calls = json!([{ "id": "call_1", "function": function }]);
    let body = json!({ "message": { "type": "tool-calls", "toolCallList": calls } }).to_string();
    let reply = bridge.post("/vapi", body, &[]).await;
    assert_eq!(reply.json()["results"][0]["result"], r#"{"city":"Oslo"}"#, "{}", reply.text());
}

#[tokio::test]
async fn the_environment_says_what_is_known() {
    let Some(nats) = Nats::start().await else { return };
    let _answer = Answer::ready(&nats, &["show", "--payload", "--", "sh", "-c", "env; cat"]).await;
    let shown = ask(&nats.client().await, "show", json!({ "x": 1 })).await;
    let shown = text(&shown);
    for line in [
        "HOOKBUS_FUNCTION=show",
        "HOOKBUS_SUBJECT=vapi.tool.show",
        "HOOKBUS_ID=delivery-1",
        "HOOKBUS_ENDPOINT=vapi",
        "HOOKBUS_TYPE=tool-calls",
        "TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in {shown}");
    }
    let number = |name: &str| -> u128 {
        let value = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{name} in {shown}")).parse().unwrap()
    };
    let left = number("HOOKBUS_TIMEOUT_MS");
    assert!(left <= PATIENCE.as_millis() && left > PATIENCE.as_millis() / 2, "{left}");
    assert!(number("HOOKBUS_DEADLINE") > 1_700_000_000_000);
    // What isn't known of this question isn't inherited either.
    assert!(!shown.contains("HOOKBUS_KEY="), "{shown}");
    // With --payload all of it goes in.
    assert!(shown.contains(r#""call":{"id":"c-1"}"#), "{shown}");
}

#[tokio::test]
async fn arguments_never_reach_a_shell_or_an_argument_list() {
    let Some(nats) = Nats::start().await else { return };
    let script = "echo $#; tr '\\0' ' ' < /proc/$$/cmdline; cat > input";
    let answer = Answer::ready(&nats, &["f", "--", "sh", "-c", script]).await;
    let secret = "$(touch taken) `touch taken` ; touch taken";
    let reply = ask(&nats.client().await, "f", json!({ "secret": secret })).await;
    assert!(text(&reply).starts_with("0\nsh -c echo"), "{reply:?}");
    assert!(!text(&reply).contains("taken"), "{reply:?}");
    let input = std::fs::read_to_string(answer.folder.path().join("input")).unwrap();
    assert!(input.contains("touch taken"), "{input}");
    assert!(!answer.folder.path().join("taken").exists());
}

#[tokio::test]
async fn a_failure_is_an_error_with_its_last_line() {
    let Some(nats) = shared().await else { return };
    let script = r#"case $HOOKBUS_FUNCTION in
        f_line) echo first >&2; printf 'the city\tis unknown\r\n\n' >&2; exit 3;;
        f_code) exit 4;;
        f_signal) kill -9 $$;;
        f_long) head -c 1000000 /dev/zero | tr '\0' x >&2; exit 1;;
        f_bytes) printf 'a\377b' ;;
        f_empty) ;;
        f_unread) exec 0<&-; echo fine;;
        f_left) sleep 1000 & echo $! > left; echo fine;;
    esac"#;
    let functions =
        ["f_line", "f_code", "f_signal", "f_long", "f_bytes", "f_empty", "f_unread", "f_left"];
    let mut arguments = functions.to_vec();
    arguments.extend(["--concurrency", "8", "--", "sh", "-c", script]);
    let answer = Answer::ready(nats, &arguments).await;
    let client = nats.client().await;
    for (function, expected) in [
        ("f_line", "the city is unknown"),
        ("f_code", "the program ended with exit code 4"),
        ("f_signal", "the program was ended by signal 9"),
        ("f_long", "x".repeat(200).as_str()),
        ("f_bytes", "the program's answer is not UTF-8"),
        ("f_empty", "the program wrote no answer"),
    ] {
        let reply = ask(&client, function, json!({})).await;
        assert_eq!(error(&reply), ("500", expected), "{function}");
        assert!(reply.payload.is_empty());
    }
    // A program need not read what it gets, not even if it is more than a pipe holds.
    let large = json!({ "filling": "x".repeat(300_000) });
    assert_eq!(text(&ask(&client, "f_unread", large).await), "fine");
    // What it leaves behind holds nothing up, and ends.
    assert_eq!(text(&ask(&client, "f_left", json!({})).await), "fine");
    super::gone(&answer.file("left").await).await;
    let request = client.request("vapi.tool.f_code", "not JSON".into()).await.unwrap();
    assert_eq!(error(&request), ("400", "the question is no JSON object with `arguments`"));
    let log = answer.log();
    assert!(log.contains("f_line delivery-1: failed (500) ("), "{log}");
    assert!(!log.contains("unknown"), "the text of an error is in the log:\n{log}");
}
