//! What the bridge costs, beside a bare HTTP server that reads the body and says 200.
//!
//! `cargo bench --bench broker` measures every case and prints the table of the README. One case for a while, such as
//! for a profiler:
//!
//! ```text
//! cargo bench --bench broker -- --case jetstream --size 80000 --seconds 60
//! ```
//!
//! The processor time is that of the measured process alone, as the kernel counts it; clients, brokers and workers share
//! the machine with it, so requests per second and latencies say what that machine does as a whole. A server under
//! full load spends less on each request, because it finds many at each look; so each round of a case is followed by
//! a round of the floor at the same rate, and the medians of all rounds count: what disturbs the machine for a while
//! disturbs both.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that meets an error should fail"
)]

mod auth;
mod bodies;
mod load;
mod outage;
mod rivals;
mod server;
mod shapes;
#[allow(dead_code, unused_imports, reason = "no crate of tests and benches uses all of it")]
#[path = "../../tests/support/mod.rs"]
mod support;
mod tls;

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use self::bodies::{Body, SIZES};
use self::load::{CONNECTIONS, KEYS, Load, Round};
use self::outage::Broker;
use self::server::{Helper, PATH, SECRET, Server, TOPIC};
use self::support::{Kafka, Nats};

/// Time under load before anything is measured: caches, connections, the broker's compiler.
const WARM_UP: Duration = Duration::from_secs(2);

#[derive(Parser)]
struct Arguments {
    /// Only this case; its process stays the same, and its id is printed.
    #[arg(long)]
    case: Option<Case>,
    /// Only the outages: what is kept on disk while a broker is away, and published when it is back.
    #[arg(long)]
    outage: bool,
    /// Only what TLS costs: handshakes, and requests beside those without it.
    #[arg(long)]
    tls: bool,
    /// Only what authentication costs, and what refusals cost.
    #[arg(long)]
    auth: bool,
    /// Only calls, from their beginnings to their ends.
    #[arg(long)]
    call: bool,
    /// Only what users would else take, and hookbus beside it.
    #[arg(long)]
    rivals: bool,
    /// Only events of one key.
    #[arg(long)]
    hot_key: bool,
    /// Only how the cost grows with connections, keys, endpoints and destinations.
    #[arg(long)]
    growth: bool,
    /// Only bodies of so many bytes.
    #[arg(long)]
    size: Option<usize>,
    /// Only so many requests a second.
    #[arg(long)]
    rate: Option<f64>,
    /// Length of a round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds of each case.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program is when it starts itself.
#[derive(Subcommand)]
#[command(hide = true)]
enum Part {
    Floor,
    Worker { url: String, subjects: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// A bare axum server.
    Floor,
    /// Events to a JetStream stream on disk.
    Jetstream,
    /// Events to a Kafka topic of six partitions.
    Kafka,
    /// Tool calls to one worker, over NATS and back.
    Question,
}

impl Case {
    const ALL: [Self; 4] = [Self::Floor, Self::Jetstream, Self::Kafka, Self::Question];

