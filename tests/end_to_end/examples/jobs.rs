//! The worker for jobs: each is done once it succeeds, tried again where it fails, and at last a dead letter.

use super::{Example, PATIENCE};
use crate::support::{Bridge, Nats, endpoint, eventually};
use serde_json::{Value, json};

const STREAMS: &str = r#"
    [[nats.stream]]
    name = "WORK"
    subjects = ["work.jobs.>"]
    retention = "workqueue"
    [[nats.stream]]
    name = "DEAD"
    subjects = ["work.dead.>"]
    [nats]
    servers = ["{nats}"]
"#;

const EXAMPLE: Example = Example {
    folder: "workers/jobs-python",
    command: &[".venv/bin/python", "jobs.py"],
    built: ".venv/requirements.txt",
};

#[tokio::test]
async fn jobs_survive_restarts_are_tried_again_and_die_in_the_end() {
    let Some(mut nats) = Nats::start().await else { return };
    let mut bridge =
        Bridge::config(format!("{}{STREAMS}", endpoint("work"))).nats(&nats).start_ready().await;
    let calls = [
        ("send_report", json!({"to": "Ada"})),
        ("send_report", json!({"to": 7})),
        ("fail_at_first", json!({"times": 2})),
        ("fail_at_first", json!({"times": 99})),
        ("unheard_of", json!({})),
    ];
    let answer = bridge.post("/work", webhook(&calls), &[]).await.json();
    let results = answer["results"].as_array().unwrap();
    assert!(
        results.len() == 5 && results.iter().all(|entry| entry["result"] == "accepted"),
        "{answer}"
    );
    nats.restart().await;
    bridge.restart().await;

    let environment = [
        ("NATS_URL", &*nats.url()),
        ("HOOKBUS_ENDPOINT", "work"),
        ("HOOKBUS_STREAM", "WORK"),
        ("JOBS_PAUSES", "0.1 0.2"),
    ];
    let Some(mut worker) = EXAMPLE.start(&environment) else { return };
    worker.ready().await;
    let dead = nats.messages("DEAD", 3).await;
    let left = async || {
        nats.jetstream()
            .await
            .get_stream("WORK")
            .await
            .unwrap()
            .get_info()
            .await
            .unwrap()
            .state
            .messages
    };
    eventually("the end of all jobs", PATIENCE, async || (left().await == 0).then_some(())).await;

    // The attempts at which the good ones were done.
    let done = async || {
        let lines = worker.logged();
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let done = lines.filter(|line| line["outcome"] == "done");
        let mut done: Vec<_> =
            done.map(|line| (line["subject"].to_string(), line["attempt"].as_u64())).collect();
        done.sort();
        (done.len() == 2).then_some(done)
    };
    let done = eventually("the lines of two jobs", PATIENCE, done).await;
    let expected = [("fail_at_first", 3), ("send_report", 1)];
    let expected = expected.map(|(name, attempt)| (format!("\"work.jobs.{name}\""), Some(attempt)));
    assert_eq!(done, expected);

    // A hopeless one, one that failed three times, and one that nobody knows; each as it was sent.
    assert_eq!(dead.len(), 3);
    for message in dead {
        let call: Value = serde_json::from_slice(&message.payload).unwrap();
        let arguments = &call["arguments"];
        let expected = match message.subject.as_str() {
            "work.dead.send_report" => ("must be a text", json!({"to": 7})),
            "work.dead.fail_at_first" => ("attempt 3 failed", json!({"times": 99})),
            "work.dead.unheard_of" => ("there is no job", json!({})),
            other => panic!("{other}"),
        };
        let error = message.header("Job-Error").unwrap();
        assert!(error.contains(expected.0) && *arguments == expected.1, "{error}: {call}");
        assert!(message.header("ce-id").is_some());
    }
    worker.terminate();
    assert_eq!(worker.ended().await.code(), Some(0), "{:?}", worker.logged());
}

/// Calls of tools that Vapi marks as asynchronous.
fn webhook(calls: &[(&str, Value)]) -> String {
    let calls = calls.iter().enumerate().map(|(number, (name, arguments))| {
        let id = format!("call_{number}");
        json!({
            "type": "function",
            "async": true,
            "function": {"name": name},
            "toolCall": {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}},
        })
    });
    let with_tools: Vec<_> = calls.collect();
    let list: Vec<_> = with_tools.iter().map(|tool| tool["toolCall"].clone()).collect();
    json!({"message": {
        "type": "tool-calls",
        "call": {"id": "jobs"},
        "toolCallList": list,
        "toolWithToolCallList": with_tools,
    }})
    .to_string()
}
