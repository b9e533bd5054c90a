//! Signals at moments at which a process isn't ready for much: they do what the documentation says.

use crate::support::bridge::program;
use crate::support::http::Client;
use crate::support::process::{Process, full_pipe};
use crate::support::{Bridge, endpoint, eventually, nats, ports, python};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How soon something ends that is asked to.
const SOON: Duration = Duration::from_millis(1_500);

const PATIENCE: Duration = Duration::from_secs(20);

/// A bridge whose configuration isn't whole before a pipe was read: its start takes as long as the test likes.
struct Start {
    process: Process,
    folder: tempfile::TempDir,
    secret: PathBuf,
    http: u16,
    admin: u16,
}

impl Start {
    async fn begin() -> Start {
        let folder = tempfile::tempdir().unwrap();
        let (http, admin) = (ports::free(), ports::free());
        let secret = folder.path().join("secret");
        make_pipe(&secret);
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:{http}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
             [[endpoint]]\nname = \"a\"\npath = \"/a\"\nsource = \"vapi\"\n\
             [[endpoint.auth]]\nkind = \"secret\"\nheader = \"x-vapi-secret\"\nsecrets = [\"${{file:{}}}\"]\n\
             [[endpoint.event]]\ntypes = [\"*\"]\nto = []\n",
            secret.display()
        );
        std::fs::write(folder.path().join("hookbus.toml"), text).unwrap();
        let mut command = program();
        command.arg("serve").current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let process = Process::start(&mut command, Some(folder.path()));
        Start { process, folder, secret, http, admin }
    }

    /// Waits until the bridge reads its configuration. The next read gets a pipe of its own.
    async fn reading(&self) -> File {
        let (secret, (sender, opened)) = (self.secret.clone(), oneshot::channel());
        // Not a task: nothing ends it where nobody reads.
        thread::spawn(move || sender.send(open(&secret)));
        let file = timeout(PATIENCE, opened).await.expect("a reader").unwrap();
        let other = self.folder.path().join("other");
        make_pipe(&other);
        std::fs::rename(other, &self.secret).unwrap();
        file
    }

    /// Its end, and what it said.
    async fn end(&mut self) -> (ExitStatus, String) {
        end(&mut self.process).await
    }
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Returns as soon as somebody reads.
fn open(pipe: &Path) -> File {
    File::options().write(true).open(pipe).unwrap()
}

async fn end(process: &mut Process) -> (ExitStatus, String) {
    let status = process.wait(SOON).await.expect("an end");
    let mut said = String::new();
    process.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status, said)
}

#[tokio::test]
async fn a_hangup_during_the_start_is_remembered() {
    let mut start = Start::begin().await;
    let mut secret = start.reading().await;
    for _ in 0..3 {
        start.process.signal("HUP");
    }
    secret.write_all(b"old\n").unwrap();
    drop(secret);
    // It reads again, since it was told to.
    let mut secret = start.reading().await;
    secret.write_all(b"new\n").unwrap();
    drop(secret);
    let (client, url) = (Client::new(), format!("http://127.0.0.1:{}/a", start.http));
    let body = r#"{"message":{"type":"hang"}}"#;
    eventually("a listener", PATIENCE, async || {
        if start.process.ended().is_some() {
            panic!("{}", start.end().await.1);
        }
        client.try_post(&url, body).await.ok()
    })
    .await;
    eventually("the new secret", PATIENCE, async || {
        let answer = client.post(&url, body, &[("x-vapi-secret", "new")]).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let metrics = client.get(&format!("http://127.0.0.1:{}/metrics", start.admin)).await;
    let reloads = "hookbus_reloads_total{outcome=\"done\"} 1\n";
    assert!(metrics.text().contains(reloads), "{}", metrics.text());
    start.process.signal("TERM");
    assert_eq!(start.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn what_has_begun_nothing_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let mut start = Start::begin().await;
        let _secret = start.reading().await;
        start.process.signal(signal);
        let (status, said) = start.end().await;
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{signal}");
        assert!(!start.folder.path().join("hookbus-spool").exists());
    }
}

#[tokio::test]
async fn nobody_waits_for_a_broker_that_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (http, admin) = (ports::free(), ports::free());
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:{http}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
         [nats]\nservers = [\"nats://{address}\"]\n{}",
        endpoint("a")
    );
    std::fs::write(folder.path().join("hookbus.toml"), text).unwrap();
    let mut command = program();
    command.arg("serve").current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command, Some(folder.path()));
    let accepted = tokio::task::spawn_blocking(move || (silent.accept().unwrap(), silent)).await;
    let (client, alive) = (Client::new(), format!("http://127.0.0.1:{admin}/livez"));
    eventually("an admin listener", PATIENCE, async || client.try_get(&alive).await.ok()).await;
    let began = Instant::now();
    process.signal("TERM");
    let (status, said) = end(&mut process).await;
    println!("{:?}\n{said}", began.elapsed());
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopped before it served anything"), "{said}");
    drop(accepted);
}