    fn body(self, size: usize) -> Body {
        match self {
            Self::Floor | Self::Jetstream => Body::event("status-update", size),
            Self::Kafka => Body::event("conversation-update", size),
            Self::Question => Body::question(size),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Floor => "bare axum server",
            Self::Jetstream => "event to JetStream",
            Self::Kafka => "event to Kafka",
            Self::Question => "question and answer",
        }
    }
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    match &arguments.part {
        Some(Part::Floor) => server::be_floor().await,
        Some(Part::Worker { url, subjects }) => server::be_worker(url, subjects).await,
        None => measure(&arguments).await,
    }
}

async fn measure(arguments: &Arguments) {
    let mut nats = Nats::start().await.expect("a nats-server");
    let mut kafka = Kafka::start().await.expect("a Kafka");
    prepare(&nats, &kafka).await;
    if arguments.outage {
        return outages(&mut nats, &mut kafka).await;
    }
    if arguments.tls {
        return tls::measure(arguments, &nats, &kafka).await;
    }
    if arguments.auth {
        return auth::measure(arguments, &nats, &kafka).await;
    }
    if arguments.rivals {
        return rivals::measure(arguments, &mut nats, &mut kafka).await;
    }
    if arguments.call {
        return shapes::call(arguments, &nats, &kafka).await;
    }
    if arguments.hot_key {
        return shapes::hot_key(arguments, &nats, &kafka).await;
    }
    if arguments.growth {
        return shapes::growth(arguments, &nats, &kafka).await;
    }
    let _worker = Helper::worker(&nats);
    let round = Duration::from_secs_f64(arguments.seconds);
    let sizes: Vec<usize> = arguments.size.map_or(SIZES.to_vec(), |size| vec![size]);

    let bridge = Server::bridge(&nats, &kafka).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = bridge.resident_memory();
    drop(bridge);

    if arguments.case.is_none() {
        println!("{}\n", machine(arguments, &nats, CONNECTIONS).await);
        println!(
            "| body | case | requests/s | p50 ms | p99 ms | CPU µs/request | floor at that rate | × floor | peak RSS MiB |"
        );
        println!("|---:|---|---:|---:|---:|---:|---:|---:|---:|");
    }
    for size in sizes {
        let mut targets = Vec::new();
        for case in Case::ALL {
            if arguments.case.is_none_or(|only| only == case) {
                targets.push(Target::start(case, size, &nats, &kafka).await);
            }
        }
        if let (Some(_), [target]) = (arguments.case, &mut targets[..]) {
            println!("process {}: {:?}, {size} bytes", target.server.id(), target.case);
            let Round { rate, cpu, .. } = target.round(round, arguments.rate).await;
            println!("{rate:.0} requests/s, {cpu:.1} µs of CPU each");
            continue;
        }
        let mut targets = targets.into_iter();
        let mut floor = targets.next().expect("the floor is the first case");
        let mut others: Vec<_> = targets.collect();
        for _ in 0..arguments.rounds {
            let free = floor.round(round, arguments.rate).await;
            floor.rounds.push((free, free.cpu));
            for target in &mut others {
                let own = target.round(round, arguments.rate).await;
                let same = floor.round(round, Some(own.rate)).await;
                target.rounds.push((own, same.cpu));
            }
        }
        for target in std::iter::once(&floor).chain(&others) {
            println!("{}", target.row(size));
        }
    }
    println!("\nIdle, connected to both brokers: {:.1} MiB RSS.\n", mebibytes(idle));
    if arguments.case.is_none() {
        outages(&mut nats, &mut kafka).await;
    }
}

/// One bridge, and first the one broker, then the other goes away and comes back.
async fn outages(nats: &mut Nats, kafka: &mut Kafka) {
    let server = Server::bridge(nats, kafka).await;
    let Server::Bridge(bridge) = &server else { unreachable!("it was made as one") };
    println!("| broker | 1 KB events | a second | p50 ms | p99 ms | CPU µs/event |");
    println!("|---|---|---:|---:|---:|---:|");
    outage::measure(&server, bridge, Broker::Nats(nats)).await;
    outage::measure(&server, bridge, Broker::Kafka(kafka)).await;
    println!("\nPeak: {:.1} MiB RSS.", mebibytes(server.peak_memory()));
}

/// The stream and the topic. Both keep a bounded amount, as far as their broker looks in time.
async fn prepare(nats: &Nats, kafka: &Kafka) {
    use async_nats::jetstream::stream;

    nats.create_stream_with(stream::Config {
        name: "BENCH".to_owned(),
        subjects: vec!["vapi.events.>".to_owned()],
        storage: stream::StorageType::File,
        max_bytes: 1 << 30,
        ..Default::default()
    })
    .await;
    kafka
        .create_topic_with(
            TOPIC,
            6,
            &[("retention.bytes", "134217728"), ("segment.bytes", "67108864")],
        )
        .await;
}

/// One case under load, in a process of its own.
struct Target {
    case: Case,
    server: Server,
    load: Load,
    /// Each with the floor's CPU time at the same rate.
    rounds: Vec<(Round, f64)>,
}

impl Target {
    async fn start(case: Case, size: usize, nats: &Nats, kafka: &Kafka) -> Self {
        let server = match case {
            Case::Floor => Server::floor(),
            _ => Server::bridge(nats, kafka).await,
        };
        let mut load = Load::connect(&server.address(), PATH, SECRET, &case.body(size), KEYS).await;
        load.run(WARM_UP, None).await;
        Self { case, server, load, rounds: Vec::new() }
    }

    async fn round(&mut self, time: Duration, rate: Option<f64>) -> Round {
        let before = self.server.cpu();
        let seen = self.load.run(time, rate).await;
        seen.round(self.server.cpu() - before)
    }

    fn row(&self, size: usize) -> String {
        let of = |value: fn(&(Round, f64)) -> f64| median(self.rounds.iter().map(value));
        format!(
            "| {} | {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {:.1} |",
            human(size),
            self.case.title(),
            of(|(round, _)| round.rate),
            of(|(round, _)| round.p50),
            of(|(round, _)| round.p99),
            of(|(round, _)| round.cpu),
            of(|(_, floor)| *floor),
            of(|(round, floor)| round.cpu / floor),
            mebibytes(self.server.peak_memory()),
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn human(size: usize) -> String {
    if size >= 1_000 && size.is_multiple_of(1_000) {
        format!("{} KB", size / 1_000)
    } else {
        format!("{size} B")
    }
}

/// What the numbers were taken with.
async fn machine(arguments: &Arguments, nats: &Nats, connections: usize) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let today = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    format!(
        "{model}, {cores} cores, {}; hookbus {}, nats-server {}, Kafka {}; {connections} connections, {KEYS} keys, \
         medians of {} rounds of {} s",
        &today[..10],
        env!("CARGO_PKG_VERSION"),
        nats.client().await.server_info().version,
        kafka_version(),
        arguments.rounds,
        arguments.seconds,
    )
}

/// As its jar is named.
fn kafka_version() -> String {
    let jars = std::fs::read_dir(support::tool("kafka/libs")).unwrap();
    let names = jars.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let version =
        |name: String| Some(name.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?.to_owned());
    names.filter_map(version).next().unwrap_or_default()
}
