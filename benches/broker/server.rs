//! What is measured: the bridge or the floor, each a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::certificates::Identity;
use crate::support::process::Process;
use crate::support::{Bridge, Kafka, Nats};

/// What requests must bring to be let in by the bridge.
pub(crate) const SECRET: &str = "a-secret-of-this-bench";

/// Where webhooks are posted.
pub(crate) const PATH: &str = "/vapi";

/// The topic that the Kafka case stores in.
pub(crate) const TOPIC: &str = "bench";

/// The subjects of all functions.
const TOOL: &str = "vapi.tool.>";

/// Everything is in place: authentication, limits, metrics, and both brokers whatever the case.
const CONFIG: &str = r#"
[[endpoint]]
name = "vapi"
path = "/vapi"
source = "vapi"
# The load sends the same calls again and again, and each is to be asked.
answer_window = "0s"

[[endpoint.auth]]
kind = "secret"
header = "x-vapi-secret"
secrets = ["a-secret-of-this-bench"]

[[endpoint.event]]
types = ["status-update"]
to = ["nats:vapi.events.{type}"]

[[endpoint.event]]
types = ["conversation-update"]
to = ["kafka:bench"]
"#;

/// Endpoints that differ in who is let in, beside the one of all other cases.
const ENDPOINTS: &str = r#"
[[endpoint]]
name = "open"
path = "/open"
source = "vapi"

[[endpoint.auth]]
kind = "none"

[[endpoint.event]]
types = ["status-update"]
to = ["nats:vapi.events.{type}"]

[[endpoint]]
name = "signed"
path = "/signed"
source = "vapi"

[[endpoint.auth]]
kind = "hmac"
secrets = ["a-secret-of-this-bench"]

[[endpoint.event]]
types = ["status-update"]
to = ["nats:vapi.events.{type}"]
"#;

/// A process under load.
pub(crate) enum Server {
    /// `hookbus serve`.
    Bridge(Box<Bridge>),
    /// A bare axum server.
    Floor(Helper),
}

impl Server {
    pub(crate) async fn bridge(nats: &Nats, kafka: &Kafka) -> Self {
        let setup = Bridge::config(CONFIG).nats(nats).kafka(kafka);
        Self::Bridge(Box::new(setup.start_ready().await))
    }

    /// The same with an endpoint without authentication and one with signatures.
    pub(crate) async fn bridge_with_endpoints(nats: &Nats, kafka: &Kafka) -> Self {
        let setup = Bridge::config(format!("{CONFIG}{ENDPOINTS}")).nats(nats).kafka(kafka);
        Self::Bridge(Box::new(setup.start_ready().await))
    }

    /// The same among so many endpoints.
    pub(crate) async fn bridge_with_many(nats: &Nats, kafka: &Kafka, endpoints: usize) -> Self {
        let mut config = CONFIG.to_owned();
        for number in 1..endpoints {
            config.push_str(&format!(
                "[[endpoint]]\nname = \"other-{number}\"\npath = \"/other/{number}\"\nsource = \"vapi\"\n\
                 [[endpoint.auth]]\nkind = \"secret\"\nheader = \"x-vapi-secret\"\n\
                 secrets = [\"a-secret-of-other-{number}\"]\n"
            ));
        }
        let setup = Bridge::config(config).nats(nats).kafka(kafka);
        Self::Bridge(Box::new(setup.start_ready().await))
    }

    /// The same with so many destinations for each event, three at the most.
    pub(crate) async fn bridge_with_destinations(
        nats: &Nats,
        kafka: &Kafka,
        destinations: usize,
    ) -> Self {
        let all = ["nats:vapi.events.{type}", "nats:vapi.events.copy.{type}", "kafka:bench"];
        let to = format!("to = {:?}", &all[..destinations]);
        let config = CONFIG.replacen("to = [\"nats:vapi.events.{type}\"]", &to, 1);
        let setup = Bridge::config(config).nats(nats).kafka(kafka);
        Self::Bridge(Box::new(setup.start_ready().await))
    }

    /// The same with TLS at the public listener.
    pub(crate) async fn bridge_with_tls(nats: &Nats, kafka: &Kafka, identity: &Identity) -> Self {
        let tls = identity.section("http.tls", ["cert", "key"]);
        let text = format!("[http]\nlisten = \"{{http}}\"\n{tls}{CONFIG}");
        let setup = Bridge::config(&text).nats(nats).kafka(kafka);
        Self::Bridge(Box::new(setup.start_ready().await))
    }

    pub(crate) fn floor() -> Self {
        Self::Floor(Helper::start(&["floor"]))
    }

    pub(crate) fn address(&self) -> String {
        match self {
            Self::Bridge(bridge) => bridge.address(),
            Self::Floor(helper) => helper.said.clone(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Bridge(bridge) => bridge.id(),
            Self::Floor(helper) => helper.process.id(),
        }
    }

    /// The time that it computed, its own and the kernel's for it.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.id())
    }

    /// The most it ever had in memory, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        memory(self.id(), "VmHWM:")
    }

    /// What it has in memory now, in bytes.
    pub(crate) fn resident_memory(&self) -> u64 {
        resident_memory(self.id())
    }
}

/// The time that a process computed, its own and the kernel's for it.
pub(crate) fn cpu(id: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name in parentheses may hold blanks: fields are counted from behind it.
    let fields: Vec<&str> = text.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // Linux counts in hundredths of a second wherever it talks to programs.
    Duration::from_millis(10 * ticks)
}

/// What a process has in memory, in bytes.
pub(crate) fn resident_memory(id: u32) -> u64 {
    memory(id, "VmRSS:")
}

fn memory(id: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let size = line.expect("a size").trim().trim_end_matches(" kB");
    size.parse::<u64>().unwrap() * 1_024
}

/// This program once more, in another part.
pub(crate) struct Helper {
    process: Process,
    /// The line that it says once it is ready.
    said: String,
}

impl Helper {
    /// A worker that answers every question at once.
    pub(crate) fn worker(nats: &Nats) -> Self {
        Self::worker_on(nats, TOOL)
    }

    /// The same on these subjects.
    pub(crate) fn worker_on(nats: &Nats, subjects: &str) -> Self {
        Self::start(&["worker", &nats.url(), subjects])
    }

    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command, None);
        let mut output = BufReader::new(process.child().stdout.take().expect("a pipe"));
        let mut said = String::new();
        output.read_line(&mut said).unwrap();
        assert!(!said.is_empty(), "{arguments:?} ended at once");
        Self { process, said: said.trim().to_owned() }
    }
}

/// The part of a bare server: axum as it comes, which reads the body and says 200.
pub(crate) async fn be_floor() {
    use axum::Router;
    use axum::routing::post;

    let router = Router::new().route(PATH, post(async |_: bytes::Bytes| {}));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// The part of a worker.
pub(crate) async fn be_worker(url: &str, subjects: &str) {
    use futures_util::StreamExt;

    let client = async_nats::connect(url).await.unwrap();
    let mut questions = client.queue_subscribe(subjects.to_owned(), "q".to_owned()).await.unwrap();
    client.flush().await.unwrap();
    println!("ready");
    while let Some(question) = questions.next().await {
        if let Some(reply) = question.reply {
            client.publish(reply, question.payload).await.unwrap();
        }
    }
}
