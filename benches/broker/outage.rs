//! What it costs to keep events on disk while a broker is away, and to publish them when it is back.

use std::time::{Duration, Instant};

use crate::WARM_UP;
use crate::bodies::Body;
use crate::load::{Load, Seen};
use crate::server::{PATH, SECRET, Server};
use crate::support::{Bridge, Kafka, Nats};

/// Bytes of an event.
const SIZE: usize = 1_000;
/// Different keys: as many calls at the same time.
const KEYS: usize = 1_024;
/// How long the broker is away, and how long the measurement without an outage takes.
const AWAY: Duration = Duration::from_secs(8);
const DIRECT: Duration = Duration::from_secs(5);
/// Live events a second while the backlog is published.
const LIVE: f64 = 500.0;

/// The broker that goes away.
pub(crate) enum Broker<'a> {
    Nats(&'a mut Nats),
    Kafka(&'a mut Kafka),
}

impl Broker<'_> {
    fn title(&self) -> &'static str {
        match self {
            Self::Nats(_) => "JetStream",
            Self::Kafka(_) => "Kafka",
        }
    }

    fn body(&self) -> Body {
        match self {
            Self::Nats(_) => Body::event("status-update", SIZE),
            Self::Kafka(_) => Body::event("conversation-update", SIZE),
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Nats(nats) => nats.kill(),
            Self::Kafka(kafka) => kafka.kill(),
        }
    }

    async fn restart(&mut self) {
        match self {
            Self::Nats(nats) => nats.restart().await,
            Self::Kafka(kafka) => kafka.restart().await,
        }
    }
}

/// Measures one broker's outage, and prints its rows.
pub(crate) async fn measure(server: &Server, bridge: &Bridge, mut broker: Broker<'_>) {
    let title = broker.title();
    let mut load = Load::connect(&server.address(), PATH, SECRET, &broker.body(), KEYS).await;
    load.run(WARM_UP, None).await;
    let (seen, cpu) = timed(server, load.run(DIRECT, None)).await;
    row(title, "direct", &seen, cpu);

    broker.kill();
    let first = load.once().await;
    let (seen, cpu) = timed(server, load.run(AWAY, None)).await;
    row(title, "spooling", &seen, cpu);
    println!("| {title} | the first one after its end | | | {:.0} | |", milliseconds(first));

    broker.restart().await;
    let before = begun(bridge).await;
    let (start, cpu) = (Instant::now(), server.cpu());
    drained(bridge).await;
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / before;
    let rate = before / start.elapsed().as_secs_f64();
    println!("| {title} | draining | {rate:.0} | | | {cpu:.1} |");

    // Once more, with others that come meanwhile.
    broker.kill();
    load.once().await;
    load.run(AWAY, None).await;
    broker.restart().await;
    let before = begun(bridge).await;
    let start = Instant::now();
    let mut latencies = Vec::new();
    while backlog(bridge).await > 0.0 {
        latencies.extend(load.run(Duration::from_millis(500), Some(LIVE)).await.latencies);
    }
    let took = start.elapsed();
    latencies.sort_unstable();
    let seen = Seen { elapsed: took, latencies, wrong: 0 };
    let what = format!("live, while {:.0} a second drain", before / took.as_secs_f64());
    println!("| {title} | {what} | {:.0} | {} | |", rate_of(&seen), quantiles(&seen));
}

async fn timed(server: &Server, running: impl Future<Output = Seen>) -> (Seen, Duration) {
    let cpu = server.cpu();
    let seen = running.await;
    let cpu = server.cpu() - cpu;
    (seen, cpu)
}

fn row(title: &str, what: &str, seen: &Seen, cpu: Duration) {
    let cpu = cpu.as_secs_f64() * 1e6 / seen.latencies.len() as f64;
    println!("| {title} | {what} | {:.0} | {} | {cpu:.1} |", rate_of(seen), quantiles(seen));
}

fn rate_of(seen: &Seen) -> f64 {
    seen.latencies.len() as f64 / seen.elapsed.as_secs_f64()
}

fn quantiles(seen: &Seen) -> String {
    let count = seen.latencies.len();
    let at =
        |part: f64| milliseconds(seen.latencies[((count as f64 * part) as usize).min(count - 1)]);
    format!("{:.2} | {:.2}", at(0.5), at(0.99))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn backlog(bridge: &Bridge) -> f64 {
    bridge.metric("hookbus_spool_records").await
}

/// Waits until the first queued events are published; how many are left then.
async fn begun(bridge: &Bridge) -> f64 {
    let all = backlog(bridge).await;
    loop {
        let left = backlog(bridge).await;
        if left < all {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn drained(bridge: &Bridge) {
    while backlog(bridge).await > 0.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
