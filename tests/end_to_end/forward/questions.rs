//! Questions: what the server is asked, and what its answers become.

use super::{Forward, PATIENCE, Server};
use crate::support::http::Answer;
use crate::support::{Bridge, Nats, Reply, Worker, endpoint, python, samples};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) async fn start(path: &str, flags: &[&str]) -> Option<(Nats, Server, Forward, Bridge)> {
    start_with(path, flags, "").await
}

/// The same with further tables of the endpoint.
pub(super) async fn start_with(
    path: &str,
    flags: &[&str],
    tables: &str,
) -> Option<(Nats, Server, Forward, Bridge)> {
    let nats = Nats::start().await?;
    let server = Server::start()?;
    let forward = Forward::questions(&nats, &server.url(path), flags).await;
    let endpoint = endpoint("vapi").keys("answer_window = \"0s\"").tables(tables);
    let bridge = Bridge::config(endpoint).nats(&nats).start_ready().await;
    Some((nats, server, forward, bridge))
}

pub(super) fn tool_calls(names: &[&str]) -> String {
    let call = |(place, name): (usize, &&str)| {
        let function = json!({ "name": name, "arguments": {"city": "Oslo"} });
        json!({ "id": format!("call_{place}"), "type": "function", "function": function })
    };
    let calls: Vec<Value> = names.iter().enumerate().map(call).collect();
    let message = json!({ "type": "tool-calls", "call": {"id": "c-1"}, "toolCallList": calls });
    json!({ "message": message }).to_string()
}

/// The only entry of the results.
pub(super) fn entry(reply: &Answer) -> Value {
    let results = reply.json()["results"].clone();
    assert_eq!(results.as_array().map(Vec::len), Some(1), "{}", reply.text());
    results[0].clone()
}

#[tokio::test]
async fn a_handler_written_for_vapi_answers() {
    let Some((_nats, server, mut forward, bridge)) = start("vapi", &[]).await else { return };
    let reply = bridge.post("/vapi", tool_calls(&["get_weather", "unknown"]), &[]).await;
    let results = reply.json()["results"].clone();
    assert_eq!(results[0]["result"], "It is sunny in Oslo.", "{}", reply.text());
    assert_eq!(results[1]["error"], "there is no unknown", "{}", reply.text());
    assert_eq!(reply.header("hookbus-outcome"), Some("answered"));
    // Each call came by itself.
    let requests = server.heard(2).await;
    for request in &requests {
        let message = &request.json()["message"];
        assert_eq!(message["toolCallList"].as_array().unwrap().len(), 1);
        assert_eq!(message["call"]["id"], "c-1");
        assert_eq!(request.header("hookbus-key"), Some("c-1"));
        assert_eq!(request.header("ce-type"), Some("ai.vapi.tool-calls"));
        assert!(request.header("hookbus-deadline").unwrap().parse::<u64>().is_ok());
        let left: u64 = request.header("hookbus-timeout-ms").unwrap().parse().unwrap();
        assert!(left > 0 && left <= 18_000, "{left}");
    }
    let legacy = json!({ "message": {
        "type": "function-call", "call": {"id": "c-1"},
        "functionCall": {"name": "old", "parameters": {"x": 1}},
    }});
    let reply = bridge.post("/vapi", legacy.to_string(), &[]).await;
    assert_eq!(reply.json(), json!({ "result": "called old" }));
    let body = "{\"message\": {\"type\":  \"assistant-request\", \"call\": {\"id\": \"c-2\"}}}";
    let reply = bridge.post("/vapi", body, &[]).await;
    assert_eq!(reply.json(), json!({ "assistantId": "a-c-2" }), "{}", reply.text());
    assert_eq!(server.heard(4).await[3].body, body);
    forward.said("get_weather()  c-1").await;
    forward.stop().await;
}

#[tokio::test]
async fn the_webhook_of_a_call_is_what_vapis_own_types_accept() {
    let Some((_nats, server, _forward, bridge)) = start("vapi", &[]).await else { return };
    let mut asked = 0;
    for sample in samples().into_iter().filter(|sample| sample.kind == "tool-calls") {
        let reply = bridge.post("/vapi", sample.bytes.clone(), &[]).await;
        let results = reply.json()["results"].as_array().unwrap().clone();
        // Those that aren't waited for are jobs.
        let answers = results.iter().filter(|entry| {
            entry["error"].as_str().is_some_and(|error| error.starts_with("there is no "))
        });
        asked += answers.count();
    }
    assert!(asked > 8, "{asked}");
    for request in server.heard(asked).await {
        let body = request.body.as_bytes();
        let checked = python::run("vapi/check_request.py", &["--wire"], body).await.unwrap();
        assert_eq!(checked.code, Some(0), "{}: {}", request.body, checked.stderr);
    }
}

