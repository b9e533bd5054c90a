//! Time: the tool's own limit, patience while workers restart, and answers that come too late.

use crate::http::held::Held;
use crate::http::{open, question, tool_calls};
use crate::support::{Bridge, Reply, Worker, eventually, nats};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_tools_own_limit_shortens_the_time() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rule = "[[endpoint.tool]]\nnames = [\"brief\"]\ntimeout = \"2s\"\n";
    let bridge = Bridge::config(&(open("limits") + rule)).nats(nats).start_ready().await;
    let worker = Worker::start(nats, "limits.tool.*", |asked| match &*asked.subject {
        "limits.tool.hangs" => Reply::none(),
        _ => Reply::text("done"),
    })
    .await;
    let tool = |name: &str, seconds: serde_json::Value| json!({"server": {"timeoutSeconds": seconds}, "toolCall": {"id": name, "function": {"name": name}}});
    let left = async |name: &str, seconds| {
        let body = json!({"message": {"type": "tool-calls", "toolWithToolCallList": [tool(name, seconds)]}});
        let answer = bridge.post("/limits", body.to_string(), &[]).await;
        let asked = worker.questions().pop().unwrap();
        let left: u64 = asked.header("Hookbus-Timeout-Ms").unwrap().parse().unwrap();
        (answer, left)
    };
    for (name, seconds, most) in [
        ("f", json!(10), 8_000),
        ("f", json!(4.5), 2_500),
        ("f", json!(300), 18_000),
        ("f", json!(null), 18_000),
        ("f", json!("5"), 18_000),
        ("f", json!(-1), 18_000),
        ("f", json!(1e300), 18_000),
        ("brief", json!(10), 2_000),
        ("brief", json!(3), 1_000),
    ] {
        let (answer, left) = left(name, seconds.clone()).await;
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{seconds}");
        assert!(left <= most && left + 1_000 > most, "{seconds}: {left}, not {most}");
    }
    let (answer, _) = left("hangs", json!(3)).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("timeout"));
    assert!(answer.elapsed >= Duration::from_millis(950), "{:?}", answer.elapsed);
    assert!(answer.elapsed < Duration::from_millis(2_900), "{:?}", answer.elapsed);
}

#[tokio::test]
async fn a_worker_may_start_while_it_is_asked() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rules = concat!(
        "[[endpoint.question]]\ntypes = [\"assistant-request\"]\nno_responders_grace = \"5s\"\n",
        "[[endpoint.question]]\ntypes = [\"campaign.predial\"]\nsubject = \"{endpoint}-nobody\"\nno_responders_grace = \"600ms\"\n",
        "[[endpoint.tool]]\nnames = [\"*\"]\nno_responders_grace = \"5s\"\n",
    );
    let bridge = Bridge::config(&(open("grace") + rules)).nats(nats).start_ready().await;
    let asking = async {
        tokio::join!(
            bridge.post("/grace", question("assistant-request"), &[]),
            bridge.post("/grace", tool_calls(&["f"]), &[])
        )
    };
    let starting = async {
        eventually("both questions", SOON, async || {
            (bridge.metric(r#"hookbus_in_flight{kind="question""#).await == 2.0).then_some(())
        })
        .await;
        Worker::start(nats, "grace.>", |_| Reply::text(r#"{"assistantId":"a"}"#)).await
    };
    let ((whole, tools), worker) = tokio::join!(asking, starting);
    assert_eq!((whole.status, whole.text()), (200, r#"{"assistantId":"a"}"#));
    assert_eq!(tools.header("hookbus-outcome"), Some("answered"));
    assert_eq!(worker.questions().len(), 2);
    for asked in worker.questions() {
        // What is left is counted from the webhook, not from the last attempt.
        let left: u64 = asked.header("Hookbus-Timeout-Ms").unwrap().parse().unwrap();
        assert!(left < 18_000);
    }
    // Patience has an end.
    let answer = bridge.post("/grace", question("campaign.predial"), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("no-responders"));
    assert_eq!(answer.status, 503);
    assert!(answer.elapsed >= Duration::from_millis(250), "{:?}", answer.elapsed);
    assert!(answer.elapsed < Duration::from_secs(3), "{:?}", answer.elapsed);
}

#[tokio::test]
async fn late_replies_are_counted_and_dropped() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rules = "[[endpoint.question]]\ntypes = [\"*\"]\ntimeout = \"300ms\"\n[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"300ms\"\n";
    let bridge = Bridge::config(&(open("tardy") + rules)).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "tardy.>").await;
    let whole = bridge.post("/tardy", question("assistant-request"), &[]).await;
    assert_eq!(whole.status, 504);
    let tools = bridge.post("/tardy", tool_calls(&["f"]), &[]).await;
    assert_eq!(tools.header("hookbus-outcome"), Some("timeout"));
    let late = r#"hookbus_late_replies_total{endpoint="tardy""#;
    assert_eq!(bridge.metric(late).await, 0.0);
    let (first, second) = (held.next().await, held.next().await);
    for count in [1.0, 2.0] {
        held.answer(if count == 1.0 { &first } else { &second }, r#"{"assistantId":"late"}"#).await;
        eventually("a late reply", SOON, async || {
            (bridge.metric(late).await == count).then_some(())
        })
        .await;
    }
    // The next question isn't answered by the last one's reply.
    let asking = bridge.post("/tardy", question("assistant-request"), &[]);
    let answering = async {
        let third = held.next().await;
        held.answer(&first, r#"{"assistantId":"late"}"#).await;
        held.answer(&third, r#"{"assistantId":"right"}"#).await;
        // Once is enough.
        held.answer(&third, r#"{"assistantId":"twice"}"#).await;
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.text(), r#"{"assistantId":"right"}"#);
    // What comes once more, or after an answer, isn't late.
    let extra = r#"hookbus_ignored_replies_total{kind="extra""#;
    eventually("the others", SOON, async || (bridge.metric(extra).await == 2.0).then_some(()))
        .await;
    assert_eq!(bridge.metric(late).await, 2.0);
    let late = r#"hookbus_late_replies_total{endpoint="tardy",type="",function="*"}"#;
    assert_eq!(bridge.metric(late).await, 1.0);
}

/// Slow workers and full queues of events don't hold up other questions.
#[tokio::test]
async fn one_slow_worker_delays_only_its_own() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("own")).nats(nats).start_ready().await;
    let mut slow = Held::on(nats, "own.tool.slow").await;
    let _fast = Worker::start(nats, "own.tool.fast", |_| Reply::text("done")).await;
    // Each of a call of its own: otherwise they would be one question.
    let post = |number: usize, function| {
        let body = tool_calls(&[function]).replace("call-1", &format!("call-{number}"));
        bridge.post("/own", body, &[])
    };
    let waiting = futures_util::future::join_all((0..50).map(|number| post(number, "slow")));
    let others = async {
        let mut asked = Vec::new();
        for _ in 0..50 {
            asked.push(slow.next().await);
        }
        for number in 0..20 {
            let answer = post(number, "fast").await;
            assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
            assert!(answer.elapsed < Duration::from_secs(1), "{:?}", answer.elapsed);
        }
        for question in &asked {
            slow.answer(question, "at last").await;
        }
    };
    let (answers, ()) = tokio::join!(waiting, others);
    for answer in answers {
        assert_eq!(answer.json()["results"][0]["result"], "at last");
    }
}
