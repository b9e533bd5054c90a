//! A worker for hookbus: a NATS micro service that answers tool calls with the functions of `functions.rs`.

mod functions;

use anyhow::Result;
use async_nats::HeaderMap;
use async_nats::service::{Request, ServiceExt, error};
use functions::Refused;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::env::var;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Calls of one function; more of them wait their turn, and a slow function holds up no other.
const AT_ONCE: usize = 16;

/// For a call without a deadline, such as one made by hand.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stop);

    let url = var("NATS_URL").unwrap_or("nats://127.0.0.1:4222".to_owned());
    let endpoint = var("HOOKBUS_ENDPOINT").unwrap_or("vapi".to_owned());
    // It connects in the background, for ever, also when the server comes after this worker.
    let options = async_nats::ConnectOptions::new()
        .retry_on_initial_connect()
        .ping_interval(Duration::from_secs(20))
        .event_callback(async |event| eprintln!("{}", json!({"nats": event.to_string()})));
    let client = options.connect(url).await?;
    tokio::select! {
        reached = client.flush() => reached?,
        () = &mut stop => return Ok(()),
    }

    let service = client.service_builder().start("rust-worker", "1.0.0").await;
    let service = service.map_err(|error| anyhow::anyhow!(error))?;
    let group = service.group(format!("{endpoint}.tool"));
    let running = TaskTracker::new();
    for name in functions::NAMES {
        let endpoint = group.endpoint_builder().name(name).add(name);
        let mut questions = endpoint.await.map_err(|error| anyhow::anyhow!(error))?;
        let (turns, tasks) = (Arc::new(Semaphore::new(AT_ONCE)), running.clone());
        running.spawn(async move {
            while let Some(question) = questions.next().await {
                tasks.spawn(answer(name, question, turns.clone()));
            }
        });
    }
    client.flush().await?;
    println!("ready");

    stop.await;
    // No new questions: the streams end after those that have arrived.
    service.stop().await.map_err(|error| anyhow::anyhow!(error))?;
    running.close();
    running.wait().await;
    client.flush().await?;
    Ok(())
}

async fn answer(name: &'static str, question: Request, turns: Arc<Semaphore>) {
    let began = Instant::now();
    let headers = question.message.headers.as_ref();
    let deadline = began + time_left(headers);
    let work = async {
        let _turn = turns.acquire().await;
        reply(name, &question).await
    };
    // Whoever is late says nothing: nobody listens any more.
    let outcome = if deadline <= began {
        "expired".to_owned()
    } else {
        let late = |_| "given up at the deadline".to_owned();
        tokio::time::timeout_at(deadline, work).await.unwrap_or_else(late)
    };
    let (trace, span) = traced(headers);
    let line = json!({
        "function": name, "id": header(headers, "Hookbus-Id"), "outcome": outcome,
        "milliseconds": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "trace": trace, "span": span,
    });
    eprintln!("{line}");
}

/// Answers, and says what became of it.
async fn reply(name: &str, question: &Request) -> String {
    let answer = match serde_json::from_slice::<Value>(&question.message.payload) {
        Ok(call) if call["arguments"].is_object() => {
            functions::answer(name, &call["arguments"]).await
        }
        _ => Err(Refused(400, "the arguments must be an object").into()),
    };
    let (outcome, response) = match answer {
        Ok(Value::String(text)) => ("answered".to_owned(), Ok(text.into())),
        Ok(other) => ("answered".to_owned(), Ok(other.to_string().into())),
        Err(reason) => {
            let (said, refused) = match reason.downcast::<Refused>() {
                Ok(refused) => (format!("refused: {refused}"), refused),
                Err(failed) => (format!("failed: {failed:#}"), Refused(500, "the function failed")),
            };
            (said, Err(error::Error { status: refused.1.to_owned(), code: refused.0 }))
        }
    };
    match question.respond(response).await {
        Ok(()) => outcome,
        Err(error) => format!("not sent: {error}"),
    }
}

/// Until the caller gives up: by the clock, or by the span that is given along where that is shorter.
fn time_left(headers: Option<&HeaderMap>) -> Duration {
    let number = |name| header(headers, name).and_then(|value| value.parse().ok());
    let span = number("Hookbus-Timeout-Ms").map_or(PATIENCE, Duration::from_millis);
    let deadline = number("Hookbus-Deadline").map(|at| UNIX_EPOCH + Duration::from_millis(at));
    let by_clock = deadline.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    by_clock.map_or(span, |left| left.min(span))
}

/// Our own span in the caller's trace. With OpenTelemetry, hand the headers to its propagator instead.
fn traced(headers: Option<&HeaderMap>) -> (String, String) {
    let parent = header(headers, "traceparent").unwrap_or_default();
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let trace = match parent.split('-').collect::<Vec<_>>()[..] {
        ["00", trace, parent, _] if trace.len() == 32 && parent.len() == 16 && is_hex(trace) => {
            trace.to_owned()
        }
        _ => format!("{:032x}", rand::random::<u128>()),
    };
    (trace, format!("{:016x}", rand::random::<u64>()))
}

fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    Some(headers?.get(name)?.as_str())
}
