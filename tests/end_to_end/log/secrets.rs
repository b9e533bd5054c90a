//! No level and no variable makes any command log a body, a reply or a secret.

use crate::answer::{Answer, ask, text};
use crate::support::bridge::program;
use crate::support::http::Client;
use crate::support::process::{Output, Process, output};
use crate::support::{Bridge, Kafka, Nats, Reply, Worker, eventually, missing, ports, tool};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

/// What must stand in no log: each in its own place.
const EVENT: &str = "marker-of-an-event";
const ARGUMENT: &str = "marker-of-an-argument";
const REPLY: &str = "marker-of-a-reply";
const SECRET: &str = "marker-of-a-header";
const TOKEN: &str = "marker-of-the-admin";
const NATS: &str = "marker-of-nats";
const KAFKA: &str = "marker-of-kafka";
const SIGNATURE: &str = "marker-of-a-signature";
const BEARER: &str = "marker-of-a-token";
const PASSWORD: &str = "marker-of-a-password";
/// The same as it is sent: `u:marker-of-a-password`.
const BASIC: &str = "dTptYXJrZXItb2YtYS1wYXNzd29yZA==";
const QUERY: &str = "marker-of-a-query";
const ALL: [&str; 12] =
    [EVENT, ARGUMENT, REPLY, SECRET, TOKEN, NATS, KAFKA, SIGNATURE, BEARER, PASSWORD, BASIC, QUERY];

/// For everything, for the libraries by name, and with a directive for what is inside of a span.
const VARIABLES: [&str; 3] = [
    "trace",
    "hookbus=trace,async_nats=trace,hyper=trace,hyper_util=trace,h2=trace,rustls=trace,reqwest=trace,tower=trace,\
     tokio=trace,axum=trace,rdkafka=trace,librdkafka=trace,log=trace,mio=trace",
    "[{}]=trace",
];

fn assert_silent(what: &str, said: &str) {
    for marker in ALL {
        let line = said.lines().find(|line| line.contains(marker));
        assert_eq!(line, None, "{what}: {marker}");
    }
}

/// One command, with its standard error at `trace`.
async fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments).current_dir(folder).env("RUST_LOG", VARIABLES[0]);
    command.env("HOOKBUS_ADMIN_TOKEN", TOKEN);
    let output = output(command.into(), b"").await;
    assert_silent(&arguments.join(" "), &output.stderr);
    output
}

/// Follows the bridge while everything is sent to it.
async fn follow(bridge: &Bridge) {
    let mut command = program();
    command.args(["tail", "--admin", &bridge.admin_url("")]).current_dir(bridge.folder());
    command.env("RUST_LOG", VARIABLES[0]).env("HOOKBUS_ADMIN_TOKEN", TOKEN);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command, None);
    let mut lines = BufReader::new(process.child().stdout.take().unwrap());
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        lines.read_line(&mut line).map(|_| line)
    });
    eventually("a line", Duration::from_secs(20), async || {
        use_all(bridge).await;
        first.is_finished().then_some(())
    })
    .await;
    process.signal("INT");
    let status = process.wait(Duration::from_secs(10)).await.expect("an end");
    assert_eq!(status.code(), Some(0));
    let mut said = String::new();
    process.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_silent("tail", &said);
}

/// A server that wants a password.
fn login() -> String {
    format!("authorization {{ user: u, password: {NATS} }}\n")
}

fn url(nats: &Nats) -> String {
    nats.url().replace("nats://", &format!("nats://u:{NATS}@"))
}

async fn client(nats: &Nats) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_user_and_password("u".into(), NATS.into());
    options.connect(nats.url()).await.unwrap()
}

