//! hookbus beside what users would else take, each in the same run: what a request costs, and what becomes of one when
//! something is wrong. `deploy/tools/rivals.sh` gets them; their configurations are in `benches/rivals`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::bodies::SIZES;
use crate::load::{Load, Round};
use crate::server::{Helper, PATH, SECRET, Server, TOPIC, cpu, resident_memory};
use crate::support::http::Client;
use crate::support::process::Process;
use crate::support::{Kafka, Nats, eventually, ports, project, tool};
use crate::{Arguments, Case, WARM_UP, human, machine, mebibytes, median};

/// Connections of each load, and different keys.
const SIZES_OF_LOAD: (usize, usize) = (32, 8_192);

/// How long somebody waits for an answer when something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

const CASES: [Case; 3] = [Case::Jetstream, Case::Kafka, Case::Question];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Hookbus,
    MqBridge,
    Bento,
    Express,
    FastApi,
}

impl Name {
    const ALL: [Self; 5] =
        [Self::Hookbus, Self::MqBridge, Self::Bento, Self::Express, Self::FastApi];

    fn title(self) -> &'static str {
        match self {
            Self::Hookbus => "hookbus",
            Self::MqBridge => "mq-bridge-app",
            Self::Bento => "Bento",
            Self::Express => "Express",
            Self::FastApi => "FastAPI",
        }
    }

    /// How it is started, as its documentation says.
    fn command(self, file: &Path) -> Command {
        let ours = |path: &str| project().join("benches/rivals").join(path);
        let program = match self {
            Self::Hookbus => unreachable!("it is started otherwise"),
            Self::MqBridge => tool("rivals/mq-bridge/bin/mq-bridge-app"),
            Self::Bento => tool("rivals/bento"),
            Self::Express => "node".into(),
            Self::FastApi => tool("rivals/python/bin/python"),
        };
        let mut command = Command::new(program);
        match self {
            Self::Hookbus | Self::MqBridge => {
                command.arg("--config").arg(file).args(["--no-ui", "--no-metrics"])
            }
            Self::Bento => {
                command.arg("-c").arg(ours("bento.yaml"));
                command.args(["streams", "--no-api", "--prefix-stream-endpoints=false"]);
                command.arg(ours("bento"))
            }
            Self::Express => command.env("NODE_ENV", "production").arg(ours("server.mjs")),
            Self::FastApi => command.arg(ours("server.py")),
        };
        command
    }
}

/// One of them at work.
enum Running {
    Hookbus(Server),
    Other { name: Name, process: Process, address: String, _folder: tempfile::TempDir },
}

impl Running {
    async fn start(name: Name, nats: &Nats, kafka: &Kafka) -> Self {
        if name == Name::Hookbus {
            return Self::Hookbus(Server::bridge(nats, kafka).await);
        }
        let folder = tempfile::tempdir().unwrap();
        let (port, file) = (ports::free().to_string(), folder.path().join("config.yaml"));
        let config = std::fs::read_to_string(project().join("benches/rivals/mq-bridge.yaml"));
        let config = config.unwrap().replace("{http}", &port);
        let config = config.replace("{nats}", &nats.url()).replace("{kafka}", &kafka.bootstrap());
        std::fs::write(&file, config).unwrap();
        let mut command = name.command(&file);
        command
            .env("HTTP_PORT", &port)
            .env("NATS_URL", nats.url())
            .env("KAFKA_BOOTSTRAP", kafka.bootstrap())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::start(&mut command, None);
        let address = format!("127.0.0.1:{port}");
        let running = Self::Other { name, process, address, _folder: folder };
        for case in [Case::Jetstream, Case::Kafka] {
            eventually("it takes an event", PATIENCE, async || {
                let (status, _) = running.post(case, Bytes::from_static(b"{}")).await;
                (status / 100 == 2).then_some(())
            })
            .await;
        }
        running
    }

    fn name(&self) -> Name {
        match self {
            Self::Hookbus(_) => Name::Hookbus,
            Self::Other { name, .. } => *name,
        }
    }

    fn id(&self) -> u32 {
        match self {
            Self::Hookbus(server) => server.id(),
            Self::Other { process, .. } => process.id(),
        }
    }

    fn address(&self) -> String {
        match self {
            Self::Hookbus(server) => server.address(),
            Self::Other { address, .. } => address.clone(),
        }
    }

