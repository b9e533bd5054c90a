//! The demo worker: a NATS micro service that answers a few functions.
//!
//! It shows each way that a question can end: an answer in words, one in JSON, one that
//! comes too late, one that is an error. It also says which webhooks came to the streams.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::service::error::Error as ServiceError;
use async_nats::service::{Request, Service, ServiceExt as _};
use async_nats::{Client, ConnectOptions, jetstream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Failure, eprint};
use crate::nats::backoff::Backoff;

/// The queue group of NATS micro: of several workers, one gets a question.
const GROUP: &str = "q";
/// What it answers: a name, and the subject that it is asked on.
const ANSWERED: &[(&str, &str)] = &[
    ("get_weather", "vapi.tool.get_weather"),
    ("lookup_appointment", "vapi.tool.lookup_appointment"),
    ("book_appointment", "vapi.tool.book_appointment"),
    ("slow_lookup", "vapi.tool.slow_lookup"),
    ("broken_tool", "vapi.tool.broken_tool"),
    ("assistant-request", "vapi.ask.assistant-request"),
];
/// Longer than the limit of that function in the configuration.
const SLOW_TIME: Duration = Duration::from_secs(6);

/// Time for which arrivals in the streams are summed up in one line.
const SUMMARY_INTERVAL: Duration = Duration::from_millis(250);

const STOP_TIME: Duration = Duration::from_secs(1);

/// Whether the worker answers a function that is to be left out.
pub(super) fn known(function: &str) -> Result<(), Failure> {
    if ANSWERED.iter().any(|(name, _)| *name == function) {
        return Ok(());
    }
    let names: Vec<_> = ANSWERED.iter().map(|(name, _)| *name).collect();
    Err(Failure::wrong(format_args!("the demo worker has no function `{function}` to leave out"))
        .hint(format_args!("it answers {}; any other one is yours already", names.join(", "))))
}

/// The running worker.
#[derive(Debug)]
pub(super) struct Worker {
    client: Client,
    service: Service,
    tasks: JoinSet<()>,
}

impl Worker {
    /// Connect and start to answer.
    pub(super) async fn start(url: &str, without: &[String]) -> Result<Self, async_nats::Error> {
        let client = ConnectOptions::new()
            .name("hookbus demo worker")
            // Its own begins without any pause after each connection, however short that was.
            .reconnect_delay_callback(Backoff::of)
            .connect(url)
            .await?;
        let builder =
            client.service_builder().description("answers a few functions, to try hookbus");
        let service = builder.queue_group(GROUP).start("demo", env!("CARGO_PKG_VERSION")).await?;
        let mut tasks = JoinSet::new();
        let is_left = |name: &str| without.iter().any(|left| left == name);
        for &(name, subject) in ANSWERED.iter().filter(|(name, _)| !is_left(name)) {
            let mut requests = service.endpoint_builder().name(name).add(subject).await?;
            tasks.spawn(async move {
                while let Some(request) = requests.next().await {
                    // Each on its own, so that a slow one delays no other.
                    tokio::spawn(respond(name, request));
                }
            });
        }
        tasks.spawn(follow(client.clone()));
        // The server knows of all subscriptions before the first question comes.
        client.flush().await?;
        Ok(Self { client, service, tasks })
    }

    /// Stop answering.
    pub(super) async fn stop(mut self) {
        // Nothing to do where these fail. A flush without a server would wait for the next one.
        let _ = self.service.stop().await;
        let _ = timeout(STOP_TIME, self.client.flush()).await;
        self.tasks.shutdown().await;
    }
}

/// Answer one question, unless its deadline has passed.
async fn respond(name: &'static str, request: Request) {
    if is_past(&request) {
        eprint(format_args!("demo worker: {name}: dropped, it is past its deadline"));
        return;
    }
    let question = serde_json::from_slice(&request.message.payload).unwrap_or(Value::Null);
    let answer = answer(name, &question["arguments"]).await;
    let how = match &answer {
        Ok(_) => "answered",
        Err(_) => "failed",
    };
    match request.respond(answer).await {
        Ok(()) => eprint(format_args!("demo worker: {name}: {how}")),
        Err(error) => eprint(format_args!("demo worker: {name}: can't reply: {error}")),
    }
}

