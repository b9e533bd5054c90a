//! Questions of providers that are described: what workers get, and what their senders do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::sdk::Sdk;
use super::{ED25519, Request, endpoint, sample};
use crate::support::http::Answer;
use crate::support::{Bridge, Nats, Question, Reply, Worker};

const SECRET: &str = "4f1c7d0e8a414b5e9d610c2f6f3f1a77";

const RULES: &str = "[[endpoint.question]]\ntypes = [\"*\"]\nsubject = \"{endpoint}.ask\"\n";

/// Asks a sample, signed now.
async fn ask(bridge: &Bridge, name: &str, provider: &str, kind: &str) -> Answer {
    let request = Request::of(name, sample(provider, kind));
    let request = match provider {
        "discord" => request.signed_by_key(SystemTime::now()),
        _ => request.signed(provider, SECRET, SystemTime::now()),
    };
    request.send(bridge).await
}

/// A worker of an endpoint that says what it was told last.
struct Told {
    worker: Worker,
    reply: Arc<Mutex<Reply>>,
}

impl Told {
    async fn start(nats: &Nats, name: &str) -> Self {
        let reply = Arc::new(Mutex::new(Reply::none()));
        let said = reply.clone();
        let worker =
            Worker::start(nats, &format!("{name}.ask"), move |_| said.lock().clone()).await;
        Self { worker, reply }
    }

    fn say(&self, reply: Reply) {
        *self.reply.lock() = reply;
    }

    /// What it was asked last.
    fn last(&self) -> Question {
        self.worker.questions().pop().expect("a question")
    }
}

fn of(answer: &Answer) -> (u16, &str, &str) {
    (answer.status, answer.header("content-type").unwrap_or_default(), answer.text())
}

#[tokio::test]
async fn a_command_of_slack_gets_json_text_or_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let text = endpoint("slack", "slack", SECRET) + RULES;
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let kind = "command./deploy";
    let answer = ask(&bridge, "slack", "slack", kind).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (503, Some("no-responders")));
    let worker = Told::start(&nats, "slack").await;
    let replies = [
        (Reply::text(r#"{"text":"done"}"#), (200, "application/json", r#"{"text":"done"}"#)),
        (Reply::text("done"), (200, "text/plain", "done")),
        (
            Reply::text("\"quoted\"").header("Hookbus-Content-Type", "text/plain"),
            (200, "text/plain", "\"quoted\""),
        ),
        (Reply::text(""), (200, "", "")),
    ];
    for (reply, expected) in replies {
        worker.say(reply);
        let answer = ask(&bridge, "slack", "slack", kind).await;
        assert_eq!(of(&answer), expected);
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
        let question = worker.last();
        let fields = question.json();
        assert_eq!(fields["command"], "/deploy");
        assert_eq!(fields["text"], "shop staging");
        assert_eq!(question.header("Hookbus-Type"), Some(kind));
        let left: u64 = question.header("Hookbus-Timeout-Ms").unwrap().parse().unwrap();
        assert!(left <= 2_500, "{left}");
    }
    // Not one of those that Slack reads, and statuses that it doesn't know.
    for reply in [
        Reply::text("<b>x</b>").header("Hookbus-Content-Type", "text/html"),
        Reply::text("x").header("Hookbus-Status", "500"),
        Reply::text("x").header("Hookbus-Status", "fine"),
    ] {
        worker.say(reply);
        let answer = ask(&bridge, "slack", "slack", kind).await;
        assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("bad-reply")));
    }
    // Slack gives up after three seconds.
    worker.say(Reply::none());
    let answer = ask(&bridge, "slack", "slack", kind).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (504, Some("timeout")));
    assert!(answer.elapsed < Duration::from_secs(3), "{:?}", answer.elapsed);
}

