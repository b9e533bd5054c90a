//! The compose file: what it mounts is there, and loads in the real programs, which then work together.

use super::{at, list, read, text, yaml};
use crate::docs::commands::exists;
use crate::support::bridge::program;
use crate::support::kafka::libraries;
use crate::support::process::{Process, output};
use crate::support::{Bridge, eventually, missing, ports, project, tool};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const START: Duration = Duration::from_secs(60);
const SECRET: &str = "of-this-test";

/// What follows a word that begins a line of the Dockerfile, the last time.
fn instruction(name: &str) -> String {
    let file = read("deploy/Dockerfile");
    let mut lines = file.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.next_back().unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// The words of an instruction in its JSON form.
fn words(instruction: &str) -> Vec<String> {
    serde_json::from_str(&instruction[instruction.find('[').unwrap()..]).unwrap()
}

#[tokio::test]
async fn the_image_runs_commands_that_exist() {
    let mut known = BTreeMap::new();
    let binary = "/usr/bin/hookbus";
    assert_eq!(words(&instruction("ENTRYPOINT")), [binary]);
    let health = words(&instruction("HEALTHCHECK"));
    assert_eq!(health[0], binary);
    for command in [&words(&instruction("CMD"))[..], &health[1..]] {
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        exists("deploy/Dockerfile", &command, &mut known).await;
    }
    for path in read(".dockerignore").lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(project().join(path).exists(), "{path}");
    }
}

#[tokio::test]
async fn what_it_mounts_and_names_is_there() {
    let Some(compose) = yaml(&read("deploy/compose.yaml")).await else { return };
    let services = at(&compose[0], "/services").as_object().unwrap();
    let volumes = at(&compose[0], "/volumes").as_object().unwrap();
    for (name, service) in services {
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let source = mount.as_str().unwrap().split(':').next().unwrap();
            let exists = match source.strip_prefix("./") {
                Some(path) => project().join("deploy").join(path).exists(),
                None => volumes.contains_key(source),
            };
            assert!(exists, "{name}: {mount}");
        }
        match service.get("build") {
            Some(build) => {
                let context = project().join("deploy").join(text(build, "/context"));
                assert!(context.is_dir(), "{name}: {build}");
                if let Some(file) = build.get("dockerfile") {
                    assert!(context.join(file.as_str().unwrap()).exists(), "{name}: {build}");
                }
            }
            None => {
                let (_, tag) = text(service, "/image").split_once(':').expect("a version");
                assert!(tag.contains(|char: char| char.is_ascii_digit()), "{name}: {tag}");
            }
        }
        for other in service["depends_on"].as_array().into_iter().flatten() {
            assert!(services.contains_key(other.as_str().unwrap()), "{name}: {other}");
        }
    }
    let worker = text(&compose[0], "/services/worker/build/dockerfile_inline");
    let copied = worker.lines().filter_map(|line| line.strip_prefix("COPY "));
    for file in copied.flat_map(|line| line.split(' ')).filter(|file| *file != "./") {
        assert!(project().join("examples/workers/python").join(file).exists(), "{file}");
    }
    // The ports of the configuration are those that are published and scraped.
    let config: toml::Table = toml::from_str(&read("deploy/compose/hookbus.toml")).unwrap();
    let port = |table: &str| config[table]["listen"].as_str().unwrap().rsplit(':').next().unwrap();
    let published = text(&compose[0], "/services/hookbus/ports/0");
    assert!(published.ends_with(&format!(":{}", port("http"))), "{published}");
    let scraped = format!("\"hookbus:{}\"", port("admin"));
    assert!(read("deploy/prometheus/prometheus.yml").contains(&scraped), "{scraped}");
    let limits = ["shutdown_delay", "drain"].map(|key| {
        config["http"].get(key).map_or(if key == "drain" { 20 } else { 0 }, |value| {
            humantime::parse_duration(value.as_str().unwrap()).unwrap().as_secs()
        })
    });
    let grace = humantime::parse_duration(text(&compose[0], "/services/hookbus/stop_grace_period"));
    assert!(grace.unwrap().as_secs() > limits[0] + limits[1]);
}