    fn path(&self, case: Case) -> &'static str {
        match (self.name(), case) {
            (Name::Hookbus, _) => PATH,
            (_, Case::Jetstream) => "/jetstream",
            (_, Case::Kafka) => "/kafka",
            (_, _) => "/question",
        }
    }

    /// One request; the status is 0 where no answer came.
    async fn post(&self, case: Case, body: Bytes) -> (u16, Duration) {
        let secret = HeaderValue::from_static(SECRET);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-vapi-secret"), secret)]);
        let client = Client::with(|builder| {
            builder.tls_certs_only([]).timeout(PATIENCE).default_headers(headers)
        });
        let url = format!("http://{}{}", self.address(), self.path(case));
        let began = Instant::now();
        let answer = client.try_post(&url, body).await;
        (answer.map_or(0, |answer| answer.status), began.elapsed())
    }

    /// Where its events go: the stream and the topic.
    fn places(&self) -> (&'static str, &'static str) {
        if self.name() == Name::Hookbus { ("BENCH", TOPIC) } else { ("rivals", "rivals") }
    }

    /// How many events its broker has ever stored.
    async fn stored(&self, case: Case, nats: &Nats, kafka: &Kafka) -> u64 {
        let (stream, topic) = self.places();
        match case {
            Case::Jetstream => {
                let mut stream = nats.jetstream().await.get_stream(stream).await.unwrap();
                stream.info().await.unwrap().state.last_sequence
            }
            Case::Kafka => {
                let consumer: BaseConsumer = kafka.settings().create().unwrap();
                let end = move || {
                    let end = |part| consumer.fetch_watermarks(topic, part, PATIENCE).unwrap().1;
                    (0..PARTITIONS).map(end).sum::<i64>() as u64
                };
                tokio::task::spawn_blocking(end).await.unwrap()
            }
            Case::Floor | Case::Question => 0,
        }
    }
}

const PARTITIONS: i32 = 6;

/// One of them in one cell of the table.
struct Cell<'a> {
    running: &'a Running,
    load: Load,
    rounds: Vec<Round>,
    /// How many requests had a 2xx, and how many events the broker got meanwhile.
    accepted: u64,
    stored: u64,
    wrong: usize,
}

/// Measures all of them, and prints two tables.
pub(crate) async fn measure(arguments: &Arguments, nats: &mut Nats, kafka: &mut Kafka) {
    nats.create_stream_with(stream::Config {
        name: "rivals".to_owned(),
        subjects: vec!["rivals.events".to_owned()],
        storage: stream::StorageType::File,
        max_bytes: 1 << 30,
        ..Default::default()
    })
    .await;
    let bounds = [("retention.bytes", "134217728"), ("segment.bytes", "67108864")];
    kafka.create_topic_with("rivals", PARTITIONS, &bounds).await;
    let workers = [Helper::worker(nats), Helper::worker_on(nats, "rivals.ask")];
    let mut all = Vec::new();
    for name in Name::ALL {
        all.push(Running::start(name, nats, kafka).await);
    }
    println!("{}\n", machine(arguments, nats, SIZES_OF_LOAD.0).await);
    println!(
        "| | body | who | CPU µs/request | requests/s | p50 ms | p99 ms | RSS MiB | wrong statuses | accepted, not stored |"
    );
    println!("|---|---:|---|---:|---:|---:|---:|---:|---:|---:|");
    for size in arguments.size.map_or(SIZES.to_vec(), |size| vec![size]) {
        for case in CASES {
            cells(arguments, &all, case, size, (nats, kafka)).await;
        }
    }
    drop(workers);
    println!("\n| | who | status | after |\n|---|---|---:|---:|");
    for running in &all {
        behaviour(running, nats, kafka).await;
    }
}

