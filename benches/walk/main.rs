//! What the steps of a webhook cost without a broker: `cargo bench --bench walk [NAME]`, in nanoseconds.
//!
//! The last four are whole walks, from the head of a request to its reply: of an event to a sink that stores at once,
//! and of a tool call where nobody answers; then the same with spans, up to where they wait to be sent. With
//! `--once NAME SIZE` a step runs ten thousand times and nothing is measured, as a target for
//! `valgrind --tool=callgrind`. `--polls` shows something else: how long bodies that were made to cost much hold up a
//! thread, at most, from the head of the request to the last byte of the reply.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that meets an error should fail"
)]

#[path = "../broker/bodies.rs"]
#[expect(dead_code, reason = "one call is enough here")]
mod bodies;
mod parts;
mod stopwatch;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::request::Parts;
use http_body_util::Full;

use self::bodies::{Body, SIZES};
use self::parts::parts;
use self::stopwatch::time;
use hookbus::bridge::{Bridge, Endpoint};
use hookbus::config::Context;
use hookbus::message::{Answer, Client, Content, Outcome, Reply};
use hookbus::source::{Classified, Meaning, Request, Source, vapi::Vapi};
use hookbus::template::{Template, Vars};

/// The largest recorded webhook is of this size.
const LARGEST: usize = 508_000;

const CONFIG: &str = r#"
[nats]

[[endpoint]]
name = "vapi"
path = "/vapi"
source = "vapi"

[[endpoint.auth]]
kind = "secret"
header = "x-vapi-secret"
secrets = ["a-secret-of-this-bench"]

[[endpoint.tool]]
names = ["all"]
context = "all"
"#;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if arguments == ["--polls"] {
        return polls(&runtime);
    }
    if let [once, name, size] = &arguments[..]
        && once == "--once"
    {
        let size = size.parse().expect("a size in bytes");
        let mut steps = steps(&runtime, size);
        let step = steps.iter_mut().find(|(step, _)| step == name);
        let (_, run) = step.expect("the name of a step");
        (0..10_000).for_each(|_| run());
        return;
    }
    let wanted = arguments.first().map_or("", String::as_str);
    let sizes = [&SIZES[..], &[LARGEST]].concat();
    print!("{:18}", "ns");
    for size in &sizes {
        print!(" {size:>9} B");
    }
    println!();
    let mut all: Vec<_> = sizes.iter().map(|size| steps(&runtime, *size).into_iter()).collect();
    while let Some(row) = all.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
        let name = row[0].0;
        if !name.contains(wanted) {
            continue;
        }
        print!("{name:18}");
        for (_, mut run) in row {
            print!(" {:11.0}", time(&mut run));
        }
        println!();
    }
}

type Step<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// All steps, ready to be run with bodies of this size.
fn steps(runtime: &tokio::runtime::Runtime, size: usize) -> Vec<Step<'_>> {
    let head = head(size);
    let event = Bytes::from(Body::event("status-update", size).bytes);
    let question = Bytes::from(Body::question(size).bytes);
    let metadata = classify(&head, &event).metadata;
    let subject = Template::subject("{endpoint}.events.{type}.{key}").unwrap();
    let (bridge, endpoint) = runtime.block_on(async { parts(CONFIG, false) });
    let traced = runtime.block_on(async { parts(CONFIG, true) });

    let mut steps: Vec<Step<'_>> = Vec::new();
    let stored = walk(runtime, (bridge.clone(), endpoint.clone()), event.clone(), "stored");
    let asked = walk(runtime, (bridge, endpoint), question.clone(), "no-responders");
    let traced_event = walk(runtime, traced.clone(), event.clone(), "stored");
    let traced_question = walk(runtime, traced, question.clone(), "no-responders");
    let heads = head.clone();
    steps.push((
        "classify event",
        Box::new(move || {
            black_box(classify(&heads, black_box(&event)));
        }),
    ));
    steps.push((
        "calls to reply",
        Box::new(move || {
            black_box(reply(classify(&head, black_box(&question))));
        }),
    ));
    steps.push((
        "subject",
        Box::new(move || {
            black_box(subject.render_subject(&Vars {
                endpoint: "vapi",
                kind: black_box(&metadata.kind),
                key: metadata.key.as_deref(),
                function: None,
            }));
        }),
    ));
    steps.push(("walk: stored", stored));
    steps.push(("walk: unanswered", asked));
    steps.push(("traced: stored", traced_event));
    steps.push(("traced: unanswered", traced_question));
    steps
}

fn classify(head: &Parts, body: &Bytes) -> Classified {
    Vapi.classify(Request::new(head, body)).unwrap()
}