fn config(to: &str, more: &str) -> String {
    format!(
        "[admin]\nlisten = \"{{admin}}\"\ntoken = \"{TOKEN}\"\n\
         [log]\nlevel = \"trace\"\n\
         [nats]\nservers = [\"{{nats}}\"]\nuser = \"u\"\npassword = \"{NATS}\"\n\
         [[nats.stream]]\nname = \"S\"\nsubjects = [\"a.events.>\", \"a.jobs.>\"]\n{more}\n\
         [[endpoint]]\nname = \"a\"\npath = \"/a\"\nsource = \"vapi\"\n\
         [[endpoint.auth]]\nkind = \"secret\"\nheader = \"x-vapi-secret\"\nsecrets = [\"{SECRET}\"]\n\
         [[endpoint.event]]\ntypes = [\"*\"]\nto = [{to}]\n\
         [[endpoint]]\nname = \"b\"\npath = \"/b\"\nsource = \"vapi\"\n\
         [[endpoint.event]]\ntypes = [\"*\"]\nto = []\n\
         [[endpoint.auth]]\nkind = \"basic\"\nuser = \"u\"\npasswords = [\"{PASSWORD}\"]\n\
         [[endpoint.auth]]\nkind = \"hmac\"\nsecrets = [\"{SECRET}\"]\n\
         [[endpoint.auth]]\nkind = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\njwks = \"http://127.0.0.1:1/?{QUERY}\"\n"
    )
}

fn event() -> String {
    json!({"message": {"type": "hang", "call": {"id": "k"}, "text": EVENT}}).to_string()
}

fn question() -> String {
    let function = json!({"name": "f", "arguments": {"text": ARGUMENT}});
    let calls = json!([{"id": "c", "type": "function", "function": function}]);
    json!({"message": {"type": "tool-calls", "call": {"id": "k"}, "toolCallList": calls}})
        .to_string()
}

/// Events and questions, good ones and others, through whatever the bridge has.
async fn use_all(bridge: &Bridge) {
    let secret = [("x-vapi-secret", SECRET)];
    for body in [event(), question()] {
        let answer = bridge.post("/a", body.clone(), &secret).await;
        assert!(answer.status < 300, "{}", answer.text());
        bridge.post("/a", body.clone(), &[("x-vapi-secret", &format!("{SECRET}-not"))]).await;
        bridge.post("/a", format!("{body}{{"), &secret).await;
        bridge.post(&format!("/elsewhere?{QUERY}"), body, &secret).await;
    }
    use_other_kinds(bridge).await;
}

