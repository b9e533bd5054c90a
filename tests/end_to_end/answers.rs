//! Tool calls that come again: what a worker sees of them, and what their senders get.

use crate::support::http::{Answer, raw_within};
use crate::support::{Bridge, Nats, Question, Reply, Worker, endpoint, eventually, nats};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
/// What a slow worker takes.
const SLOW: Duration = Duration::from_millis(500);

/// A bridge with an endpoint `name` that has these settings, and below it these tables.
async fn start(nats: &Nats, name: &str, settings: &str, tables: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.jobs.>")]).await;
    let endpoint = endpoint(name).keys(settings).tables(tables);
    Bridge::config(endpoint).nats(nats).start_ready().await
}

/// A worker whose replies tell how often it was asked.
async fn counting(nats: &Nats, name: &str, reply: impl Reacts) -> Worker {
    let asked = AtomicUsize::new(0);
    Worker::start(nats, &format!("{name}.tool.>"), move |question| {
        reply(asked.fetch_add(1, Ordering::Relaxed) + 1, question)
    })
    .await
}

trait Reacts: Fn(usize, &Question) -> Reply + Send + Sync + 'static {}
impl<F: Fn(usize, &Question) -> Reply + Send + Sync + 'static> Reacts for F {}

fn number(count: usize, _: &Question) -> Reply {
    Reply::text(format!("execution {count}"))
}

/// One webhook with one call.
struct Call {
    key: &'static str,
    id: Option<&'static str>,
    function: &'static str,
    city: &'static str,
    is_async: bool,
}

const CALL: Call =
    Call { key: "call-1", id: Some("call_1"), function: "book", city: "Oslo", is_async: false };

impl Call {
    fn body(&self) -> String {
        let mut call = json!({
            "type": "function",
            "function": {"name": self.function, "arguments": {"city": self.city}},
        });
        if let Some(id) = self.id {
            call["id"] = id.into();
        }
        let mut message = json!({
            "type": "tool-calls",
            "toolCallList": [call],
            "toolWithToolCallList": [{"async": self.is_async, "name": self.function, "toolCall": call}],
        });
        if !self.key.is_empty() {
            message["call"] = json!({"id": self.key});
        }
        json!({"message": message}).to_string()
    }

    async fn post(&self, bridge: &Bridge, name: &str) -> Answer {
        let answer = bridge.post(&format!("/{name}"), self.body(), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }
}

fn entry(answer: &Answer) -> Value {
    answer.json()["results"][0].clone()
}

fn result(answer: &Answer) -> String {
    entry(answer)["result"].as_str().unwrap_or_default().to_owned()
}

async fn reused(bridge: &Bridge, name: &str) -> f64 {
    let metric = format!("hookbus_answers_reused_total{{endpoint=\"{name}\"");
    bridge.metric(&metric).await
}

#[tokio::test]
async fn a_call_that_comes_again_gets_the_stored_answer() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "again";
    let bridge = start(nats, name, "", "").await;
    let worker = counting(nats, name, number).await;
    let first = CALL.post(&bridge, name).await;
    let second = CALL.post(&bridge, name).await;
    assert_eq!(result(&first), "execution 1");
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("hookbus-outcome"), Some("answered"));
    let reuses = [&first, &second].map(|answer| answer.header("hookbus-reused"));
    assert_eq!(reuses, [None, Some("true")]);
    assert_ne!(first.header("hookbus-id"), second.header("hookbus-id"));
    assert_eq!(worker.questions().len(), 1);
    assert_eq!(reused(&bridge, name).await, 1.0);
    let asked = format!("hookbus_ask_seconds_count{{endpoint=\"{name}\"");
    assert_eq!(bridge.metric(&asked).await, 1.0);
}

#[tokio::test]
async fn a_running_call_is_joined() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "joined";
    let bridge = start(nats, name, "", "").await;
    let slow = |count, question: &Question| number(count, question).after(SLOW);
    let worker = counting(nats, name, slow).await;
    let answers =
        tokio::join!(CALL.post(&bridge, name), CALL.post(&bridge, name), CALL.post(&bridge, name),);
    for answer in [answers.0, answers.1, answers.2] {
        assert_eq!(result(&answer), "execution 1");
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
    }
    assert_eq!(worker.questions().len(), 1);
    assert_eq!(reused(&bridge, name).await, 2.0);
}

#[tokio::test]
async fn a_sender_that_hung_up_gets_the_answer_when_it_comes_again() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "hung-up";
    let bridge = start(nats, name, "", "").await;
    let slow = |count, question: &Question| number(count, question).after(SLOW);
    let worker = counting(nats, name, slow).await;
    let body = CALL.body();
    let request =
        format!("POST /{name} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let patience = Duration::from_millis(150);
    let nothing = raw_within(&bridge.address(), request.as_bytes(), patience).await;
    assert!(nothing.is_empty());
    assert_eq!(result(&CALL.post(&bridge, name).await), "execution 1");
    assert_eq!(worker.questions().len(), 1);
}

