//! Tool calls whose answer nobody waits for, and questions that are stored beside their answer.

use super::checks::Checks;
use crate::http::{open, question};
use crate::support::{Bridge, Reply, Sample, Worker, eventually, nats, sample};
use serde_json::json;
use std::time::Duration;

fn text(sample: &Sample) -> String {
    String::from_utf8(sample.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_async_call_is_stored_and_accepted() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("jobs", &["jobs.jobs.*"]).await;
    let bridge = Bridge::config(open("jobs")).nats(nats).start_ready().await;
    let worker = Worker::start(nats, "jobs.tool.*", |_| Reply::text("on Monday")).await;
    let mut checks = Checks::default();

    let alone = sample("tool-calls--async.json");
    let answer = bridge.post("/jobs", alone.bytes.clone(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("answered")));
    let expected = json!({"results": [
        {"name": "send_followup_sms", "toolCallId": "call_D4dddddddddddddddddddddd", "result": "accepted"},
    ]});
    assert_eq!(answer.json(), expected);
    assert!(worker.questions().is_empty());
    let stored = nats.messages("jobs", 0).await;
    assert_eq!(stored.len(), 1);
    let job = &stored[0];
    assert_eq!(job.subject, "jobs.jobs.send_followup_sms");
    let id = format!("{}.1", answer.header("hookbus-id").unwrap());
    assert_eq!(job.header("ce-id"), Some(id.as_str()));
    assert_eq!(job.header("Nats-Msg-Id"), Some(format!("jobs/{id}/{}", job.subject).as_str()));
    assert_eq!(job.header("ce-type"), Some("ai.vapi.tool-calls"));
    assert_eq!(job.header("ce-source"), Some("/hookbus/jobs"));
    assert_eq!(job.header("ce-subject"), alone.key().as_deref());
    assert_eq!(job.header("ce-datacontenttype"), Some("application/json"));
    let (payload, message) = (
        serde_json::from_slice::<serde_json::Value>(&job.payload).unwrap(),
        &alone.json()["message"],
    );
    assert_eq!(payload["id"], "call_D4dddddddddddddddddddddd");
    assert_eq!(payload["name"], "send_followup_sms");
    assert_eq!(payload["arguments"]["to"], "+15555550142");
    assert_eq!(payload["call"], message["call"]);
    checks.add("tool-calls", &text(&alone), &answer.body);

    let mixed = sample("tool-calls--mixed-async.json");
    let answer = bridge.post("/jobs", mixed.bytes.clone(), &[]).await;
    let expected = json!({"results": [
        {"name": "lookup_appointment", "toolCallId": "call_E5eeeeeeeeeeeeeeeeeeeeee", "result": "on Monday"},
        {"name": "send_followup_sms", "toolCallId": "call_F6ffffffffffffffffffffff", "result": "accepted"},
    ]});
    assert_eq!(answer.json(), expected);
    assert_eq!(worker.questions().len(), 1);
    let stored = nats.messages("jobs", 0).await;
    assert_eq!(stored.len(), 2);
    let id = format!("{}.2", answer.header("hookbus-id").unwrap());
    assert_eq!(stored[1].header("ce-id"), Some(id.as_str()));
    checks.add("tool-calls", &text(&mixed), &answer.body);
    checks.run().await;
}

/// Two jobs of one webhook on one subject are two messages, whatever the stream thinks of repetitions.
#[tokio::test]
async fn jobs_of_one_webhook_are_told_apart() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("twins", &["twins.jobs.*"]).await;
    let bridge = Bridge::config(open("twins").replace("source =", "dedupe = \"body\"\nsource ="))
        .nats(nats)
        .start_ready()
        .await;
    let tool = |id: &str| json!({"async": true, "toolCall": {"id": id, "function": {"name": "f", "arguments": {}}}});
    let body = json!({"message": {"type": "tool-calls", "toolWithToolCallList": [tool("1"), tool("2"), tool("2")]}}).to_string();
    for _ in 0..2 {
        let answer = bridge.post("/twins", body.clone(), &[]).await;
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
    }
    // The second delivery is a repetition of the first.
    let stored = nats.messages("twins", 0).await;
    let ids: Vec<_> =
        stored.iter().map(|job| job.header("ce-id").unwrap().rsplit('.').next().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_job_that_is_not_stored_is_not_accepted() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let config = "[nats]\nservers = [\"{nats}\"]\nack_timeout = \"400ms\"\n".to_owned();
    let rule = "[[endpoint.tool]]\nnames = [\"*\"]\nfallback = \"Later.\"\n";
    let bridge = Bridge::config(&(config + &open("lost") + rule))
        .nats(nats)
        .without_spool()
        .start_ready()
        .await;
    let _worker = Worker::start(nats, "lost.tool.*", |_| Reply::text("on Monday")).await;
    let mixed = sample("tool-calls--mixed-async.json");
    let answer = bridge.post("/lost", mixed.bytes.clone(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("disconnected")));
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["result"], "on Monday");
    // A made-up result would be a lie here.
    assert!(results[1]["error"].is_string() && results[1].get("result").is_none(), "{results}");
    let mut checks = Checks::default();
    checks.add("tool-calls", &text(&mixed), &answer.body);
    checks.run().await;
}