#[tokio::test]
async fn a_call_of_twilio_gets_twiml() {
    const TWIML: &str = "<Response><Say>Hello</Say><Hangup/></Response>";
    const LATER: &str = "<Response><Say>Please call again later.</Say></Response>";
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("AUDIT", &["twilio.audit.>"]).await;
    let text = endpoint("twilio", "twilio", SECRET)
        + RULES
        + &format!(
            "fallback = {LATER:?}\ntimeout = \"1s\"\n[endpoint.audit]\nto = [\"nats:twilio.audit.{{type}}\"]\n"
        );
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let nobody = ask(&bridge, "twilio", "twilio", "voice").await;
    assert_eq!(of(&nobody), (200, "text/xml", LATER));
    assert_eq!(nobody.header("hookbus-outcome"), Some("no-responders"));
    let worker = Told::start(&nats, "twilio").await;
    worker.say(Reply::text(TWIML));
    let answered = ask(&bridge, "twilio", "twilio", "voice").await;
    assert_eq!(of(&answered), (200, "text/xml", TWIML));
    let question = worker.last();
    assert_eq!(question.json()["From"], "+15555550142");
    assert_eq!(question.header("Hookbus-Key"), question.json()["CallSid"].as_str());
    worker.say(Reply::none());
    let late = ask(&bridge, "twilio", "twilio", "voice").await;
    assert_eq!(of(&late), (200, "text/xml", LATER));
    assert_eq!(late.header("hookbus-outcome"), Some("timeout"));

    let records = nats.messages("AUDIT", 3).await;
    let record = |at: usize| -> Value { serde_json::from_slice(&records[at].payload).unwrap() };
    let outcomes: Vec<_> = (0..3).map(|at| record(at)["outcome"].clone()).collect();
    assert_eq!(outcomes, ["no-responders", "answered", "timeout"]);
    assert_eq!(record(0)["fallback"], LATER);
    assert_eq!(record(1)["reply"], TWIML);
    assert_eq!(records[0].subject, "twilio.audit.voice");

    // Twilio's own package knows these verbs.
    let Some(mut sdk) = Sdk::python() else { return };
    let verbs = |verbs: &[(&str, Option<&str>)]| -> Vec<(String, Option<String>)> {
        verbs.iter().map(|(verb, text)| ((*verb).to_owned(), text.map(str::to_owned))).collect()
    };
    let said = sdk.twiml(answered.text()).await;
    assert_eq!(said, verbs(&[("Say", Some("Hello")), ("Hangup", None)]));
    let said = sdk.twiml(late.text()).await;
    assert_eq!(said, verbs(&[("Say", Some("Please call again later."))]));
}

/// Posts this to an endpoint that needs no proof.
async fn post(bridge: &Bridge, name: &str, body: &Value) -> Answer {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let (method, path) = (http::Method::POST, format!("/{name}"));
    Request { method, path, headers, body: body.to_string() }.send(bridge).await
}

#[tokio::test]
async fn each_element_of_a_list_is_a_question() {
    let Some(nats) = Nats::start().await else { return };
    let described = |name: &str, each: &str, rest: &str| {
        format!(
            "[provider.{name}]\nevent_prefix = \"com.example\"\ntype = \"{{/type}}\"\nid = \"{{/id}}\"\n\
             key = \"{{/key}}\"\n[[provider.{name}.question]]\ntypes = [\"ask\"]\ntimeout = \"1s\"\n\
             each = {each}\n[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"{name}\"\n\
             auth = [{{ kind = \"none\" }}]\n{RULES}{rest}"
        )
    };
    let text = described("array", "{ of = \"{/calls}\" }", "")
        + &described(
            "object",
            "{ of = \"{/calls}\", by = \"{/name}\", inside = \"results\" }",
            "fallback = { none = true }\n",
        );
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    // A worker that squares, says that it can't, or says nothing.
    let squares = |question: &Question| match question.json()["number"].as_i64() {
        Some(0) => Reply::error("500", "not that one"),
        Some(-1) => Reply::none(),
        number => Reply::json(&json!({ "square": number.map(|number| number * number) })),
    };
    let array = Worker::start(&nats, "array.ask", squares).await;
    let object = Worker::start(&nats, "object.ask", squares).await;
    let call = |name: &str, number: i64| json!({ "name": name, "number": number });
    let asks =
        |id: &str, calls: &[Value]| json!({ "type": "ask", "id": id, "key": "k", "calls": calls });

    let body = asks("1", &[call("a", 2), call("b", 3), call("a", 2)]);
    for _ in 0..2 {
        let answer = post(&bridge, "array", &body).await;
        let reply = r#"[{"square":4},{"square":9},{"square":4}]"#;
        assert_eq!(of(&answer), (200, "application/json", reply));
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
    }
    // What comes again has its answers; two elements that are the same are two.
    let asked = array.questions();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|question| question.header("Hookbus-Id") == Some("1")));
    let mut numbers: Vec<_> = asked.iter().map(|it| it.json()["number"].as_i64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(2), Some(2), Some(3)]);
    let empty = post(&bridge, "array", &asks("2", &[])).await;
    assert_eq!(of(&empty), (200, "application/json", "[]"));
    // One that isn't answered leaves the sender without an answer, where there is no fallback.
    let answer = post(&bridge, "array", &asks("3", &[call("a", 2), call("b", 0)])).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("worker-error")));

    let body = asks("1", &[call("a \"b\"", 2), call("c", 0), call("d", -1)]);
    let answer = post(&bridge, "object", &body).await;
    let reply = r#"{"results":{"a \"b\"":{"square":4},"c":{"none":true},"d":{"none":true}}}"#;
    assert_eq!(of(&answer), (200, "application/json", reply));
    assert_eq!(answer.header("hookbus-outcome"), Some("worker-error"));
    assert!(
        answer.elapsed < Duration::from_secs(2),
        "all are asked together: {:?}",
        answer.elapsed
    );
    assert_eq!(object.questions().len(), 3);
    for calls in [
        json!("a"),
        json!([call("a", 1), call("a", 2)]),
        json!([{ "number": 1 }]),
        Value::from(vec![call("a", 1); 65]),
    ] {
        let body = json!({ "type": "ask", "id": "4", "key": "k", "calls": calls });
        assert_eq!(post(&bridge, "object", &body).await.status, 400, "{calls}");
    }
    assert_eq!(object.questions().len(), 3);
}

