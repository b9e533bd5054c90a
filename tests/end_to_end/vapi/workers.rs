//! Workers made by others: a plain subscription of nats-py, and a service of NATS micro.

use crate::http::{open, tool_calls};
use crate::support::worker::round_trip;
use crate::support::{Bridge, eventually, nats, python};
use async_nats::service::ServiceExt;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Ten lines, as in the documentation.
const WORKER: &str = r#"
import asyncio, json, sys, nats

async def main():
    client = await nats.connect(sys.argv[1])
    async def answer(question):
        asked = json.loads(question.data)
        city = asked["arguments"]["city"]
        await question.respond(f"{question.headers['Hookbus-Endpoint']}: sunny in {city}".encode())
    await client.subscribe("python.tool.get_weather", queue="q", cb=answer)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"#;

#[tokio::test]
async fn a_plain_python_worker_answers() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let Some(mut command) = python::command() else {
        return;
    };
    let bridge = Bridge::config(open("python")).nats(nats).start_ready().await;
    let mut worker = command
        .args(["-c", WORKER, &nats.url()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
    let call = json!({"id": "1", "function": {"name": "get_weather", "arguments": {"city": "Troms\u{f8}"}}});
    let body = json!({"message": {"type": "tool-calls", "toolCallList": [call]}});
    // The flush of nats-py overtakes its subscription: the server may not know of it yet.
    let answer = eventually("an answer", Duration::from_secs(10), async || {
        let answer = bridge.post("/python", body.to_string(), &[]).await;
        (answer.header("hookbus-outcome") == Some("answered")).then_some(answer)
    })
    .await;
    assert_eq!(answer.json()["results"][0]["result"], "python: sunny in Troms\u{f8}");
    worker.kill().await.unwrap();
}

#[tokio::test]
async fn a_service_of_nats_micro_answers_and_fails() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("micro")).nats(nats).start_ready().await;
    let client = nats.client().await;
    let service = client.service_builder().start("weather", "1.0.0").await.unwrap();
    let mut endpoint = service.endpoint("micro.tool.*").await.unwrap();
    round_trip(&client).await;
    let serving = tokio::spawn(async move {
        while let Some(request) = endpoint.next().await {
            let answer = if request.message.subject.ends_with("broken") {
                Err(async_nats::service::error::Error {
                    status: "no satellite".to_owned(),
                    code: async_nats::StatusCode::try_from(503).unwrap().as_u16().into(),
                })
            } else {
                Ok(Bytes::from("sunny"))
            };
            request.respond(answer).await.unwrap();
        }
    });
    let answer = bridge.post("/micro", tool_calls(&["weather", "broken"]), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("worker-error"), "{}", answer.text());
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["result"], "sunny");
    assert_eq!(results[1]["error"], "no satellite");
    serving.abort();
}