async fn cells(
    arguments: &Arguments,
    all: &[Running],
    case: Case,
    size: usize,
    (nats, kafka): (&Nats, &Kafka),
) {
    let time = Duration::from_secs_f64(arguments.seconds);
    let bodies = [case.body(size)];
    let mut cells = Vec::new();
    for running in all {
        let (address, path) = (running.address(), running.path(case));
        let load = Load::open(None, &address, path, SECRET, &bodies, SIZES_OF_LOAD).await;
        let (load, rounds) = (load.lenient(&address), Vec::new());
        let mut cell = Cell { running, load, rounds, accepted: 0, stored: 0, wrong: 0 };
        cell.round(case, WARM_UP, (nats, kafka)).await;
        cell.rounds.clear();
        cells.push(cell);
    }
    for _ in 0..arguments.rounds {
        for cell in &mut cells {
            cell.round(case, time, (nats, kafka)).await;
        }
    }
    for cell in cells {
        let missing = match case {
            Case::Question => "–".to_owned(),
            _ => (cell.accepted as i64 - cell.stored as i64).to_string(),
        };
        let of = |value: fn(&Round) -> f64| median(cell.rounds.iter().map(value));
        println!(
            "| {} | {} | {} | {:.1} | {:.0} | {:.2} | {:.2} | {:.1} | {} | {missing} |",
            case.title(),
            human(size),
            cell.running.name().title(),
            of(|round| round.cpu),
            of(|round| round.rate),
            of(|round| round.p50),
            of(|round| round.p99),
            mebibytes(resident_memory(cell.running.id())),
            cell.wrong,
        );
    }
}

impl Cell<'_> {
    async fn round(&mut self, case: Case, time: Duration, (nats, kafka): (&Nats, &Kafka)) {
        let id = self.running.id();
        let stored = self.running.stored(case, nats, kafka).await;
        let before = cpu(id);
        let seen = self.load.run(time, None).await;
        self.rounds.push(seen.round(cpu(id) - before));
        self.stored += self.running.stored(case, nats, kafka).await - stored;
        self.wrong += seen.wrong;
        self.accepted += (seen.latencies.len() - seen.wrong) as u64;
    }
}

/// What becomes of one request when something is wrong with it, or with what is behind.
async fn behaviour(running: &Running, nats: &mut Nats, kafka: &mut Kafka) {
    let who = running.name().title();
    let say = |what: &str, (status, took): (u16, Duration), stored: Option<bool>| {
        let status = if status == 0 { "no answer".to_owned() } else { status.to_string() };
        let stored = match stored {
            None => "",
            Some(true) => ", stored",
            Some(false) => ", not stored",
        };
        println!("| {what} | {who} | {status}{stored} | {:.2} s |", took.as_secs_f64());
    };
    let body = |case: Case, size: usize| Bytes::from(case.body(size).bytes);
    let events = [Case::Jetstream, Case::Kafka];
    for case in events {
        for (what, bytes) in [
            ("a body of 900 KB", body(case, 900_000)),
            ("a body of 2 MB", body(case, 2_000_000)),
            ("not JSON", Bytes::from_static(b"{\"message\":")),
        ] {
            let before = running.stored(case, nats, kafka).await;
            let answer = running.post(case, bytes).await;
            let is_stored = running.stored(case, nats, kafka).await > before;
            say(&format!("{}: {what}", case.title()), answer, Some(is_stored));
        }
    }
    let question = || body(Case::Question, 300);
    say("a question that nobody answers", running.post(Case::Question, question()).await, None);

    let before = running.stored(Case::Jetstream, nats, kafka).await;
    nats.stop_signal();
    say(
        "JetStream is frozen",
        running.post(Case::Jetstream, body(Case::Jetstream, 300)).await,
        None,
    );
    say("NATS is frozen: a question", running.post(Case::Question, question()).await, None);
    nats.cont_signal();
    nats.kill();
    say("JetStream is gone", running.post(Case::Jetstream, body(Case::Jetstream, 300)).await, None);
    say("NATS is gone: a question", running.post(Case::Question, question()).await, None);
    nats.restart().await;
    let after = came(running, Case::Jetstream, before, nats, kafka).await;
    println!("| JetStream is back | {who} | {after} of 2 events are stored | |");

    let before = running.stored(Case::Kafka, nats, kafka).await;
    kafka.stop_signal();
    say("Kafka is frozen", running.post(Case::Kafka, body(Case::Kafka, 300)).await, None);
    kafka.cont_signal();
    kafka.kill();
    say("Kafka is gone", running.post(Case::Kafka, body(Case::Kafka, 300)).await, None);
    kafka.restart().await;
    let after = came(running, Case::Kafka, before, nats, kafka).await;
    println!("| Kafka is back | {who} | {after} of 2 events are stored | |");
}

/// How many events came in the end.
async fn came(running: &Running, case: Case, before: u64, nats: &Nats, kafka: &Kafka) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let came = running.stored(case, nats, kafka).await - before;
        if came >= 2 || Instant::now() > deadline {
            return came;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
