//! `hookbus dev`: everything on one machine, without a configuration file.
//!
//! A real `nats-server` as a child, a bridge with one endpoint, a demo worker, and with
//! `--kafka` librdkafka's mock cluster. The bridge stops first and drains, then the
//! worker, then the server, whose data is deleted.

mod nats_server;
mod provider;
mod worker;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

use clap::Args;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use self::nats_server::NatsServer;
use self::worker::Worker;
use super::sign::{self, secret, secret_header};
use super::{CommandResult, Failure, block_on, eprint, print, providers, settle};
use crate::config::secret::Secret;
use crate::serve::{self, Signals};
use crate::settings;
use crate::telemetry;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus dev                                 then, in another terminal: hookbus send tool-calls
  hookbus dev --provider stripe               an endpoint for Stripe too; then: hookbus send --provider stripe charge.succeeded
  hookbus dev --provider stripe --secret \"$SECRET\"   webhooks must be signed, as in production
  hookbus dev --without get_weather           the demo worker leaves that function to your own
  hookbus dev --kafka                         events go to a mock Kafka cluster too
  hookbus dev --print-config > hookbus.toml   its configuration, as a start for your own

It needs nats-server 2.10 or newer: named by HOOKBUS_NATS_SERVER, in .tools/, or on PATH.";

/// What `hookbus dev` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also start a mock Kafka cluster, and store events there too
    #[arg(long)]
    kafka: bool,
    /// Also open an endpoint for this provider (`hookbus providers list`); may be repeated
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// Demand this secret of webhooks, sent or signed with as each provider does, where that can be done here [default: nobody has to authenticate]
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    secret: Option<Secret>,
    /// Leave this function to a worker of your own: the demo worker doesn't answer it; may be repeated
    #[arg(long, value_name = "FUNCTION")]
    without: Vec<String>,
    /// Address for the webhooks; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Print the configuration instead of running it
    #[arg(long)]
    print_config: bool,
}

/// Its endpoint, which is also the one that other commands mean unless they are told otherwise.
pub(super) const ENDPOINT: &str = "vapi";

/// Where the endpoint of a provider is by default.
pub(super) fn webhook_url(provider: &str) -> String {
    format!("http://127.0.0.1:8080/{provider}")
}

/// Where `/metrics` is, if that port is free.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);
/// Largest message of the NATS server: more than `http.max_body`, headers included.
const MAX_PAYLOAD: u32 = 16 << 20;
/// Stands for the secret in the configuration and in what is printed, so that nothing shows it.
const SECRET: &str = "SECRET";
/// Where events go with `--kafka`.
const TOPIC: &str = "vapi.events";
/// Any topic will do on one machine; several partitions show that a call stays in one.
const PARTITIONS: i32 = 4;

pub(super) fn run(arguments: Arguments, signals: &Signals) -> CommandResult {
    let names = arguments.providers.iter().map(|name| providers::known(name));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    // That one is there anyway.
    names.retain(|name| *name != ENDPOINT);
    names.sort_unstable();
    names.dedup();
    for function in &arguments.without {
        worker::known(function)?;
    }
    let mut endpoints =
        Endpoints { names: &names, listen: arguments.listen, secret: arguments.secret };
    if arguments.print_config {
        let kafka = arguments.kafka.then_some("127.0.0.1:9092");
        let text = settings(&endpoints, ADMIN, "nats://127.0.0.1:4222", kafka);
        return print(text.trim_end());
    }
    // What is signed may name the port: it is found out before it is listened on.
    let bound = TcpListener::bind(arguments.listen).and_then(|listener| listener.local_addr());
    endpoints.listen = bound.map_err(|error| {
        Failure::failed(format_args!("can't listen on {}: {error}", arguments.listen))
            .hint(format_args!("`{} dev --listen 127.0.0.1:0` takes a free port", program()))
    })?;
    block_on(all(&endpoints, arguments.kafka, &arguments.without, signals))?;
    Ok(ExitCode::SUCCESS)
}