/// From a call to what its worker gets, and from the answer to the reply.
fn reply(classified: Classified) -> Reply {
    let Meaning::Questions(mut questions) = classified.meaning else {
        panic!("tool calls are questions")
    };
    let context = Context::default();
    black_box(questions.dialogue.payloads(&|_| &context, &mut |_| true));
    let answer = Answer {
        outcome: Outcome::Answered,
        content: Content::Reply(
            Bytes::from_static(br#"{"temperature": -3.5, "sky": "clear"}"#).into(),
        ),
    };
    let nobody = |_: &str, _| Answer { outcome: Outcome::Overloaded, content: Content::Nothing };
    questions.dialogue.reply(vec![answer], Arc::new(nobody)).unwrap()
}

/// A whole walk, which must end with this outcome.
fn walk<'a>(
    runtime: &'a tokio::runtime::Runtime,
    (bridge, endpoint): (Arc<Bridge>, Arc<Endpoint>),
    body: Bytes,
    outcome: &'static str,
) -> Box<dyn FnMut() + 'a> {
    let head = head(body.len());
    Box::new(move || {
        let mut body = Full::new(black_box(body.clone()));
        let done = runtime.block_on(bridge.walk(
            &endpoint,
            &head,
            &Client::new(Ipv4Addr::LOCALHOST),
            &mut body,
        ));
        assert!(done.reply.is_ok(), "{outcome}");
        let found = done.outcome.map_or("stored", Outcome::as_str);
        assert_eq!(found, outcome);
    })
}

/// The longest poll of walks that hostile bodies take, beside that of an event of the same size.
fn polls(runtime: &tokio::runtime::Runtime) {
    const MOST: usize = 8 << 20;
    let fill = |begin: &str, part: &str, end: &str| {
        let count = (MOST - begin.len() - end.len()) / part.len();
        [begin, &part.repeat(count), end].concat()
    };
    let calls = |name: &str| {
        let calls = (0..64).map(|id| format!(r#"{{"id":{id},"name":"{name}"}}"#));
        format!(r#""type":"tool-calls","toolCallList":[{}]"#, calls.collect::<Vec<_>>().join(","))
    };
    let key = fill(r#"{"message":{"call":{"id":""#, "k", &format!(r#""}},{}}}}}"#, calls("f")));
    let large =
        fill(r#"{"message":{"call":{"id":"c","x":""#, "x", &format!(r#""}},{}}}}}"#, calls("f")));
    let (bridge, endpoint) = runtime.block_on(async { parts(CONFIG, false) });
    println!("{:32} {:>10} {:>10} {:>12}", "", "reply, KB", "ms", "longest, ms");
    for (name, body) in [
        ("an event of a million members", fill(r#"{"message":{"type":"hang""#, r#","":0"#, "}}")),
        ("64 calls, a million members", fill(r#"{"message":{"#, r#""":0,"#, &(calls("f") + "}}"))),
        ("the same, all handed on", fill(r#"{"message":{"#, r#""":0,"#, &(calls("all") + "}}"))),
        ("64 calls, a large context", large),
        ("64 calls, a long key", key),
        (
            "millions of empty calls",
            fill(r#"{"message":{"type":"tool-calls","toolCallList":[{}"#, ",{}", "]}}"),
        ),
    ] {
        let bytes = Bytes::from(body);
        let head = head(bytes.len());
        let mut longest = Duration::ZERO;
        let _context = runtime.enter();
        let began = Instant::now();
        let mut body = Full::new(bytes);
        let done = drive(
            bridge.walk(&endpoint, &head, &Client::new(Ipv4Addr::LOCALHOST), &mut body),
            &mut longest,
        );
        let mut size = 0;
        match done.reply.expect("a reply").body {
            hookbus::message::Body::Whole(bytes) => size += bytes.len(),
            hookbus::message::Body::Stream(mut parts) => {
                while let Some(part) = drive(parts.next(), &mut longest) {
                    size += part.expect("a part").len();
                }
            }
        }
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let (took, longest) = (milliseconds(began.elapsed()), milliseconds(longest));
        println!("{name:32} {:10} {took:10.1} {longest:12.1}", size / 1_000);
    }
}

/// Polls a future to its end, and notes how long the longest poll took.
fn drive<F: Future>(future: F, longest: &mut Duration) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        let began = Instant::now();
        let polled = future.as_mut().poll(&mut context);
        *longest = began.elapsed().max(*longest);
        if let std::task::Poll::Ready(output) = polled {
            return output;
        }
    }
}

fn head(length: usize) -> Parts {
    let request = http::Request::post("/vapi")
        .header("host", "127.0.0.1:8080")
        .header("content-type", "application/json")
        .header("x-vapi-secret", "a-secret-of-this-bench")
        .header("content-length", length)
        .body(());
    request.unwrap().into_parts().0
}
