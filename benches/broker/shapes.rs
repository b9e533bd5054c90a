//! Loads that aren't all alike: a call from its beginning to its end, one key that all events have, and what grows.

use std::time::Duration;

use crate::bodies::Body;
use crate::load::{CONNECTIONS, KEYS, Load, Round};
use crate::server::{Helper, PATH, SECRET, Server};
use crate::support::{Kafka, Nats};
use crate::{Arguments, Case, WARM_UP, human, mebibytes, median};

/// Requests a second at which growth is looked at: what is at full load in one row would be idle in another.
const RATE: f64 = 2_000.0;

async fn round(server: &Server, load: &mut Load, time: Duration, rate: Option<f64>) -> Round {
    let before = server.cpu();
    let seen = load.run(time, rate).await;
    seen.round(server.cpu() - before)
}

fn of(rounds: &[Round], value: fn(&Round) -> f64) -> f64 {
    median(rounds.iter().map(value))
}

/// Calls, each from its beginning to its end, beside the floor at the same rate.
pub(crate) async fn call(arguments: &Arguments, nats: &Nats, kafka: &Kafka) {
    let _worker = Helper::worker(nats);
    let bodies = Body::call();
    let time = Duration::from_secs_f64(arguments.seconds);
    let bytes: usize = bodies.iter().map(|body| body.bytes.len()).sum();
    let (bridge, floor) = (Server::bridge(nats, kafka).await, Server::floor());
    let mut loads = Vec::new();
    for server in [&bridge, &floor] {
        let address = server.address();
        let sizes = (CONNECTIONS, KEYS);
        let mut load = Load::open(None, &address, PATH, SECRET, &bodies, sizes).await;
        load.run(WARM_UP, None).await;
        loads.push(load);
    }
    let (mut own, mut same) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let round_of_ours = round(&bridge, &mut loads[0], time, arguments.rate).await;
        same.push(round(&floor, &mut loads[1], time, Some(round_of_ours.rate)).await);
        own.push(round_of_ours);
    }
    let count = bodies.len() as f64;
    println!("a call: {} webhooks, {bytes} bytes\n", bodies.len());
    println!("| | webhooks/s | calls/s | p50 ms | p99 ms | CPU ms/call | CPU µs/webhook |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (title, rounds) in [("hookbus", &own), ("bare axum server at that rate", &same)] {
        let (rate, cpu) = (of(rounds, |round| round.rate), of(rounds, |round| round.cpu));
        println!(
            "| {title} | {rate:.0} | {:.1} | {:.2} | {:.2} | {:.2} | {cpu:.1} |",
            rate / count,
            of(rounds, |round| round.p50),
            of(rounds, |round| round.p99),
            cpu * count / 1e3,
        );
    }
    println!("\nPeak: {:.1} MiB RSS.", mebibytes(bridge.peak_memory()));
}

/// One key that all events have.
pub(crate) async fn hot_key(arguments: &Arguments, nats: &Nats, kafka: &Kafka) {
    let time = Duration::from_secs_f64(arguments.seconds);
    println!("| one key | body | events/s | p50 ms | p99 ms | CPU µs/event |");
    println!("|---|---:|---:|---:|---:|---:|");
    for case in [Case::Jetstream, Case::Kafka] {
        let size = arguments.size.unwrap_or(300);
        let server = Server::bridge(nats, kafka).await;
        let body = case.body(size);
        let mut load = Load::connect(&server.address(), PATH, SECRET, &body, 1).await;
        load.run(WARM_UP, None).await;
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            rounds.push(round(&server, &mut load, time, arguments.rate).await);
        }
        println!(
            "| {} | {} | {:.0} | {:.2} | {:.2} | {:.1} |",
            case.title(),
            human(size),
            of(&rounds, |round| round.rate),
            of(&rounds, |round| round.p50),
            of(&rounds, |round| round.p99),
            of(&rounds, |round| round.cpu),
        );
    }
}

/// What a webhook costs the more there is of something, at the same rate.
pub(crate) async fn growth(arguments: &Arguments, nats: &Nats, kafka: &Kafka) {
    println!("{RATE:.0} events of 300 B a second to JetStream\n");
    println!("| of what | how many | CPU µs/event | p50 ms | p99 ms | RSS MiB |");
    println!("|---|---:|---:|---:|---:|---:|");
    for connections in [1, 32, 1_000, 10_000] {
        let server = Server::bridge(nats, kafka).await;
        let keys = connections.max(KEYS).next_multiple_of(connections);
        row("connections", connections, &server, (connections, keys), arguments).await;
    }
    for keys in [1, 1_024, 1_048_576] {
        let server = Server::bridge(nats, kafka).await;
        row("keys", keys, &server, (CONNECTIONS, keys), arguments).await;
    }
    for endpoints in [1, 20, 200] {
        let server = Server::bridge_with_many(nats, kafka, endpoints).await;
        row("endpoints", endpoints, &server, (CONNECTIONS, KEYS), arguments).await;
    }
    for destinations in [1, 2, 3] {
        let server = Server::bridge_with_destinations(nats, kafka, destinations).await;
        row("destinations", destinations, &server, (CONNECTIONS, KEYS), arguments).await;
    }
}

async fn row(
    what: &str,
    count: usize,
    server: &Server,
    sizes: (usize, usize),
    arguments: &Arguments,
) {
    let time = Duration::from_secs_f64(arguments.seconds);
    let bodies = [Body::event("status-update", 300)];
    let mut load = Load::open(None, &server.address(), PATH, SECRET, &bodies, sizes).await;
    // Each connection is used before anything is measured.
    load.run(WARM_UP, Some(RATE.max(sizes.0 as f64 * 0.6))).await;
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        rounds.push(round(server, &mut load, time, Some(RATE)).await);
    }
    println!(
        "| {what} | {count} | {:.1} | {:.2} | {:.2} | {:.1} |",
        of(&rounds, |round| round.cpu),
        of(&rounds, |round| round.p50),
        of(&rounds, |round| round.p99),
        mebibytes(server.resident_memory()),
    );
}