/// nats-server with its configuration, at another port and with another store.
fn nats(folder: &Path) -> Option<(Process, String)> {
    let program = tool("nats-server");
    if !program.exists() {
        missing("nats-server (run: make tools)");
        return None;
    }
    let port = ports::free();
    let config = read("deploy/compose/nats.conf")
        .replace("port: 4222", &format!("listen: 127.0.0.1:{port}"))
        .replace("http_port: 8222", &format!("http: 127.0.0.1:{}", ports::free()))
        .replace("store_dir: /data", &format!("store_dir: {:?}", folder.join("nats")));
    assert_eq!(config.matches("127.0.0.1").count(), 2, "{config}");
    let file = folder.join("nats.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(file).stdin(Stdio::null()).stderr(Stdio::null());
    Some((Process::start(&mut command, None), format!("nats://127.0.0.1:{port}")))
}

fn java(folder: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-Xmx512m").arg("-cp").arg(libraries().join("*")).current_dir(folder);
    command
}

/// Kafka with its environment, made into a configuration by the program that the image uses for it, at other ports.
async fn kafka(folder: &Path) -> Option<(Process, String)> {
    if !libraries().exists() || Command::new("java").arg("-version").output().is_err() {
        missing("Kafka and Java (run: make tools)");
        return None;
    }
    let [port, controller] = [ports::free(), ports::free()];
    let file = read("deploy/compose/kafka.env");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let mut environment: BTreeMap<_, _> = lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in [
        (
            "KAFKA_LISTENERS",
            format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
        ),
        ("KAFKA_ADVERTISED_LISTENERS", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", format!("1@127.0.0.1:{controller}")),
        ("KAFKA_LOG_DIRS", folder.join("kafka").display().to_string()),
    ] {
        environment.insert(name.to_owned(), value).expect("a name of the file");
    }
    for name in ["default", "mounted", "final"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    for name in ["server.properties", "log4j2.yaml", "tools-log4j2.yaml"] {
        std::fs::write(folder.join("default").join(name), "").unwrap();
    }
    let mut setup = java(folder);
    setup.args(["kafka.docker.KafkaDockerWrapper", "setup", "--default-configs-dir", "default"]);
    setup.args(["--mounted-configs-dir", "mounted", "--final-configs-dir", "final"]);
    setup.envs(&environment).env("CLUSTER_ID", "5L6g3nShT-eMCtK--X86sw");
    let made = output(setup.into(), b"").await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    // It names every key that it knows, and says nothing of those that it doesn't.
    let properties = std::fs::read_to_string(folder.join("final/server.properties")).unwrap();
    for line in properties.lines().filter(|line| !line.is_empty()) {
        let key = line.split('=').next().unwrap();
        assert!(made.stderr.contains(&format!("\t{key} = ")), "Kafka knows no {key}");
    }
    let mut broker = java(folder);
    broker.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg("kafka.Kafka");
    broker.arg("final/server.properties").stdin(Stdio::null());
    broker.stdout(Stdio::null()).stderr(Stdio::null());
    Some((Process::start(&mut broker, None), format!("127.0.0.1:{port}")))
}

#[tokio::test]
async fn its_configurations_work_together() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_nats, nats)) = nats(folder.path()) else { return };
    let Some((_kafka, kafka)) = kafka(folder.path()).await else { return };
    let spool = folder.path().join("spool");
    let mut config = read("deploy/compose/hookbus.toml");
    for (from, to) in [
        ("0.0.0.0:8080", "{http}"),
        ("0.0.0.0:9180", "{admin}"),
        ("nats://nats:4222", "{nats}"),
        ("kafka:9092", "{kafka}"),
        ("/var/lib/hookbus/spool", spool.to_str().unwrap()),
    ] {
        assert!(config.contains(from), "{from}");
        config = config.replace(from, to);
    }
    let setup = Bridge::config(config).nats_at(&nats).kafka_at(&kafka);
    let bridge = setup.environment("VAPI_SECRET", SECRET).start().await;
    eventually("both brokers", START, async || {
        let up = bridge.metric("hookbus_broker_connected").await;
        (up > 1.5).then_some(())
    })
    .await;
    let report = json!({ "message": { "type": "end-of-call-report", "call": { "id": "call-7" } } });
    eventually("an event that both brokers have", START, async || {
        let stored = bridge.post("/vapi", report.to_string(), &[("x-vapi-secret", SECRET)]).await;
        assert!([200, 202].contains(&stored.status), "{stored:?}");
        (stored.status == 200).then_some(())
    })
    .await;

    let mut check: tokio::process::Command = program().into();
    check.args(["check", "--connect", "--config"]).arg(bridge.folder().join("hookbus.toml"));
    check.env("VAPI_SECRET", SECRET);
    let checked = output(check, b"").await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for warning in checked.stderr.lines().filter(|line| line.contains("warning:")) {
        // It is one machine.
        let alone = ["a single copy", "one copy", "no worker"];
        assert!(alone.iter().any(|known| warning.contains(known)), "{checked:?}");
    }
}

#[tokio::test]
async fn its_environment_reaches_the_configuration() {
    let Some(compose) = yaml(&read("deploy/compose.yaml")).await else { return };
    let environment = at(&compose[0], "/services/hookbus/environment").as_object().unwrap();
    let mut check: tokio::process::Command = program().into();
    check.args(["check", "--config", "deploy/compose/hookbus.toml"]).current_dir(project());
    check.env_clear();
    for (name, value) in environment {
        let default = value.as_str().and_then(|value| value.split_once(":-")).expect("a default").1;
        check.env(name, default.trim_end_matches('}'));
    }
    let checked = output(check, b"").await;
    assert_eq!((checked.code, &*checked.stderr), (Some(0), ""), "{checked:?}");
    let config: Value = serde_json::to_value(
        toml::from_str::<toml::Table>(&read("deploy/compose/hookbus.toml")).unwrap(),
    )
    .unwrap();
    let mounts = list(&compose[0], "/services/hookbus/volumes");
    let spool = mounts.iter().find_map(|mount| mount.as_str()?.strip_prefix("spool:")).unwrap();
    assert!(text(&config, "/spool/dir").starts_with(&format!("{spool}/")));
    assert_eq!(instruction("VOLUME"), spool);
}