#[tokio::test]
async fn a_command_of_discord_is_asked_once() {
    let Some(nats) = Nats::start().await else { return };
    let text = endpoint("discord", "discord", ED25519) + RULES;
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let reply = json!({"type": 4, "data": {"content": "12 degrees"}});
    let told = Told::start(&nats, "discord").await;
    told.say(Reply::json(&reply));
    let worker = &told.worker;
    for _ in 0..3 {
        let answer = ask(&bridge, "discord", "discord", "command.weather").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), reply);
        assert_eq!(answer.header("hookbus-id"), Some("1230000000000000001"));
    }
    // The interaction is the same each time, and so is its id: the answer is kept for it.
    let [question] = &worker.questions()[..] else { panic!("{:?}", worker.questions()) };
    assert_eq!(question.json()["data"]["options"][0]["value"], "Oslo");
    let body = &*sample("discord", "command.weather").body;
    assert_eq!(question.payload, body.as_bytes());
    let mut request = Request::of("discord", sample("discord", "command.weather"));
    request.body = body.replace("1230000000000000001", "1230000000000000099");
    let answer = request.signed_by_key(SystemTime::now()).send(&bridge).await;
    assert_eq!(answer.status, 200);
    assert_eq!(worker.questions().len(), 2, "another interaction");
    // What its own key didn't sign is refused: Discord tries that out.
    request = Request::of("discord", sample("discord", "command.weather"));
    request = request.signed_by_key(SystemTime::now());
    request.body.push(' ');
    assert_eq!(request.send(&bridge).await.status, 401);
}

#[tokio::test]
async fn a_worker_sets_what_stripe_reads_and_nothing_else() {
    let Some(nats) = Nats::start().await else { return };
    let text = endpoint("stripe", "stripe", SECRET) + RULES;
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let reply = Reply::text(r#"{"approved":true}"#)
        .header("Hookbus-Header-Stripe-Version", "2026-10-28.endive")
        .header("Hookbus-Header-Set-Cookie", "a=b")
        .header("Hookbus-Header-Content-Length", "1")
        .header("Hookbus-Header-Hookbus-Id", "forged");
    let worker = Told::start(&nats, "stripe").await;
    worker.say(reply);
    let answer = ask(&bridge, "stripe", "stripe", "issuing_authorization.request").await;
    assert_eq!(of(&answer), (200, "application/json", r#"{"approved":true}"#));
    assert_eq!(answer.header("stripe-version"), Some("2026-10-28.endive"));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("hookbus-id"), Some("evt_1QbZ3nAcme03"));
}

#[tokio::test]
async fn a_function_of_retell_is_asked_by_its_name() {
    let Some(nats) = Nats::start().await else { return };
    let text = endpoint("retell", "retell", SECRET)
        + "[[endpoint.question]]\ntypes = [\"function.*\"]\nsubject = \"retell.ask\"\ntimeout = \"5s\"\n";
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let worker = Told::start(&nats, "retell").await;
    for (reply, expected) in [
        (Reply::text("12 degrees"), (200, "text/plain", "12 degrees")),
        (Reply::json(&json!({"celsius": 12})), (200, "application/json", r#"{"celsius":12}"#)),
    ] {
        worker.say(reply);
        let answer = ask(&bridge, "retell", "retell", "function.get_weather").await;
        assert_eq!(of(&answer), expected);
        let question = worker.last();
        assert_eq!(question.json()["args"], json!({"city": "Oslo"}));
        assert_eq!(question.header("Hookbus-Type"), Some("function.get_weather"));
        assert_eq!(question.header("Hookbus-Key"), Some("call_20c4e1"));
    }
    worker.say(Reply::error("500", "no such city"));
    let answer = ask(&bridge, "retell", "retell", "function.get_weather").await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("worker-error")));
}