/// Whether the deadline that came with a question is over.
fn is_past(request: &Request) -> bool {
    let headers = request.message.headers.as_ref();
    let deadline = headers.and_then(|headers| headers.get("Hookbus-Deadline"));
    let deadline: Option<u128> = deadline.and_then(|value| value.as_str().parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    deadline.is_some_and(|deadline| deadline < now.as_millis())
}

/// What the demo knows about the world.
async fn answer(name: &str, arguments: &Value) -> Result<Bytes, ServiceError> {
    let text = |key: &str, otherwise: &'static str| match arguments[key].as_str() {
        Some(value) if !value.is_empty() => value.to_owned(),
        _ => otherwise.to_owned(),
    };
    let reply = match name {
        "get_weather" => {
            let city = text("city", "the demo city");
            let degrees = 10 + city.len() % 15;
            format!("It is {degrees} degrees and sunny in {city}.")
        }
        "lookup_appointment" => "The next appointment is on Tuesday at 10:30.".to_owned(),
        "book_appointment" => json!({
            "confirmed": true,
            "date": text("date", "tomorrow"),
            "time": text("time", "10:30"),
            "reference": "DEMO-1",
        })
        .to_string(),
        "slow_lookup" => {
            sleep(SLOW_TIME).await;
            "This comes too late.".to_owned()
        }
        "assistant-request" => json!({
            "assistant": {
                "firstMessage": "Hello from the hookbus demo. How can I help?",
                "model": {
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "messages": [{ "role": "system", "content": "Be friendly and brief." }],
                },
            },
        })
        .to_string(),
        _ => {
            return Err(ServiceError {
                status: "this function is broken on purpose".to_owned(),
                code: 500,
            });
        }
    };
    Ok(reply.into())
}

/// Say what comes to the streams: a line for each subject and moment, so that a thousand events don't push everything
/// else out of the terminal.
async fn follow(client: Client) {
    let context = jetstream::new(client.clone());
    // A subscription before there is a stream would take away the sender's "no responders".
    for stream in ["VAPI_EVENTS", "VAPI_JOBS"] {
        while context.get_stream(stream).await.is_err() {
            sleep(Duration::from_millis(200)).await;
        }
    }
    let (Ok(events), Ok(jobs)) =
        (client.subscribe("vapi.events.>").await, client.subscribe("vapi.jobs.>").await)
    else {
        return;
    };
    let mut messages = futures_util::stream::select(events, jobs);
    while let Some(first) = messages.next().await {
        let end = Instant::now() + SUMMARY_INTERVAL;
        let mut counts = Counts::default();
        counts.add(&first.subject, first.payload.len());
        while let Ok(Some(message)) = timeout_at(end, messages.next()).await {
            counts.add(&message.subject, message.payload.len());
        }
        for line in counts.lines() {
            eprint(format_args!("to the stream: {line}"));
        }
    }
}

/// How many messages and bytes came on each subject.
#[derive(Debug, Default)]
struct Counts(BTreeMap<String, (usize, usize)>);

impl Counts {
    fn add(&mut self, subject: &str, bytes: usize) {
        let (messages, sum) = self.0.entry(subject.to_owned()).or_default();
        *messages += 1;
        *sum += bytes;
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(subject, (messages, bytes))| {
            let subject = subject.escape_debug();
            match messages {
                1 => format!("{subject} ({bytes} bytes)"),
                many => format!("{subject}, {many} messages ({bytes} bytes)"),
            }
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    async fn printed(name: &str, arguments: Value) -> String {
        let reply = answer(name, &arguments).await.unwrap();
        String::from_utf8(reply.to_vec()).unwrap()
    }

    #[test]
    fn what_came_is_summed_up_by_subject() {
        let mut counts = Counts::default();
        for (subject, bytes) in [("a.b", 3), ("a.c", 5), ("a.b", 4)] {
            counts.add(subject, bytes);
        }
        let lines: Vec<_> = counts.lines().collect();
        assert_eq!(lines, ["a.b, 2 messages (7 bytes)", "a.c (5 bytes)"]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_function_has_its_outcome() {
        assert_eq!(
            printed("get_weather", json!({ "city": "Oslo" })).await,
            "It is 14 degrees and sunny in Oslo."
        );
        assert!(printed("get_weather", json!("no object")).await.contains("the demo city"));
        let booked: Value = serde_json::from_str(
            &printed("book_appointment", json!({ "date": "2026-09-01" })).await,
        )
        .unwrap();
        assert_eq!(booked["date"], "2026-09-01");
        assert!(answer("broken_tool", &Value::Null).await.is_err());
        let asked = tokio::time::Instant::now();
        printed("slow_lookup", Value::Null).await;
        assert_eq!(asked.elapsed(), SLOW_TIME);
    }
}
