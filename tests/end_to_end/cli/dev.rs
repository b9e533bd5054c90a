//! `dev`: everything comes up, every command that it prints works as printed, and all of it ends.

use crate::support::bridge::{program, run};
use crate::support::process::{Output, Program, output};
use crate::support::{missing, tool};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Dev {
    program: Program,
    /// What it said when it was ready.
    welcome: Vec<String>,
    folder: tempfile::TempDir,
}

impl Dev {
    /// On free ports, in a folder of its own.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Dev> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program();
        command.args(["dev", "--listen", "127.0.0.1:0"]).args(arguments).current_dir(folder.path());
        if std::env::var_os("HOOKBUS_NATS_SERVER").is_none() {
            let server = tool("nats-server");
            if !server.exists() {
                missing("nats-server (run: make tools)");
                return None;
            }
            command.env("HOOKBUS_NATS_SERVER", server);
        }
        let mut program = Program::start(&mut command);
        // The last command that it prints asks for the metrics; with Kafka there is one more.
        let last = if arguments.contains(&"--kafka") { "  kcat " } else { "  curl -s http://" };
        program.said(last).await;
        let log = program.log();
        let end = log.find(last).map_or(0, |at| at + log[at..].find('\n').unwrap_or_default());
        let welcome = log[..end].lines().map(str::to_owned).collect();
        Some(Dev { program, welcome, folder })
    }

    /// The commands that it wants to be tried.
    pub(crate) fn commands(&self) -> Vec<String> {
        let lines = self.welcome.iter().skip_while(|line| !line.starts_with("Try this"));
        let lines = lines.skip(1).map(|line| line.trim_start());
        let commands = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        commands.map(str::to_owned).collect()
    }

    /// What stands behind a word of the welcome, up to the next blank.
    pub(crate) fn address(&self, word: &str) -> String {
        let line = self.welcome.iter().find_map(|line| line.trim_start().strip_prefix(word));
        let line = line.unwrap_or_else(|| panic!("no {word} in {:#?}", self.welcome));
        line.split_whitespace().next().unwrap().trim_end_matches(',').to_owned()
    }

    /// Ctrl-C.
    pub(crate) async fn end(mut self) {
        let nats = self.address("nats");
        self.program.process.signal("INT");
        let said = self.program.end(0).await;
        // On one machine nobody expects copies.
        assert!(!said.contains("single copy"), "{said}");
        let nats = nats.strip_prefix("nats://").unwrap();
        assert!(std::net::TcpStream::connect(nats).is_err(), "nats-server lives on");
        let left: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

pub(crate) async fn shell(command: &str) -> Output {
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]);
    output(shell, b"").await
}

