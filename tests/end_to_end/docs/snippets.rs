//! What the documentation shows, run as it is written there; what it prints is compared, without what differs each time.

use super::commands::parts;
use super::{SECRET, block, blocks, project, read, run as python};
use crate::support::bridge::program;
use crate::support::process::{Output, Process, output};
use crate::support::{Bridge, Nats, eventually, ports, tool};
use async_nats::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs lines of a shell in a folder, with the program as `hookbus`.
pub(super) async fn shell(folder: &Path, line: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new("bash");
    let path = std::env::var("PATH").unwrap_or_default();
    let ours = Path::new(program().get_program()).parent().unwrap().display().to_string();
    command.args(["-c", line]).current_dir(folder).env("PATH", format!("{ours}:{path}"));
    command.envs(environment.iter().copied());
    output(command, b"").await
}

/// The commands of a block and what each prints.
pub(super) fn session(block: &str) -> Vec<(&str, &str)> {
    let commands = block.strip_prefix("$ ").expect("a command").split("\n$ ");
    commands.map(|command| command.trim_end().split_once('\n').unwrap_or((command, ""))).collect()
}

/// Lines with `#` in place of numbers and ids, which differ each time; blanks that put columns below each other count
/// as one.
pub(super) fn masked(text: &str) -> Vec<String> {
    let mask = |line: &str| {
        let mut out = String::new();
        let mut chars = line.chars().peekable();
        while let Some(char) = chars.next() {
            if char.is_ascii_digit() {
                while chars.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
                out.push('#');
            } else {
                out.push(char);
            }
        }
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    text.lines().map(mask).collect()
}

fn tool_call(function: &str, arguments: Value) -> String {
    json!({"id": "call_1", "name": function, "arguments": arguments}).to_string()
}

#[tokio::test]
async fn the_worker_of_the_readme_passes_conform() {
    let Some(nats) = Nats::start().await else { return };
    let code = block("README.md", "python", "get_opening_hours");
    let Some(_worker) = python(&code, &[("nats://127.0.0.1:4222", &nats.url())]) else { return };
    let client = nats.client().await;
    let asked = |arguments: Value| {
        let deadline: HeaderValue = "9999999999999".parse().unwrap();
        let headers = HeaderMap::from_iter([("Hookbus-Deadline".parse().unwrap(), deadline)]);
        let client = client.clone();
        let payload = tool_call("get_opening_hours", arguments).into();
        async move {
            let subject = "vapi.tool.get_opening_hours";
            client.request_with_headers(subject, headers, payload).await.ok()
        }
    };
    let day = || json!({"day": "monday"});
    eventually("the worker", PATIENCE, async || asked(day()).await).await;
    let reply = asked(json!({"date": 7})).await.unwrap();
    let headers = reply.headers.unwrap();
    assert_eq!(headers.get("Nats-Service-Error-Code").unwrap().as_str(), "400");
    let folder = tempfile::tempdir().unwrap();
    let command = format!(
        "hookbus conform get_opening_hours --arguments '{{\"day\": \"monday\"}}' --server {}",
        nats.url()
    );
    let said = shell(folder.path(), &command, &[]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "ok wrong arguments {} error: name the day, such as monday",
        "ok errors in their headers #: name the day, such as monday",
    ] {
        assert!(masked(&said.stdout).iter().any(|said| said == line), "{line}: {said:?}");
    }
}

/// From the NATS server to a first event that is authenticated.
#[tokio::test]
async fn the_start_of_the_readme_works_as_written() {
    let server = tool("nats-server");
    let Some(_there) = Nats::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (port, monitored) = (ports::free(), ports::free());
    let url = format!("127.0.0.1:{port}");
    let start = block("README.md", "sh", "nats.conf").replace("127.0.0.1:4222", &url);
    let (write, begin) = start.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(begin, ".tools/nats-server --config nats.conf");
    let written = shell(folder.path(), write, &[]).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    let mut command = std::process::Command::new(server);
    command.args(["--config", "nats.conf", "-m", &monitored.to_string()]);
    command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let _nats = Process::start(&mut command, Some(folder.path()));
    let connected = async || tokio::net::TcpStream::connect(&url).await.ok();
    eventually("the server", PATIENCE, connected).await;

    let text = read(&project().join("deploy/config/quickstart.toml"));
    let text = text.replace("nats://127.0.0.1:4222", "{nats}");
    let bridge = Bridge::config(text)
        .nats_at(&format!("nats://{url}"))
        .environment("VAPI_SECRET", SECRET.1)
        .start_ready()
        .await;
    let environment = [("VAPI_SECRET", SECRET.1)];
    let commands = block("README.md", "sh", "check --connect");
    let check = commands.lines().find(|line| line.contains(" check ")).unwrap();
    let check = check
        .replace("target/release/", "")
        .replace("deploy/config/quickstart.toml", "hookbus.toml");
    let checked = shell(bridge.folder(), &check, &environment).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked.stdout.starts_with("ok: hookbus.toml: 1 endpoint (vapi at /vapi)"),
        "{checked:?}"
    );
    assert!(!checked.stderr.contains("max_payload"), "{checked:?}");

    let shown = block("README.md", "console", "--secret \"$VAPI_SECRET\"");
    let [(command, shown)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let command = command.replace("target/release/", "");
    let command = format!("{command} --to {}", bridge.url("/vapi"));
    let sent = shell(bridge.folder(), &command, &environment).await;
    assert_eq!(parts(&(sent.stderr + &sent.stdout)), parts(shown));
}

#[tokio::test]
async fn the_script_of_the_docs_is_a_worker() {
    let Some(nats) = Nats::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("weather.sh");
    std::fs::write(&script, block("docs/workers.md", "sh", "jq -er")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let shown = block("docs/workers.md", "console", "hookbus answer get_weather");
    let [(command, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let words: Vec<_> = command.split_whitespace().collect();
    let [_, answer, function, rest @ ..] = &words[..] else { panic!("{command}") };
    let mut worker = program();
    worker.args([answer, function, "--server", &nats.url()]).args(rest).current_dir(folder.path());
    let log = folder.path().join("log");
    worker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let _worker = Process::start(&mut worker, None);
    let first = eventually("a worker", PATIENCE, async || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines().next().filter(|_| text.contains('\n')).map(str::to_owned)
    })
    .await;
    assert_eq!(masked(&first)[0], masked(printed)[0]);

    let shown = block("docs/workers.md", "console", "hookbus conform get_weather");
    let [(command, shown)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let said = shell(folder.path(), &format!("{command} --server {}", nats.url()), &[]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(masked(&said.stdout), masked(shown));
}

#[tokio::test]
async fn the_program_for_lines_answers() {
    let code = block("docs/workers.md", "python", "for line in sys.stdin");
    let asked = block("docs/workers.md", "json", "\"timeout_ms\"");
    let Some(mut python) = crate::support::python::command() else { return };
    python.args(["-c", &code]);
    let said =
        output(python, format!("{asked}{{\"id\":\"8\",\"arguments\":{{}}}}\n").as_bytes()).await;
    let lines: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        json!({"id": "7", "result": "It is sunny in Oslo."}),
        json!({"id": "8", "error": "name the city"}),
    ];
    assert_eq!(lines, expected, "{said:?}");
}

/// The lines that show how a worker replies.
#[tokio::test]
async fn the_lines_for_replies_reply() {
    let Some(nats) = Nats::start().await else { return };
    let client = nats.client().await;
    let lines: Vec<_> = blocks("docs/workers.md", "python")
        .into_iter()
        .filter(|block| block.starts_with("await nc.publish("))
        .collect();
    assert_eq!(lines.len(), 2);
    for (number, line) in lines.iter().enumerate() {
        let code = format!(
            "import asyncio, nats\nasync def main():\n    nc = await nats.connect(\"{}\")\n    async def answer(msg):\n        {line}    await nc.subscribe(\"docs.{number}\", cb=answer)\n    await asyncio.Event().wait()\nasyncio.run(main())\n",
            nats.url()
        );
        let Some(_worker) = python(&code, &[]) else { return };
        let asked = async || client.request(format!("docs.{number}"), "{}".into()).await.ok();
        let reply = eventually("a reply", PATIENCE, asked).await;
        let headers = reply.headers.unwrap();
        let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        let shown = |name: &str| {
            line.contains(&format!("\"{name}\"")).then(|| {
                let rest = line.split(&format!("\"{name}\": \"")).nth(1).unwrap();
                rest.split('"').next().unwrap().to_owned()
            })
        };
        for name in ["Nats-Service-Error", "Nats-Service-Error-Code", "Hookbus-Content-Type"] {
            assert_eq!(header(name), shown(name), "{line}");
        }
    }
}

/// The whole page: from the description to why a request was refused.
#[tokio::test]
async fn the_provider_of_the_docs_is_added_as_shown() {
    const PAGE: &str = "docs/add-a-provider.md";
    let Some(nats) = Nats::start().await else { return };
    let text = block(PAGE, "toml", "[provider.mux]");
    let text = text.replacen("[nats]\n", "[nats]\nservers = [\"{nats}\"]\n", 1);
    let environment = [("MUX_SECRET", "my secret")];
    let bridge =
        Bridge::config(text).nats(&nats).environment("MUX_SECRET", "my secret").start_ready().await;
    let folder = bridge.folder();
    let address = bridge.address();

    let shown = block(PAGE, "console", "$ hookbus check");
    let (command, printed) = session(&shown)[1];
    let checked = shell(folder, command, &environment).await;
    assert_eq!((checked.stdout.trim_end(), checked.stderr.as_str()), (printed, ""));

    let shown = block(PAGE, "console", "$ cat webhook.json");
    let [(_, webhook), (time, ""), (signature, ""), (post, printed)] = session(&shown)[..] else {
        panic!("four commands: {shown}")
    };
    std::fs::write(folder.join("webhook.json"), format!("{webhook}\n")).unwrap();
    let post = post.replace("127.0.0.1:8080", &address);
    let answer = shell(folder, &[time, signature, &post].join("\n"), &environment).await;
    assert_eq!(parts(&answer.stdout), parts(printed), "{answer:?}");
    assert_eq!(nats.messages("MUX", 1).await[0].subject, "mux.events.video.asset.ready");

    let shown = block(PAGE, "console", "$ hookbus send webhook.json");
    let [(command, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let sent = shell(folder, &command.replace("127.0.0.1:8080", &address), &environment).await;
    assert_eq!(parts(&(sent.stderr + &sent.stdout)), parts(printed));

    // `-d` drops the line break, which the signature covers.
    let shown = block(PAGE, "console", "$ hookbus verify mux");
    let [(command, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let broken =
        post.replace("curl -si", "curl -sv").replace("--data-binary", "-d") + " 2> curl.txt";
    let refused = shell(folder, &[time, signature, &broken].join("\n"), &environment).await;
    assert!(refused.stdout.contains("401"), "{refused:?}");
    std::fs::write(folder.join("received.json"), webhook).unwrap();
    let verified = shell(folder, command, &environment).await;
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert_eq!(masked(&(verified.stdout + &verified.stderr)), masked(printed));
}

/// Dead letters, from the event that is too large to its way back; and what `check` says of them.
#[tokio::test]
async fn dead_letters_come_back_as_shown() {
    const PAGE: &str = "docs/operations.md";
    let Some(mut nats) = Nats::start_with("max_payload: 1MB").await else { return };
    let text = read(&project().join("deploy/config/quickstart.toml"));
    let text = text.replace("nats://127.0.0.1:4222", "{nats}");
    let bridge =
        Bridge::config(text).nats(&nats).environment("VAPI_SECRET", SECRET.1).start_ready().await;
    let environment = [("VAPI_SECRET", SECRET.1)];

    let shown = block(PAGE, "console", "has a single copy");
    let [(command, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let checked = shell(bridge.folder(), command, &environment).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let mut said = masked(&(checked.stderr + &checked.stdout));
    let mut shown = masked(printed);
    // The last line names the server.
    assert!(said.pop().unwrap().starts_with("nats: reached `"));
    assert!(shown.pop().unwrap().starts_with("nats: reached `"));
    assert_eq!(said, shown);

    let body = json!({"message": {"type": "end-of-call-report", "call": {"id": "call-7"}, "text": "x".repeat(1_300_000)}});
    let answer = bridge.post("/vapi", body.to_string(), &[SECRET]).await;
    assert_eq!(answer.status, 202);
    let id = answer.header("hookbus-id").unwrap().to_owned();
    let shown = block(PAGE, "console", "$ hookbus dlq list");
    let [(command, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let listed = shell(bridge.folder(), command, &environment).await;
    let listed =
        (listed.stdout + &listed.stderr).replace(&id, "01a20893-2052-7664-a697-6372db74786c");
    let listed = listed.replace("{endpoint}", "vapi");
    assert_eq!(masked(&listed), masked(printed));

    nats.reload_with("max_payload: 2MB").await;
    let shown = block(PAGE, "console", "$ hookbus dlq replay");
    let [(dry, ""), (replay, printed)] = session(&shown)[..] else {
        panic!("two commands: {shown}")
    };
    let dry = shell(bridge.folder(), dry, &environment).await;
    assert!(dry.stderr.contains("1 would be published"), "{dry:?}");
    // The server was asked a moment ago, and is asked once a second at most.
    let replayed = eventually("a replay", PATIENCE, async || {
        let replayed = shell(bridge.folder(), replay, &environment).await;
        (replayed.code == Some(0)).then_some(replayed)
    })
    .await;
    assert_eq!(replayed.stderr.trim_end(), printed);
    let admin = bridge.admin_address();
    let reload = block(PAGE, "sh", "/reload").replace("127.0.0.1:9180", &admin);
    let reloaded = shell(bridge.folder(), &reload.replace("curl", "curl -s"), &environment).await;
    assert_eq!(reloaded.stdout, "nothing has changed\n", "{reloaded:?}");
    let replay = block(PAGE, "sh", "/dead-letters/replay").replace("127.0.0.1:9180", &admin);
    let replayed = shell(bridge.folder(), &replay.replace("curl", "curl -s"), &environment).await;
    assert!(replayed.stdout.contains("\"line\":\"summary\""), "{replayed:?}");
}