#[tokio::test]
async fn questions_are_copied_beside_their_answers() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("copies", &["copies.log.>"]).await;
    let rules = concat!(
        "[[endpoint.question]]\ntypes = [\"assistant-request\"]\ncopy_to = [\"nats:{endpoint}.log.{type}\", \"nats:{endpoint}.log.all\"]\n",
        // Nobody stores this one.
        "[[endpoint.question]]\ntypes = [\"campaign.predial\"]\ncopy_to = [\"nats:{endpoint}.nowhere\"]\n",
        "[[endpoint.tool]]\nnames = [\"*\"]\ncopy_to = [\"nats:{endpoint}.log.tools\"]\n",
    );
    let bridge = Bridge::config(&(open("copies") + rules)).nats(nats).start_ready().await;
    let _worker = Worker::start(nats, "copies.ask.>", |_| {
        Reply::text(r#"{"assistantId":"a","eligible":true}"#)
    })
    .await;
    let body = question("assistant-request");
    let answer = bridge.post("/copies", body.clone(), &[]).await;
    assert_eq!(answer.status, 200);
    let stored = nats.messages("copies", 2).await;
    let mut subjects: Vec<_> = stored.iter().map(|stored| stored.subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["copies.log.all", "copies.log.assistant-request"]);
    for stored in stored {
        assert_eq!(stored.payload, body);
        assert_eq!(stored.header("ce-id"), answer.header("hookbus-id"));
        assert_eq!(stored.header("ce-type"), Some("ai.vapi.assistant-request"));
    }
    // Stored even when nobody answers, and once for a webhook, not for each of its calls.
    let tools = crate::http::tool_calls(&["f", "g"]);
    let answer = bridge.post("/copies", tools.clone(), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("no-responders"));
    let stored = nats.messages("copies", 3).await;
    assert_eq!((stored.len(), &stored[2].payload[..]), (3, tools.as_bytes()));
    // Never in the way.
    let answer = bridge.post("/copies", question("campaign.predial"), &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.elapsed < Duration::from_secs(2), "{:?}", answer.elapsed);
    eventually("the failure in the metrics", Duration::from_secs(10), async || {
        let metric = r#"hookbus_publish_errors_total{destination="nats:{endpoint}.nowhere""#;
        (bridge.metric(metric).await >= 1.0).then_some(())
    })
    .await;
}

/// A job that no stream takes is given up at the sender's limit, not at the broker's.
#[tokio::test]
async fn a_job_is_answered_before_the_senders_limit() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("hasty")).nats(nats).without_spool().start_ready().await;
    let message = json!({"message": {
        "type": "tool-calls",
        "toolCallList": [{"id": "c", "function": {"name": "f", "arguments": {}}}],
        "toolWithToolCallList": [{"async": true, "server": {"timeoutSeconds": 3}, "toolCall": {"id": "c"}}],
    }});
    let answer = bridge.post("/hasty", message.to_string(), &[]).await;
    let error = json!({"results": [
        {"name": "f", "toolCallId": "c", "error": "the job could not be stored"},
    ]});
    assert_eq!((answer.status, answer.json()), (200, error));
    assert!(answer.elapsed >= Duration::from_millis(900), "{:?}", answer.elapsed);
    assert!(answer.elapsed < Duration::from_millis(2_500), "{:?}", answer.elapsed);
}