/// What is listened for.
struct Endpoints<'a> {
    /// Providers beside Vapi.
    names: &'a [&'static str],
    listen: SocketAddr,
    secret: Option<Secret>,
}

impl Endpoints<'_> {
    /// The rest of an endpoint's table, and what it demands.
    fn auth(&self, provider: &str) -> String {
        let url = format!("http://{}/{provider}", reachable(self.listen));
        let header = secret_header(provider);
        match (&self.secret, header) {
            (Some(_), Some(header)) => format!(
                "\n[[endpoint.auth]]\nkind = \"secret\"\nheader = \"{header}\"\nsecrets = [\"${{{SECRET}}}\"]\n"
            ),
            (Some(secret), None) if sign::of_provider(provider, secret, &url).is_ok() => format!(
                "public_url = \"{url}\"\n\n[[endpoint.auth]]\nkind = \"signature\"\nsecrets = [\"${{{SECRET}}}\"]\n"
            ),
            _ => "\n[[endpoint.auth]]\nkind = \"none\"\n".to_owned(),
        }
    }

    /// Whether an endpoint demands the secret: nobody but the provider can sign where its key is a public one.
    fn demands(&self, provider: &str) -> bool {
        !self.auth(provider).contains("\"none\"")
    }

    /// What `hookbus send` needs to be let in.
    fn flag(&self, provider: &str) -> &'static str {
        if self.demands(provider) { " --secret \"$SECRET\"" } else { "" }
    }

    fn who(&self, provider: &str) -> &'static str {
        if self.demands(provider) { "with your secret" } else { "no authentication" }
    }
}

/// Start all parts, wait for the end, and stop them in order.
async fn all(
    endpoints: &Endpoints<'_>,
    with_kafka: bool,
    without: &[String],
    signals: &Signals,
) -> Result<(), Failure> {
    let kafka = with_kafka.then(|| mock_kafka(endpoints.names)).transpose()?;
    let brokers = kafka.as_ref().map(MockCluster::bootstrap_servers);
    let mut nats = NatsServer::start().await?;
    let worker = Worker::start(nats.url(), without)
        .await
        .map_err(|error| Failure::failed(format_args!("can't start the demo worker: {error}")))?;

    // As late as possible, so that it is still free when it is listened on.
    let admin =
        if TcpListener::bind(ADMIN).is_ok() { ADMIN } else { SocketAddr::new(ADMIN.ip(), 0) };
    let text = settings(endpoints, admin, nats.url(), brokers.as_deref());
    let secret = endpoints.secret.as_ref().map(|secret| secret.expose().to_owned());
    let variable = |name: &str| secret.clone().filter(|_| name == SECRET);
    let mut config = settle(settings::parse("hookbus dev", &text, variable))?;
    config.spool.dir = nats.folder().join("spool");
    // The console shows what workers get of a sample; nobody else sends anything here.
    config.tail.bodies = true;
    telemetry::init(&config.log, None);

    let monitor = nats.monitor().to_owned();
    let address = nats.url().to_owned();
    let bridge = serve::run(config, None, signals, |addresses| {
        eprint(welcome(endpoints, &addresses, &address, &monitor, brokers.as_deref()));
    });
    let ended = tokio::select! {
        ended = bridge => ended.map_err(Failure::from),
        failure = nats.ended() => Err(failure),
    };
    worker.stop().await;
    nats.stop().await;
    ended
}

fn mock_kafka(names: &[&str]) -> Result<MockCluster<'static, DefaultProducerContext>, Failure> {
    let failed =
        |error| Failure::failed(format_args!("can't start the mock Kafka cluster: {error}"));
    let cluster = MockCluster::new(1).map_err(failed)?;
    cluster.create_topic(TOPIC, PARTITIONS, 1).map_err(failed)?;
    for name in names {
        cluster.create_topic(&provider::topic(name), PARTITIONS, 1).map_err(failed)?;
    }
    Ok(cluster)
}

