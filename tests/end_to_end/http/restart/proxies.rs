//! The configurations of `deploy/proxy`, in the programs that they are for: two bridges are restarted in turn, and no
//! request fails.

use super::{Pool, event, open, stored};
use crate::support::http::Client;
use crate::support::process::{Process, output};
use crate::support::{Bridge, Nats, eventually, installed, missing, nats, ports, project};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Each of them so often.
const RESTARTS: usize = 2;

/// One of the files with other addresses than those that are written there.
fn configuration(name: &str, addresses: &[(&str, String)]) -> String {
    let file = project().join("deploy/proxy").join(name);
    let mut text = std::fs::read_to_string(file).unwrap();
    for (written, used) in addresses {
        assert!(text.contains(written), "{name} has no {written}");
        text = text.replace(written, used);
    }
    text
}

/// Lets a program look at its configuration.
async fn accepted(program: &Path, arguments: &[&str]) {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments);
    let checked = output(command, b"").await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        !checked.stderr.contains("[WARNING]") && !checked.stderr.contains("[warn]"),
        "{checked:?}"
    );
}

async fn bridge(nats: &Nats, name: &str) -> Bridge {
    let config = format!("[http]\nlisten = \"{{http}}\"\nshutdown_delay = \"3s\"\n{}", open(name));
    Bridge::config(config).nats(nats).start_ready().await
}

/// Restarts both in turn under load. Before one ends, the other one gets requests.
async fn roll(nats: &Nats, name: &str, bridges: &mut [Bridge; 2], address: &str) {
    let pool = Pool::start(address, &format!("/{name}"), &event("c"), 40);
    for round in 0..2 * RESTARTS {
        for bridge in bridges.iter() {
            let count = async || bridge.metric("hookbus_webhooks_total").await;
            let before = count().await;
            eventually("requests", SOON, async || (count().await > before).then_some(())).await;
        }
        let bridge = &mut bridges[round % 2];
        bridge.signal("TERM");
        assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
        bridge.restart().await;
        assert!(pool.failures().is_empty(), "{round}: {:?}", pool.failures());
    }
    pool.answered(100).await;
    let (answered, failures) = pool.stop().await;
    println!("{} restarts: {answered} requests answered, {} failed", 2 * RESTARTS, failures.len());
    assert!(failures.is_empty(), "{failures:?}");
    stored(nats, name, answered).await;
}

#[tokio::test]
async fn the_example_for_haproxy() {
    let Some(program) = installed("haproxy") else { return missing("haproxy (run: make tools)") };
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("haproxy", &["haproxy.events.>"]).await;
    let mut bridges = [bridge(nats, "haproxy").await, bridge(nats, "haproxy").await];
    let [one, two] = &bridges;
    let port = |address: String| address.rsplit(':').next().unwrap().to_owned();
    let address = format!("127.0.0.1:{}", ports::free());
    let text = configuration(
        "haproxy.cfg",
        &[
            ("127.0.0.1:8000", address.clone()),
            ("127.0.0.1:8080", one.address()),
            ("127.0.0.1:8081", two.address()),
            ("port 9180", format!("port {}", port(one.admin_address()))),
            ("port 9181", format!("port {}", port(two.admin_address()))),
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    accepted(&program, &["-c", "-f", file]).await;
    let mut command = Command::new(&program);
    command
        .args(["-db", "-f", file])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _proxy = Process::start(&mut command, Some(folder.path()));
    roll(nats, "haproxy", &mut bridges, &address).await;
}

#[tokio::test]
async fn the_example_for_nginx() {
    let Some(program) = installed("nginx") else { return missing("nginx (run: make tools)") };
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("nginx", &["nginx.events.>"]).await;
    let mut bridges = [bridge(nats, "nginx").await, bridge(nats, "nginx").await];
    let [one, two] = &bridges;
    let address = format!("127.0.0.1:{}", ports::free());
    let folder = tempfile::tempdir().unwrap();
    // Where it was built to put these isn't there.
    let own: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {};\n", folder.path().join(kind).display()))
        .concat();
    let text = configuration(
        "nginx.conf",
        &[
            ("127.0.0.1:8000", address.clone()),
            ("127.0.0.1:8080", one.address()),
            ("127.0.0.1:8081", two.address()),
            ("127.0.0.1:9180", one.admin_address()),
            ("127.0.0.1:9181", two.admin_address()),
            ("\nhttp {\n", format!("\nhttp {{\n{own}")),
        ],
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let log = folder.path().join("error.log");
    let arguments = [
        "-p",
        folder.path().to_str().unwrap(),
        "-e",
        log.to_str().unwrap(),
        "-c",
        file.to_str().unwrap(),
        "-g",
        "daemon off; master_process off;",
    ];
    accepted(&program, &[&arguments[..], &["-t"]].concat()).await;
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _proxy = Process::start(&mut command, Some(folder.path()));
    let client = Client::new();
    let readiness = format!("http://{address}/readyz");
    eventually("readiness through nginx", SOON, async || {
        let answer = client.try_get(&readiness).await.ok()?;
        (answer.status == 200 && answer.text().starts_with("ready")).then_some(())
    })
    .await;
    roll(nats, "nginx", &mut bridges, &address).await;
}