/// What else senders may show, right or wrong, in headers and in a query.
async fn use_other_kinds(bridge: &Bridge) {
    let basic = format!("Basic {BASIC}");
    // A head and claims of a token, by a key that nobody has.
    let token = format!("Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.{BEARER}");
    let time = UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
    let path = format!("/b?{QUERY}");
    for (status, headers) in [
        (200, [("authorization", &*basic), ("x-other", SECRET)]),
        (401, [("x-signature", SIGNATURE), ("x-timestamp", &time)]),
        (503, [("authorization", &*token), ("x-other", SECRET)]),
        (401, [("authorization", BEARER), ("cookie", SECRET)]),
    ] {
        let answer = bridge.post(&path, event(), &headers).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_bridge_logs_none() {
    let Some(nats) = Nats::start_with(&login()).await else { return };
    let Some(kafka) = Kafka::start().await else { return };
    kafka.create_topic("t", 1).await;
    let client = client(&nats).await;
    let worker = Worker::start_on(&client, "a.tool.f", |_| Reply::text(REPLY)).await;
    for variable in VARIABLES {
        let more = format!(
            "[kafka]\nbrokers = [\"{{kafka}}\"]\n[kafka.properties]\n\"sasl.username\" = \"u\"\n\"sasl.password\" = \"{KAFKA}\"\n\"debug\" = \"all\"\n"
        );
        let text = config("\"nats:a.events.{type}\", \"kafka:t\"", &more);
        let setup = Bridge::config(&text).nats(&nats).kafka(&kafka);
        let mut bridge = setup.environment("RUST_LOG", variable).start_ready().await;
        let before = worker.questions().len();
        use_all(&bridge).await;
        assert!(worker.questions().len() > before);
        bridge.signal("HUP");
        eventually("a reload", Duration::from_secs(10), async || {
            (bridge.metric("hookbus_reloads_total{outcome=\"done\"}").await == 1.0).then_some(())
        })
        .await;
        bridge.signal("TERM");
        assert_eq!(bridge.wait().await.code(), Some(0));
        let log = bridge.log();
        // It does say something at that level, of its own.
        assert!(log.contains("DEBUG") && log.contains("\"stored\""), "{variable}: {log}");
        assert_silent(variable, &log);
    }
}

#[tokio::test]
async fn a_worker_logs_none() {
    let Some(nats) = Nats::start_with(&login()).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (url, echo) = (url(&nats), format!("cat >&2; echo {REPLY}"));
    let arguments = ["f", "--server", &url, "--", "sh", "-c", &echo];
    let mut answer = Answer::start_with(folder, &arguments, &[("RUST_LOG", VARIABLES[0])]);
    answer.said("hookbus answer is ready").await;
    let client = client(&nats).await;
    let reply = ask(&client, "f", json!({"text": ARGUMENT})).await;
    assert_eq!(text(&reply), REPLY);
    let folder = tempfile::tempdir().unwrap();
    let arguments = json!({"text": ARGUMENT}).to_string();
    let checks = ["conform", "f", "--server", &url, "--arguments", &arguments, "--parallel", "3"];
    assert!(run(folder.path(), &checks).await.stdout.contains("f on vapi.tool.f"));
    answer.process.signal("TERM");
    answer.process.wait(Duration::from_secs(20)).await.expect("an end");
    assert_silent("answer", &answer.log());
}

#[tokio::test]
async fn no_command_beside_a_bridge_says_any() {
    let Some(nats) = Nats::start_with(&login()).await else { return };
    let client = client(&nats).await;
    let _worker = Worker::start_on(&client, "a.tool.f", |_| Reply::text(REPLY)).await;
    let text = config("\"nats:a.events.{type}\"", "");
    let mut bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let (folder, url) = (bridge.folder().to_owned(), bridge.url("/a"));
    let file = folder.join("question.json");
    std::fs::write(&file, question()).unwrap();
    let file = file.to_str().unwrap();
    let sent = run(&folder, &["send", file, "--to", &url, "--secret", SECRET]).await;
    assert!(sent.stdout.contains(REPLY), "standard output is for data: {}", sent.stdout);
    run(&folder, &["send", file, "--to", &url, "--secret", &format!("{SECRET}-not")]).await;
    run(&folder, &["check", "--connect"]).await;
    let admin = bridge.admin_url("");
    run(&folder, &["dlq", "list", "--admin", &admin]).await;
    run(&folder, &["dlq", "replay", "--all", "--dry-run"]).await;
    let nowhere = format!("http://u:{SECRET}@127.0.0.1:{}/{SECRET}", ports::free());
    run(&folder, &["tail", "--admin", &nowhere]).await;
    follow(&bridge).await;
    bridge.kill();
    // Without the bridge, by the spool.
    run(&folder, &["dlq", "replay", "--all"]).await;
}

#[tokio::test]
async fn everything_on_one_machine_logs_none() {
    let server = tool("nats-server");
    if !server.exists() {
        missing("nats-server (run: make tools)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", ports::free());
    let mut command = program();
    command.args(["dev", "--kafka", "--listen", &listen]).current_dir(folder.path());
    command.env("HOOKBUS_NATS_SERVER", server).env("RUST_LOG", VARIABLES[0]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command, None);
    let mut pipe = process.child().stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut said = String::new();
        pipe.read_to_string(&mut said).map(|_| said)
    });
    let (client, url) = (Client::new(), format!("http://{listen}/vapi"));
    eventually("an event that is stored", Duration::from_secs(30), async || {
        let answer = client.try_post(&url, event()).await;
        matches!(answer, Ok(answer) if answer.status == 200).then_some(())
    })
    .await;
    let weather = question().replace("\"f\"", "\"get_weather\"");
    assert_eq!(client.post(&url, weather, &[]).await.status, 200);
    process.signal("INT");
    let status = process.wait(Duration::from_secs(20)).await.expect("an end");
    assert_eq!(status.code(), Some(0));
    let said = reading.join().unwrap().unwrap();
    assert!(said.contains("DEBUG"), "{said}");
    assert_silent("dev", &said);
}