#[tokio::test]
async fn what_is_no_answer_becomes_an_error_with_its_reason() {
    for (path, reason) in [
        ("status/503", "the server answered 503 Service Unavailable"),
        ("status/302", "the server answered 302 Found"),
        ("status/410", "the server answered 410 Gone"),
        ("latin", "the server's answer is not UTF-8"),
        ("html", "the server's answer is no JSON object with `results`"),
        ("ok", "the server's answer is no JSON object with `results`"),
        ("close", "the server's answer broke off"),
        ("huge", "the server's answer is larger than 16777216 bytes"),
    ] {
        let Some((_nats, server, mut forward, bridge)) = start(path, &[]).await else { return };
        let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
        let error = entry(&reply)["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(reason), "{path}: {}", reply.text());
        assert_eq!(reply.header("hookbus-outcome"), Some("worker-error"));
        // A redirect isn't followed, and nothing is tried again.
        assert_eq!(server.heard(1).await.len(), 1, "{path}");
        forward.said(reason).await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_told_at_once() {
    let Some((_nats, mut server, _forward, bridge)) = start("vapi", &[]).await else { return };
    server.kill();
    let began = Instant::now();
    let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
    assert!(entry(&reply)["error"].as_str().unwrap().contains("can't be reached"));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_question_is_cut_off_at_its_deadline() {
    let tables = "[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"1s\"\nfallback = \"later\"\n";
    let started = start_with("slow/4", &[], tables).await;
    let Some((_nats, _server, mut forward, bridge)) = started else { return };
    let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
    assert_eq!(entry(&reply)["result"], "later");
    forward.said("the server didn't answer in time").await;
    let log = forward.log();
    let line = log.lines().find(|line| line.contains("get_weather()")).unwrap();
    let milliseconds: f64 =
        line.split(" ms").next().unwrap().split_whitespace().last().unwrap().parse().unwrap();
    assert!(milliseconds < 1_500.0, "{line}");
}

#[tokio::test]
async fn a_described_provider_gets_status_and_content_type() {
    let Some(nats) = Nats::start().await else { return };
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hookbus.toml");
    let nats_table = format!("[nats]\nservers = [{:?}]\n", nats.url());
    std::fs::write(&config, nats_table + SHOP).unwrap();
    let (to, config) = (server.url("html"), config.to_str().unwrap());
    let questions = ["--only", "questions", "--types", "price"];
    let mut flags = vec!["--to", &to, "--config", config, "--endpoint", "shop"];
    flags.extend(questions);
    let mut forward = Forward::start(&flags);
    forward.said("hookbus forward is ready: shop.ask.price").await;
    let bridge = Bridge::config(SHOP).nats(&nats).start_ready().await;
    let form = "kind=price&item=a+b&item=%C3%A9";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let reply = bridge.post("/shop", form, &headers).await;
    assert_eq!((reply.status, reply.text()), (200, "<p>Hello</p>"));
    assert_eq!(reply.header("content-type"), Some("text/html"));
    // The fields come as the form that they were.
    let request = server.heard(1).await.remove(0);
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.body, "item=a+b&item=%C3%A9&kind=price");
}

const SHOP: &str = "[[endpoint]]\nname = \"shop\"\npath = \"/shop\"\nsource = \"asking\"\n\
    [[endpoint.auth]]\nkind = \"none\"\n\
    [provider.asking]\nevent_prefix = \"test\"\nbody = \"form\"\ntype = \"{form:kind}\"\n\
    [[provider.asking.question]]\ntypes = [\"price\"]\ntimeout = \"5s\"\npayload = \"fields\"\n\
    content_types = [\"application/json\", \"text/html\"]\n";

#[tokio::test]
async fn a_group_of_its_own_answers_only_what_is_mine() {
    let flags = ["--queue", "ann", "--mine", "c-1"];
    let Some((nats, server, _forward, bridge)) = start("vapi", &flags).await else { return };
    let _worker = Worker::start(&nats, "vapi.tool.*", |_| {
        Reply::text("from the others").after(Duration::from_secs(2))
    })
    .await;
    let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
    assert_eq!(entry(&reply)["result"], "It is sunny in Oslo.");
    let other = tool_calls(&["get_weather"]).replace("c-1", "c-2");
    let reply = bridge.post("/vapi", other, &[]).await;
    assert_eq!(entry(&reply)["result"], "from the others");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn others_that_share_the_questions_are_named() {
    let Some(nats) = Nats::start().await else { return };
    let Some(server) = Server::start() else { return };
    let mut first = Forward::questions(&nats, &server.url("vapi"), &[]).await;
    let mut second =
        Forward::questions(&nats, &server.url("vapi"), &["--functions", "get_weather"]).await;
    second.said("answers vapi.tool.* too, in the same queue group").await;
    first.stop().await;
    assert!(tokio::time::timeout(PATIENCE, second.stop()).await.is_ok());
}