#[tokio::test]
async fn whatever_differs_is_executed_for_itself() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "differs";
    let tool = "[[endpoint.tool]]\nnames = [\"*\"]\nsubject = \"differs.tool.x\"";
    let other = endpoint("differs-2").tables(tool).to_string();
    let bridge = start(nats, name, "", &other).await;
    let worker = counting(nats, name, number).await;
    let calls = [
        CALL,
        Call { city: "Rome", ..CALL },
        Call { id: Some("call_2"), ..CALL },
        Call { key: "call-2", ..CALL },
        Call { function: "cancel", ..CALL },
    ];
    for (count, call) in (1..).zip(&calls) {
        let answer = call.post(&bridge, name).await;
        assert_eq!(result(&answer), format!("execution {count}"));
    }
    let elsewhere = CALL.post(&bridge, "differs-2").await;
    assert_eq!(result(&elsewhere), "execution 6");
    // And all of them come again.
    for (count, call) in (1..).zip(&calls) {
        let answer = call.post(&bridge, name).await;
        assert_eq!(result(&answer), format!("execution {count}"));
    }
    assert_eq!(worker.questions().len(), 6);
}

#[tokio::test]
async fn what_cannot_be_told_apart_is_always_executed() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "nameless";
    let bridge = start(nats, name, "", "").await;
    let worker = counting(nats, name, number).await;
    let calls =
        [Call { key: "", ..CALL }, Call { id: None, ..CALL }, Call { id: Some(""), ..CALL }];
    for (count, call) in [1, 3, 5].into_iter().zip(&calls) {
        for count in [count, count + 1] {
            let answer = call.post(&bridge, name).await;
            assert_eq!(result(&answer), format!("execution {count}"));
        }
    }
    let legacy = r#"{"message":{"type":"function-call","call":{"id":"call-1"},"functionCall":{"name":"book","parameters":{}}}}"#;
    for count in [7, 8] {
        let answer = bridge.post("/nameless", legacy, &[]).await;
        assert_eq!(answer.json()["result"], format!("execution {count}"));
    }
    assert_eq!(worker.questions().len(), 8);
}

#[tokio::test]
async fn a_call_that_stands_twice_in_one_webhook_is_executed_once() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "twice";
    let bridge = start(nats, name, "", "").await;
    let worker = counting(nats, name, number).await;
    let call = json!({"id": "call_1", "name": "book", "arguments": {}});
    let body = json!({"message": {"type": "tool-calls", "call": {"id": "c"}, "toolCallList": [call, call]}});
    let answer = bridge.post("/twice", body.to_string(), &[]).await;
    let entry = json!({"name": "book", "toolCallId": "call_1", "result": "execution 1"});
    assert_eq!(answer.json(), json!({"results": [entry, entry]}));
    assert_eq!(worker.questions().len(), 1);
}

#[tokio::test]
async fn the_error_of_a_worker_is_its_answer() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "erring";
    let rule = "[[endpoint.tool]]\nnames = [\"cancel\"]\nfallback = \"Please call us.\"";
    let bridge = start(nats, name, "", rule).await;
    let error = |count, _: &Question| Reply::error("500", &format!("no room {count}"));
    let worker = counting(nats, name, error).await;
    for _ in 0..2 {
        let answer = CALL.post(&bridge, name).await;
        assert_eq!(entry(&answer)["error"], "no room 1");
        assert_eq!(answer.header("hookbus-outcome"), Some("worker-error"));
    }
    let cancel = Call { function: "cancel", ..CALL };
    for _ in 0..2 {
        let answer = cancel.post(&bridge, name).await;
        assert_eq!(result(&answer), "Please call us.");
        assert_eq!(answer.header("hookbus-outcome"), Some("worker-error"));
    }
    assert_eq!(worker.questions().len(), 2);
}

#[tokio::test]
async fn a_timeout_is_no_answer() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "late-first";
    let rule =
        "[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"1s\"\nfallback = \"We call you back.\"";
    let bridge = start(nats, name, "", rule).await;
    let worker = counting(nats, name, |count, question: &Question| match count {
        1 => Reply::none(),
        _ => number(count, question),
    })
    .await;
    let first = CALL.post(&bridge, name).await;
    assert_eq!(result(&first), "We call you back.");
    assert_eq!(first.header("hookbus-outcome"), Some("timeout"));
    for _ in 0..2 {
        let answer = CALL.post(&bridge, name).await;
        assert_eq!(result(&answer), "execution 2");
    }
    assert_eq!(worker.questions().len(), 2);
}