#[tokio::test]
async fn a_tail_ends_though_nobody_reads_it() {
    let bridge = Bridge::config(endpoint("a").events_to(&[])).start_ready().await;
    let (_unread, pipe) = full_pipe();
    let mut command = program();
    command.args(["tail", "--admin", &format!("http://{}", bridge.admin_address())]);
    command.stdin(Stdio::null()).stdout(pipe).stderr(Stdio::piped());
    let mut process = Process::start(&mut command, None);
    let tasks = format!("/proc/{}/task", process.id());
    eventually("a line that can't be written", PATIENCE, async || {
        assert_eq!(bridge.post("/a", r#"{"message":{"type":"hang"}}"#, &[]).await.status, 200);
        let threads = std::fs::read_dir(&tasks).unwrap().flatten();
        let waits = threads.map(|thread| std::fs::read_to_string(thread.path().join("wchan")));
        waits.flatten().any(|wait| wait.contains("pipe_write")).then_some(())
    })
    .await;
    process.signal("INT");
    assert_eq!(end(&mut process).await.0.code(), Some(0));
}

#[tokio::test]
async fn a_list_is_interrupted_while_the_bridge_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut command = program();
    command.args(["dlq", "list", "--admin", &address]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command, None);
    let accepted = tokio::task::spawn_blocking(move || (silent.accept().unwrap(), silent)).await;
    process.signal("INT");
    let (status, said) = end(&mut process).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    drop(accepted);
}

#[tokio::test]
async fn everything_on_one_machine_ends_while_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (server, asked) = (folder.path().join("nats-server"), folder.path().join("asked"));
    let script = format!("#!/bin/sh\ntouch {}\nexec sleep 60\n", asked.display());
    std::fs::write(&server, script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&server).status().unwrap().success());
    let mut command = program();
    command.args(["dev", "--listen", "127.0.0.1:0"]).current_dir(folder.path());
    command.env("HOOKBUS_NATS_SERVER", &server);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command, None);
    eventually("a question for its version", PATIENCE, async || asked.exists().then_some(())).await;
    process.signal("INT");
    let status = process.wait(SOON).await.expect("an end");
    assert_eq!(status.code(), Some(0));
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// Starts a command with its standard error in a pipe.
fn command(arguments: &[&str]) -> Process {
    let mut command = program();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Process::start(&mut command, None)
}

/// `pidof hookbus` names all of them.
#[tokio::test]
async fn a_hangup_that_is_meant_for_the_bridge_ends_no_other_command() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    for arguments in [["send", "transcript", "--to", &url], ["tail", "--json", "--admin", &url]] {
        let mut process = command(&arguments);
        // It waits for an answer.
        let (mut connection, _) = server.accept().unwrap();
        let mut request = [0; 1 << 10];
        assert!(connection.read(&mut request).unwrap() > 0);
        process.signal("HUP");
        match arguments[0] {
            "send" => connection.write_all(ANSWER).unwrap(),
            _ => process.signal("INT"),
        }
        let status = process.wait(PATIENCE).await.expect("an end");
        assert_eq!(status.code(), Some(0), "{arguments:?}: {status}");
    }

    let Some(nats) = nats::shared().await else { return };
    let mut worker = command(&["answer", "hangup", "--server", &nats.url(), "--", "cat"]);
    let client = nats.client().await;
    let asked =
        async || client.request("vapi.tool.hangup", r#"{"arguments":{}}"#.into()).await.ok();
    eventually("a worker", PATIENCE, asked).await;
    worker.signal("HUP");
    assert!(asked().await.is_some(), "it answers still");
    worker.signal("TERM");
    let status = worker.wait(PATIENCE).await.expect("an end");
    assert_eq!(status.code(), Some(0), "{status}");
}

/// A terminal that is closed ends what runs in it, unless `nohup` says otherwise.
#[tokio::test]
async fn a_closed_terminal_ends_a_command() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    for (ignores, ends) in [("", true), ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", false)] {
        // Its parent leads the session of the terminal, as a shell does, and tells how it ended.
        let code = format!(
            "import os, pty, signal, sys, time\n\
             read, write = os.pipe()\n\
             leader, terminal = pty.fork()\n\
             if leader == 0:\n    \
                 signal.signal(signal.SIGHUP, signal.SIG_IGN)\n    \
                 child = os.fork()\n    \
                 if child == 0:\n        \
                     signal.signal(signal.SIGHUP, signal.SIG_DFL)\n        \
                     {ignores}\n        \
                     os.execv(sys.argv[1], sys.argv[1:])\n    \
                 os.write(write, b'%d\\n' % child)\n    \
                 signal.signal(signal.SIGTTIN, signal.SIG_IGN)\n    \
                 try:\n        \
                     os.read(0, 1)\n    \
                 except OSError:\n        \
                     pass\n    \
                 os.kill(child, signal.SIGHUP)\n    \
                 _, status = os.waitpid(child, 0)\n    \
                 os.write(write, b'%d\\n' % os.waitstatus_to_exitcode(status))\n    \
                 os._exit(0)\n\
             os.close(write)\n\
             pipe = os.fdopen(read)\n\
             print(pipe.readline().strip(), flush=True)\n\
             sys.stdin.readline()\n\
             os.close(terminal)\n\
             print(pipe.readline().strip(), flush=True)\n"
        );
        let Some(mut python) = python::command() else { return };
        python.args(["-c", &code]).arg(program().get_program());
        python.args(["send", "transcript", "--to", &url]);
        python.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut python = python.spawn().unwrap();
        let (mut connection, _) = server.accept().unwrap();
        let mut request = [0; 1 << 10];
        assert!(connection.read(&mut request).unwrap() > 0);
        python.stdin.take().unwrap().write_all(b"close it\n").await.unwrap();
        if !ends {
            // It lives until it has its answer.
            connection.write_all(ANSWER).unwrap();
        }
        let ended = timeout(PATIENCE, python.wait_with_output()).await.expect("an end").unwrap();
        let text = String::from_utf8(ended.stdout).unwrap();
        let code = text.lines().nth(1).unwrap_or_default();
        assert_eq!(code == "129", ends, "{ignores}: {text}");
        assert!(!code.is_empty() && !code.starts_with('-'), "killed: {text}");
    }
}