/// The configuration, as a text that people can copy.
fn settings(
    endpoints: &Endpoints<'_>,
    admin: SocketAddr,
    nats: &str,
    kafka: Option<&str>,
) -> String {
    let Endpoints { names, listen, secret } = endpoints;
    let who = if secret.is_some() {
        "for one machine"
    } else {
        "for one machine: nobody has to authenticate"
    };
    let mut text = format!(
        r#"# What `hookbus dev` runs with. It is {who}.

[http]
listen = "{listen}"

[admin]
listen = "{admin}"

# What came lately is shown by the console from the start on.
[tail]
always_recent = true

[nats]
servers = ["{nats}"]

# Events, kept for a day.
[[nats.stream]]
name = "VAPI_EVENTS"
subjects = ["vapi.events.>"]
max_age = "1d"

# Tool calls that nobody waits for: a work queue.
[[nats.stream]]
name = "VAPI_JOBS"
subjects = ["vapi.jobs.>"]
retention = "workqueue"
"#
    );
    if let Some(brokers) = kafka {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            r#"
[kafka]
brokers = ["{brokers}"]

[kafka.properties]
"message.max.bytes" = "16000000"
"#
        );
    }
    text.push_str(
        r#"
[[endpoint]]
name = "vapi"
path = "/vapi"
source = "vapi"
# Samples have the same ids each time they are sent, and a worker that was changed should be asked again.
answer_window = "0s"
"#,
    );
    text.push_str(&endpoints.auth(ENDPOINT));
    if kafka.is_some() {
        let _ = write!(
            text,
            r#"
[[endpoint.event]]
types = ["*"]
to = ["nats:vapi.events.{{type}}", "kafka:{TOPIC}"]
"#
        );
    }
    text.push_str(
        r#"
# Takes longer than this, so the caller hears the fallback.
[[endpoint.tool]]
names = ["slow_lookup"]
timeout = "3s"
fallback = "That takes longer than expected. Shall we call you back?"

# Nobody answers it in the demo, so the call goes to this number.
[[endpoint.question]]
types = ["transfer-destination-request"]
fallback = { destination = { type = "number", number = "+15555550100" } }
"#,
    );
    text.extend(
        names.iter().map(|name| provider::settings(name, &endpoints.auth(name), kafka.is_some())),
    );
    text
}

