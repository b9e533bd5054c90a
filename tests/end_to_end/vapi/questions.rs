//! The questions that are asked as a whole: their good answers, their bad ones, and what stands in when there is none.

use super::Scripted;
use super::checks::Checks;
use crate::http::open;
use crate::support::http::Answer;
use crate::support::{Bridge, Reply, nats, sample};
use serde_json::{Value, json};
use std::time::Duration;

struct Kind {
    name: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
    /// As it stands in the configuration, and as it is answered.
    fallback: (&'static str, &'static str),
    /// Milliseconds that there are by default.
    time: u64,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "assistant-request",
        good: &[
            r#"{"assistantId":"a"}"#,
            " { \"assistantId\" : \"a\",\r\n\t\"assistantOverrides\":{\"variableValues\":{\"n\":1.0}} } ",
            r#"{"squadId":"s"}"#,
            r#"{"workflowId":"w"}"#,
            r#"{"assistant":{"firstMessage":"Hello"}}"#,
            r#"{"destination":{"type":"number","number":"+14155550100"}}"#,
            r#"{"destination":{"type":"sip","sipUri":"sip:desk@example.com"}}"#,
            r#"{"error":"We are closed."}"#,
        ],
        bad: &[
            "",
            " ",
            "hello",
            r#""a""#,
            "[]",
            "{}",
            "null",
            "1",
            "{",
            r#"{"assistantId":"a"}x"#,
            r#"{"assistantId":""}"#,
            r#"{"assistantId":null}"#,
            r#"{"assistantId":7}"#,
            r#"{"assistant":"a"}"#,
            r#"{"error":""}"#,
            r#"{"error":{}}"#,
            r#"{"destination":{"number":"+14155550100"}}"#,
            r#"{"destination":{"type":"assistant","assistantName":"a"}}"#,
            r#"{"messageResponse":{"assistantId":"a"}}"#,
            r#"{"results":[]}"#,
        ],
        fallback: (
            r#"{ assistantId = "spare", n = [1, 2.5, true] }"#,
            r#"{"assistantId":"spare","n":[1,2.5,true]}"#,
        ),
        time: 6_000,
    },
    Kind {
        name: "transfer-destination-request",
        good: &[
            r#"{"destination":{"type":"number","number":"+14155550100"}}"#,
            r#"{"destination":{"type":"sip","sipUri":"sip:desk@example.com"}}"#,
            r#"{"destination":{"type":"assistant","assistantName":"desk"}}"#,
            r#"{"error":"Nobody is there."}"#,
        ],
        bad: &[
            "",
            "{}",
            "[]",
            "hello",
            r#"{"destination":"+14155550100"}"#,
            r#"{"destination":{"type":"number"}}"#,
            r#"{"destination":{"type":"squad","squadId":"s"}}"#,
            r#"{"error":" "}"#,
        ],
        fallback: (r#"{ error = "Nobody is there." }"#, r#"{"error":"Nobody is there."}"#),
        time: 18_000,
    },
    Kind {
        name: "handoff-destination-request",
        good: &[
            r#"{"destination":{"type":"assistant","assistantName":"billing"}}"#,
            r#"{"destination":{"type":"squad","squadId":"s"},"result":"Handed on."}"#,
            r#"{"destination":{}}"#,
            r#"{"error":"No such desk."}"#,
        ],
        bad: &[
            "",
            "{}",
            "null",
            r#"{"destination":[]}"#,
            r#"{"destination":{"type":"assistant"}}"#,
            r#"{"destination":{"type":"number","number":"+14155550100"}}"#,
            r#"{"result":"x"}"#,
        ],
        fallback: (r#"{ error = "No such desk." }"#, r#"{"error":"No such desk."}"#),
        time: 18_000,
    },
    Kind {
        name: "knowledge-base-request",
        good: &[
            r#"{"documents":[]}"#,
            r#"{"documents":[{"content":"Open at ten.","similarity":0.92,"uuid":"d"}]}"#,
            r#"{"message":{"role":"assistant","content":"Open at ten."}}"#,
        ],
        bad: &[
            "",
            "{}",
            "[]",
            "hello",
            r#"{"documents":{}}"#,
            r#"{"documents":[{"content":"x"}]}"#,
            r#"{"documents":[{"content":"x","similarity":"0.9"}]}"#,
            r#"{"documents":["x"]}"#,
            r#"{"message":"Open at ten."}"#,
        ],
        fallback: (
            r#"{ message = { role = "assistant", content = "Later." } }"#,
            r#"{"message":{"content":"Later.","role":"assistant"}}"#,
        ),
        time: 8_000,
    },
    Kind {
        name: "call.endpointing.request",
        good: &[r#"{"timeoutSeconds":0}"#, r#"{"timeoutSeconds":0.5}"#, r#"{"timeoutSeconds":15}"#],
        bad: &[
            "",
            "{}",
            "0.5",
            r#"{"timeoutSeconds":"0.5"}"#,
            r#"{"timeoutSeconds":-1}"#,
            r#"{"timeoutSeconds":15.1}"#,
            r#"{"timeoutSeconds":true}"#,
            r#"{"timeoutSeconds":null}"#,
        ],
        fallback: ("{ timeoutSeconds = 0.7 }", r#"{"timeoutSeconds":0.7}"#),
        time: 3_000,
    },
    Kind {
        name: "campaign.predial",
        good: &[r#"{"eligible":true}"#, r#"{"eligible":false}"#],
        bad: &[
            "",
            "{}",
            "true",
            r#"{"eligible":"true"}"#,
            r#"{"eligible":1}"#,
            r#"{"eligible":null}"#,
        ],
        fallback: ("{ eligible = false }", r#"{"eligible":false}"#),
        time: 18_000,
    },
];

impl Kind {
    fn body(&self) -> String {
        let sample = sample(&format!("{}.json", self.name));
        String::from_utf8(sample.bytes.to_vec()).unwrap()
    }

    fn fallback_rule(&self) -> String {
        format!(
            "[[endpoint.question]]\ntypes = [\"{}\"]\nfallback = {}\n",
            self.name, self.fallback.0
        )
    }

    /// What is answered where nothing is configured and nobody answers.
    fn default(&self) -> Option<&'static str> {
        (self.name == "knowledge-base-request").then_some(r#"{"documents":[]}"#)
    }

    /// The answer to a question without an answer, where nothing is configured.
    fn assert_unanswered(&self, answer: &Answer, status: u16, outcome: &str) {
        assert_eq!(answer.header("hookbus-outcome"), Some(outcome), "{}", self.name);
        assert!(answer.header("hookbus-id").is_some());
        if let Some(default) = self.default() {
            assert_eq!((answer.status, answer.text()), (200, default));
            return;
        }
        assert_eq!(answer.status, status, "{}: {}", self.name, answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["status"], status);
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }

    fn assert_fallen_back(&self, answer: &Answer, outcome: &str) {
        assert_eq!(answer.status, 200, "{}", self.name);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("hookbus-outcome"), Some(outcome), "{}", self.name);
        let expected: Value = serde_json::from_str(self.fallback.1).unwrap();
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn answers_are_passed_on_where_they_can_be_read() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rules: String = KINDS.iter().map(Kind::fallback_rule).collect();
    let config = open("asks") + &open("falls") + &rules;
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let asks = Scripted::start(nats, "asks.ask.>").await;
    let falls = Scripted::start(nats, "falls.ask.>").await;
    let mut checks = Checks::default();
    for kind in &KINDS {
        let (name, body) = (kind.name, kind.body());
        for good in kind.good {
            asks.says(Reply::text(*good));
            let answer = bridge.post("/asks", body.clone(), &[]).await;
            assert_eq!((answer.status, answer.text()), (200, *good), "{name}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
            checks.add(name, &body, good.as_bytes());
            let asked = asks.asked();
            assert_eq!(asked.subject, format!("asks.ask.{name}"));
            assert!(asked.payload == body, "{name}: other bytes");
            assert_eq!(asked.header("Hookbus-Id"), answer.header("hookbus-id"));
        }
        let bad = kind.bad.iter().map(|bad| Reply::text(*bad));
        let no_text = Reply::text(&b"{\"assistantId\":\"\xff\",\"eligible\":true}"[..]);
        for bad in bad.chain([no_text]) {
            asks.says(bad.clone());
            falls.says(bad);
            let answer = bridge.post("/asks", body.clone(), &[]).await;
            kind.assert_unanswered(&answer, 502, "bad-reply");
            let answer = bridge.post("/falls", body.clone(), &[]).await;
            kind.assert_fallen_back(&answer, "bad-reply");
        }
        for error in [
            Reply::error("500", "the database is down"),
            Reply::error("404", ""),
            Reply::text(kind.good[0]).header("Nats-Service-Error-Code", "503"),
            Reply::text(kind.good[0]).header("Nats-Service-Error", "x"),
        ] {
            asks.says(error.clone());
            falls.says(error);
            let answer = bridge.post("/asks", body.clone(), &[]).await;
            kind.assert_unanswered(&answer, 502, "worker-error");
            // What a worker says may be anybody's business, but isn't the sender's.
            assert!(!answer.text().contains("database"));
            let answer = bridge.post("/falls", body.clone(), &[]).await;
            kind.assert_fallen_back(&answer, "worker-error");
        }
        checks.add(name, &body, kind.fallback.1.as_bytes());
        let metric = |endpoint: &str, outcome: &str| {
            format!(
                r#"hookbus_webhooks_total{{endpoint="{endpoint}",type="{name}",outcome="{outcome}""#
            )
        };
        let answered = bridge.metric(&metric("asks", "answered")).await;
        assert_eq!(answered, kind.good.len() as f64);
        let fallback = bridge.metric(&metric("falls", "fallback")).await;
        assert_eq!(fallback, (kind.bad.len() + 5) as f64);
    }
    checks.add("knowledge-base-request", "{}", br#"{"documents":[]}"#);
    checks.run().await;
    let log = bridge.log();
    assert!(!log.contains("database"), "{log}");
}

#[tokio::test]
async fn nobody_there_is_known_at_once() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rules: String = KINDS.iter().map(Kind::fallback_rule).collect();
    let config = open("nobody") + &open("nobody-falls") + &rules;
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let at_once = |answer: &Answer| {
        let took = answer.elapsed;
        assert!(took < Duration::from_millis(100), "{took:?}");
    };
    for kind in &KINDS {
        let answer = bridge.post("/nobody", kind.body(), &[]).await;
        kind.assert_unanswered(&answer, 503, "no-responders");
        at_once(&answer);
        let answer = bridge.post("/nobody-falls", kind.body(), &[]).await;
        kind.assert_fallen_back(&answer, "no-responders");
        at_once(&answer);
    }
    let voice = sample("voice-request.json").bytes;
    let answer = bridge.post("/nobody", voice, &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (503, Some("no-responders")));
    at_once(&answer);
    let tools = sample("tool-calls--parallel3.json").bytes;
    let answer = bridge.post("/nobody", tools, &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("no-responders")));
    at_once(&answer);
    let legacy = sample("function-call.json").bytes;
    let answer = bridge.post("/nobody", legacy, &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (503, Some("no-responders")));
}

/// Workers that hang, for all types at the same time.
#[tokio::test]
async fn a_worker_that_says_nothing_is_a_timeout() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let timeout = "[[endpoint.question]]\ntypes = [\"*\"]\ntimeout = \"400ms\"\n";
    let falling: String =
        KINDS.iter().map(|kind| kind.fallback_rule() + "timeout = \"400ms\"\n").collect();
    let config = open("hangs") + timeout + &open("hangs-falls") + &falling;
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let hangs = Scripted::start(nats, "hangs.>").await;
    let _falls = Scripted::start(nats, "hangs-falls.>").await;
    let in_time = |answer: &Answer| {
        let took = answer.elapsed;
        assert!(took >= Duration::from_millis(400), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
    };
    let each = KINDS.iter().map(|kind| {
        let bridge = &bridge;
        async move {
            let (plain, falling) = tokio::join!(
                bridge.post("/hangs", kind.body(), &[]),
                bridge.post("/hangs-falls", kind.body(), &[])
            );
            kind.assert_unanswered(&plain, 504, "timeout");
            kind.assert_fallen_back(&falling, "timeout");
            in_time(&plain);
            in_time(&falling);
        }
    });
    futures_util::future::join_all(each).await;
    let voice = bridge.post("/hangs", sample("voice-request.json").bytes, &[]).await;
    assert_eq!((voice.status, voice.header("hookbus-outcome")), (504, Some("timeout")));
    in_time(&voice);
    for asked in hangs.worker.questions() {
        let left: u64 = asked.header("Hookbus-Timeout-Ms").unwrap().parse().unwrap();
        assert!(left <= 400, "{left}");
    }
}

/// Each type's own time, and everything else that a worker is told.
#[tokio::test]
async fn a_question_carries_its_context() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("told")).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "told.>").await;
    worker.says(Reply::text("?"));
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let others = [("tool-calls", 18_000), ("function-call", 18_000), ("voice-request", 18_000)];
    let kinds = KINDS.iter().map(|kind| (kind.name, kind.time));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (name, time) in kinds.chain(others) {
        let sample = sample(&format!("{name}.json"));
        let before = now();
        let headers = [("traceparent", trace), ("tracestate", "a=1")];
        let answer = bridge.post("/told", sample.bytes.clone(), &headers).await;
        let asked = worker.asked();
        assert_eq!(asked.header("Hookbus-Id"), answer.header("hookbus-id"), "{name}");
        assert_eq!(asked.header("Hookbus-Endpoint"), Some("told"));
        assert_eq!(asked.header("Hookbus-Type"), Some(name));
        assert_eq!(asked.header("Hookbus-Key"), sample.key().as_deref(), "{name}");
        assert_eq!(asked.header("traceparent"), Some(trace));
        assert_eq!(asked.header("tracestate"), Some("a=1"));
        let number = |name| asked.header(name).unwrap().parse::<u64>().unwrap();
        let left = number("Hookbus-Timeout-Ms");
        assert!(left <= time && left + 1_000 > time, "{name}: {left} of {time}");
        let deadline = number("Hookbus-Deadline");
        assert!(deadline + 5 >= before + left && deadline <= now() + time, "{name}: {deadline}");
    }
    // Without a key and a trace there is nothing to say of them.
    bridge.post("/told", json!({"message": {"type": "campaign.predial"}}).to_string(), &[]).await;
    let asked = worker.asked();
    for name in ["Hookbus-Key", "traceparent", "tracestate"] {
        assert_eq!(asked.header(name), None);
    }
}

#[tokio::test]
async fn a_rule_chooses_subject_and_time() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rules = concat!(
        "[[endpoint.question]]\ntypes = [\"assistant-*\"]\nsubject = \"ruled.front.{key}\"\ntimeout = \"2s\"\n",
        "[[endpoint.question]]\ntypes = [\"*\"]\nsubject = \"ruled.rest.{type}.{endpoint}\"\n",
        "[[endpoint.tool]]\nnames = [\"get_*\"]\nsubject = \"ruled.get.{function}.{key}\"\ntimeout = \"1s\"\nfallback = \"Later.\"\n",
    );
    let bridge = Bridge::config(&(open("ruled") + rules)).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "ruled.>").await;
    worker.says(Reply::text(r#"{"assistantId":"a","eligible":true}"#));
    let ask = async |kind: &str, key: &str| {
        let body = json!({"message": {"type": kind, "call": {"id": key}}});
        bridge.post("/ruled", body.to_string(), &[]).await;
        let asked = worker.asked();
        let left = asked.header("Hookbus-Timeout-Ms").unwrap().parse::<u64>().unwrap();
        (asked.subject, left)
    };
    let (subject, left) = ask("assistant-request", "c.1 *").await;
    assert_eq!(subject, "ruled.front.c%2E1%20%2A");
    assert!(left <= 2_000);
    let (subject, left) = ask("campaign.predial", "c").await;
    assert_eq!(subject, "ruled.rest.campaign.predial.ruled");
    assert!(left > 2_000 && left <= 18_000);

    worker.says(Reply::error("500", "no"));
    let answer =
        bridge.post("/ruled", crate::http::tool_calls(&["get_weather", "set_weather"]), &[]).await;
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["result"], "Later.");
    assert_eq!(results[1]["error"].as_str().map(str::is_empty), Some(false));
    let subjects: Vec<_> =
        worker.worker.questions().into_iter().map(|asked| asked.subject).collect();
    assert!(subjects.contains(&"ruled.get.get_weather.call-1".to_owned()), "{subjects:?}");
}