/// The second one joins; when the first one's time is over, it asks for itself, and has its answer in its own time.
#[tokio::test]
async fn who_joined_a_call_that_timed_out_asks_for_itself() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "took-over";
    let rule = "[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"2s\"";
    let bridge = start(nats, name, "", rule).await;
    let worker = counting(nats, name, |count, question: &Question| match count {
        1 => Reply::none(),
        _ => number(count, question),
    })
    .await;
    let second = async {
        eventually("the first question", SOON, async || {
            (!worker.questions().is_empty()).then_some(())
        })
        .await;
        tokio::time::sleep(3 * SLOW).await;
        CALL.post(&bridge, name).await
    };
    let (first, second) = tokio::join!(CALL.post(&bridge, name), second);
    assert_eq!(first.header("hookbus-outcome"), Some("timeout"));
    assert_eq!(result(&second), "execution 2");
    assert!(second.elapsed < Duration::from_secs(2));
    assert_eq!(worker.questions().len(), 2);
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "nobody";
    let bridge = start(nats, name, "", "").await;
    let (first, second) = tokio::join!(CALL.post(&bridge, name), CALL.post(&bridge, name));
    for answer in [first, second] {
        assert_eq!(answer.header("hookbus-outcome"), Some("no-responders"));
    }
    let _worker = counting(nats, name, number).await;
    assert_eq!(result(&CALL.post(&bridge, name).await), "execution 1");
}

#[tokio::test]
async fn a_window_of_zero_turns_it_off() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "windowless";
    let bridge = start(nats, name, "answer_window = \"0s\"", "").await;
    let worker = counting(nats, name, number).await;
    for count in 1..=2 {
        let answer = CALL.post(&bridge, name).await;
        assert_eq!(result(&answer), format!("execution {count}"));
    }
    assert_eq!(worker.questions().len(), 2);
    assert_eq!(reused(&bridge, name).await, 0.0);
}

#[tokio::test]
async fn an_answer_is_forgotten_when_its_window_ends() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "forgotten";
    let bridge = start(nats, name, "answer_window = \"1s\"", "").await;
    let worker = counting(nats, name, number).await;
    let began = Instant::now();
    CALL.post(&bridge, name).await;
    let answer = eventually("a second execution", SOON, async || {
        let answer = CALL.post(&bridge, name).await;
        (result(&answer) != "execution 1").then_some(answer)
    })
    .await;
    assert_eq!(result(&answer), "execution 2");
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(reused(&bridge, name).await >= 1.0);
    assert_eq!(worker.questions().len(), 2);
}

#[tokio::test]
async fn a_job_is_stored_once() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "jobs-again";
    let bridge = start(nats, name, "", "").await;
    let job = Call { is_async: true, ..CALL };
    let (first, second) = tokio::join!(job.post(&bridge, name), job.post(&bridge, name));
    let third = job.post(&bridge, name).await;
    for answer in [first, second, third] {
        assert_eq!(result(&answer), "accepted");
    }
    // The stream is asked once: what was accepted is there.
    assert_eq!(nats.messages(name, 0).await.len(), 1);
    assert_eq!(reused(&bridge, name).await, 2.0);

    let another = Call { id: Some("call_2"), ..job };
    another.post(&bridge, name).await;
    assert_eq!(nats.messages(name, 0).await.len(), 2);
}

/// What says that a job is stored is not the result of a call, nor the other way round.
#[tokio::test]
async fn a_job_and_a_call_are_two_whatever_their_id() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "jobs-and-calls";
    let bridge = start(nats, name, "", "").await;
    let worker = counting(nats, name, number).await;
    let job = Call { is_async: true, ..CALL };
    assert_eq!(result(&job.post(&bridge, name).await), "accepted");
    assert_eq!(result(&CALL.post(&bridge, name).await), "execution 1");
    let (job, call) = (Call { id: Some("call_2"), ..job }, Call { id: Some("call_2"), ..CALL });
    assert_eq!(result(&call.post(&bridge, name).await), "execution 2");
    assert_eq!(result(&job.post(&bridge, name).await), "accepted");
    assert_eq!((worker.questions().len(), nats.messages(name, 0).await.len()), (2, 2));
    assert_eq!(reused(&bridge, name).await, 0.0);
}

/// What could not be stored is not accepted, and is tried anew.
#[tokio::test]
async fn a_job_that_was_not_stored_is_stored_when_it_comes_again() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let name = "jobs-later";
    let bridge = Bridge::config(endpoint(name)).nats(nats).without_spool().start_ready().await;
    let job = Call { is_async: true, ..CALL };
    let refused = job.post(&bridge, name).await;
    assert!(entry(&refused)["error"].is_string(), "{}", refused.text());
    nats.create_stream(name, &[&format!("{name}.jobs.>")]).await;
    let stored = eventually("a stored job", SOON, async || {
        let answer = job.post(&bridge, name).await;
        (result(&answer) == "accepted").then_some(answer)
    });
    stored.await;
    assert_eq!(nats.messages(name, 0).await.len(), 1);
}
