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
use tokio_util::sync::CancellationToken;
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
    let (running, ending) = (TaskTracker::new(), CancellationToken::new());
    for name in functions::NAMES {
        let mut questions = group.endpoint(name).await.map_err(|error| anyhow::anyhow!(error))?;
        let (turns, tasks, ending) =
            (Arc::new(Semaphore::new(AT_ONCE)), running.clone(), ending.clone());
        running.spawn(async move {
            loop {
                let question = tokio::select! {
                    biased;
                    question = questions.next() => question,
                    () = ending.cancelled() => break,
                };
                let Some(question) = question else { break };
                tasks.spawn(answer(name, question, turns.clone()));
            }
        });
    }
    client.flush().await?;
    println!("ready");
    stop.await;
    Ok(())
}