#[tokio::test]
async fn every_command_that_dev_prints_works_as_printed() {
    let Some(dev) = Dev::start(&[]).await else {
        return;
    };
    let commands = dev.commands();
    assert!(commands.len() >= 10, "{commands:#?}");
    // A part of each command, and of what it must show.
    let expected = [
        ("send tool-calls --to", 0, "toolCallId"),
        ("get_weather --arguments", 0, "Oslo"),
        ("book_appointment", 0, "result"),
        ("slow_lookup", 0, "That takes longer than expected."),
        ("broken_tool", 0, r#""error":"#),
        ("tool-calls--parallel3", 0, r#""error":"#),
        ("tool-calls--async", 0, "accepted"),
        ("assistant-request", 0, "assistant"),
        ("transfer-destination-request", 0, "+15555550100"),
        ("campaign.predial", 1, r#""status":503"#),
        ("end-of-call-report", 0, "{}"),
        ("--count 1000", 0, "1000"),
        ("--list", 0, "tool-calls"),
        ("curl -i", 0, "200 OK"),
        ("/jsz?streams=1", 0, "VAPI_EVENTS"),
        ("/metrics", 0, "hookbus_webhooks_total"),
    ];
    let outcomes = expected.map(|(part, code, shown)| {
        let found = commands.iter().filter(|command| command.contains(part));
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{part} in {commands:#?}");
        (found[0], code, shown)
    });
    assert_eq!(outcomes.len(), commands.len(), "{commands:#?}");
    if shell("curl --version").await.code != Some(0) {
        missing("curl");
        return;
    }
    for (command, code, shown) in outcomes {
        let output = shell(command).await;
        assert_eq!(output.code, Some(code), "{command}: {}", output.stderr);
        assert!(output.stdout.contains(shown), "{command}: {}", output.stdout);
    }
    dev.end().await;
}

/// With a secret all is as in production: who doesn't have it is refused, and the commands say what lets them in.
#[tokio::test]
async fn with_a_secret_nothing_comes_in_without() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let providers = [
        "--provider",
        "stripe",
        "--provider",
        "twilio",
        "--provider",
        "discord",
        "--secret",
        secret,
    ];
    let Some(dev) = Dev::start(&providers).await else { return };
    let welcome = dev.welcome.join("\n");
    assert!(!welcome.contains(secret), "{welcome}");
    // Its key is a public one: nobody but Discord can sign.
    assert!(welcome.contains("/discord (no authentication)"), "{welcome}");
    let commands = dev.commands();
    for (part, shown) in [
        ("send tool-calls --to", "toolCallId"),
        ("charge.succeeded", "{}"),
        ("call.completed", ""),
        ("curl -i", "200 OK"),
    ] {
        let command = commands.iter().find(|command| command.contains(part)).unwrap();
        let output = shell(&format!("SECRET={secret}; {command}")).await;
        assert_eq!(output.code, Some(0), "{command}: {}", output.stderr);
        assert!(output.stdout.contains(shown), "{command}: {}", output.stdout);
        let output = shell(&format!("SECRET=whsec_AAAAAAAAAAAAAAAAAAAAAAAA; {command}")).await;
        let said = output.stdout + &output.stderr;
        assert!(said.contains("401"), "{command}: {said}");
    }
    let command = commands.iter().find(|command| command.contains("--provider discord")).unwrap();
    assert!(!command.contains("--secret"), "{command}");
    dev.end().await;
    let printed =
        run(&[&["dev", "--print-config", "--listen", "0.0.0.0:8080"][..], &providers].concat())
            .await
            .stdout;
    assert!(!printed.contains(secret) && printed.matches("${SECRET}").count() == 3, "{printed}");
    assert!(printed.contains("public_url = \"http://127.0.0.1:8080/twilio\""), "{printed}");
}

#[tokio::test]
async fn dev_has_a_kafka_to_try() {
    let Some(dev) = Dev::start(&["--kafka"]).await else {
        return;
    };
    let command =
        dev.commands().into_iter().find(|command| command.contains("end-of-call-report")).unwrap();
    // As the sample is, to compare it.
    let sent = shell(&format!("{command} --keep-ids")).await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", dev.address("kafka"))
        .set("group.id", "test")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..4 {
        let offset = Offset::Beginning;
        partitions.add_partition_offset("vapi.events", partition, offset).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let record = tokio::time::timeout(PATIENCE, consumer.recv()).await;
    let record = record.expect("a record").unwrap().detach();
    let sample = crate::support::sample("end-of-call-report.json");
    assert_eq!(record.payload(), Some(&sample.bytes[..]));
    assert_eq!(record.key(), sample.key().as_deref().map(str::as_bytes));
    // It would look for its cluster for a long time.
    drop(consumer);
    dev.end().await;
}

/// The way from trying it out to running it.
#[tokio::test]
async fn the_configuration_of_dev_is_a_start() {
    for arguments in [&["dev", "--print-config"][..], &["dev", "--print-config", "--kafka"]] {
        let printed = run(arguments).await;
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hookbus.toml");
        std::fs::write(&path, printed.stdout).unwrap();
        let checked = run(&["check", "--config", path.to_str().unwrap()]).await;
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    }
}

#[tokio::test]
async fn dev_says_what_to_do_about_a_taken_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["dev", "--listen", &address]).await;
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains(&address)
            && output.stderr.contains("hint: ")
            && output.stderr.contains("--listen"),
        "{}",
        output.stderr
    );
}