/// What runs where, and what to try.
fn welcome(
    endpoints: &Endpoints<'_>,
    addresses: &serve::Addresses,
    nats: &str,
    monitor: &str,
    kafka: Option<&str>,
) -> String {
    let (names, flag, who) = (endpoints.names, endpoints.flag(ENDPOINT), endpoints.who(ENDPOINT));
    let curl_header = match endpoints.secret {
        Some(_) => " -H \"x-vapi-secret: $SECRET\"",
        None => "",
    };
    let http = reachable(addresses.http);
    let admin = reachable(addresses.admin);
    let url = format!("http://{http}/vapi");
    let kafka_line = kafka.map_or(String::new(), |brokers| {
        format!("\n  kafka      {brokers}, topic {TOPIC} (a mock: gone at the end)")
    });
    let more = names
        .iter()
        .map(|name| format!("\n             http://{http}/{name} ({})", endpoints.who(name)));
    let more: String = more.collect();
    let mut text = format!(
        r#"
hookbus dev is ready; Ctrl-C stops all of it.

  console    http://{admin}/
  webhooks   {url} ({who}){more}
  nats       {nats}
  metrics    http://{admin}/metrics{kafka_line}

Try this in another terminal:
"#
    );
    for name in names {
        text.push_str(&provider::commands(name, &http.to_string(), nats, endpoints.flag(name)));
    }
    let to = if url == webhook_url(ENDPOINT) { String::new() } else { format!(" --to {url}") };
    for (what, comment) in [
        ("tool-calls", "a tool call, answered by the demo worker"),
        (r#"tool-calls --function get_weather --arguments '{"city": "Oslo"}'"#, "another function"),
        ("tool-calls --function book_appointment", "an answer that is JSON"),
        ("tool-calls --function slow_lookup", "too slow: after 3 s the fallback"),
        ("tool-calls --function broken_tool", "the worker fails: an error"),
        ("tool-calls--parallel3", "three at once; nobody answers one of them"),
        ("tool-calls--async", "a job: stored, and not waited for"),
        ("assistant-request", "which assistant takes the call"),
        ("transfer-destination-request", "nobody answers: the fallback"),
        ("campaign.predial", "nobody answers, no fallback: 503"),
        ("end-of-call-report", "an event: stored before the 200"),
        (
            "transcript --count 1000 --concurrency 20 --set 'message.call.id=call-{n}'",
            "a thousand events of as many calls",
        ),
        ("--list", "all samples"),
    ] {
        let to = if what == "--list" { String::new() } else { format!("{to}{flag}") };
        let _ = write!(text, "\n  # {comment}\n  {} send {what}{to}\n", program());
    }
    let _ = write!(
        text,
        r#"
  # the same without hookbus
  curl -i {url} -H 'content-type: application/json'{curl_header} -d '{CURL_BODY}'

  # the streams: how many events they hold
  curl -s '{monitor}/jsz?streams=1'

  # what the bridge counts
  curl -s http://{admin}/metrics
"#
    );
    if let Some(brokers) = kafka {
        let _ = write!(
            text,
            "\n  # the events in Kafka, if you have kcat\n  kcat -b {brokers} -t {TOPIC} -C -e -f '%k %h %S bytes\\n'\n"
        );
    }
    text
}

const CURL_BODY: &str = r#"{"message": {"type": "tool-calls", "toolCallList": [{"id": "call_1", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}]}}"#;

/// The address to connect to, for one that is listened on.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// This program the way it was started, for commands that work as printed.
fn program() -> String {
    let name = std::env::args().next().filter(|name| !name.is_empty());
    quoted(&name.unwrap_or_else(|| "hookbus".to_owned()))
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::config::Config;

    fn endpoints(names: &'static [&'static str]) -> Endpoints<'static> {
        Endpoints { names, listen: SocketAddr::from(([127, 0, 0, 1], 8080)), secret: None }
    }

    fn config(kafka: Option<&str>) -> Config {
        let endpoints = endpoints(&["stripe"]);
        toml::from_str(&settings(&endpoints, ADMIN, "nats://127.0.0.1:4222", kafka)).unwrap()
    }

    #[test]
    fn the_printed_configuration_is_one() {
        let config = config(None);
        assert!(config.kafka.is_none());
        assert_eq!(config.endpoints[0].path, "/vapi");
        assert!(config.endpoints[0].events.is_empty());
        assert_eq!(
            (&*config.endpoints[1].path, &*config.endpoints[1].source),
            ("/stripe", "stripe")
        );
        assert!(config.http.max_body.get() < MAX_PAYLOAD as usize);
    }

    #[test]
    fn with_kafka_events_go_to_both() {
        let config = config(Some("127.0.0.1:9092"));
        assert_eq!(config.kafka.unwrap().brokers, ["127.0.0.1:9092"]);
        assert_eq!(
            config.endpoints[0].events[0].to,
            ["nats:vapi.events.{type}", "kafka:vapi.events"]
        );
    }

    #[test]
    fn the_commands_name_the_address_when_it_is_another() {
        let address = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let text = |port| {
            let addresses = serve::Addresses { http: address(port), admin: ADMIN };
            let (nats, monitor) = ("nats://127.0.0.1:4222", "http://127.0.0.1:8222");
            welcome(&endpoints(&["twilio"]), &addresses, nats, monitor, None)
        };
        assert!(!text(8080).contains("--to"));
        assert!(text(8080).contains("send --provider twilio voice\n"), "{}", text(8080));
        assert!(text(8081).contains("send tool-calls --to http://127.0.0.1:8081/vapi\n"));
        assert!(text(8081).contains("twilio voice --to http://127.0.0.1:8081/twilio\n"));
    }
}
