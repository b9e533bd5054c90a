//! Logins that stand in the address, and servers that want TLS first.

use super::connected;
use crate::support::certificates::quoted;
use crate::support::http::Client;
use crate::support::{Authority, Bridge, DROP, HOOK, Nats, bridge, endpoint};

#[tokio::test]
async fn a_login_in_an_address_is_percent_encoded() {
    let login = r#"authorization { user: "hook@bus", password: "p/a:s@s%41" }"#;
    let Some(nats) = Nats::start_with(login).await else { return };
    let url = nats.url().replace("nats://", "nats://hook%40bus:p%2Fa%3As%40s%2541@");
    let bridge = Bridge::config(endpoint("hook").events_to(&[])).nats_at(&url).start().await;
    connected(&bridge).await;

    let Some(nats) = Nats::start_with(r#"authorization { token: "t/o@ken" }"#).await else {
        return;
    };
    let url = nats.url().replace("nats://", "nats://t%2Fo%40ken@");
    let bridge = Bridge::config(endpoint("hook").events_to(&[])).nats_at(&url).start().await;
    connected(&bridge).await;
}

#[tokio::test]
async fn a_login_that_is_no_text_is_a_problem_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let text = format!("[nats]\nservers = [\"nats://hook:hunter%FF2@127.0.0.1\"]\n{HOOK}{DROP}");
    std::fs::write(&file, text).unwrap();
    let output = bridge::run(&["check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains(":2:12: error: the login in this address"), "{output:?}");
    assert!(!output.stderr.contains("hunter"), "{output:?}");
}

/// A server that says nothing before the handshake is reached only by a client that doesn't wait for it.
#[tokio::test]
async fn tls_may_come_first() {
    let Some(authority) = Authority::new("test authority") else { return };
    let server = authority.sign("nats");
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, handshake_first: true }}",
        server.cert, server.key
    );
    let Some(nats) = Nats::start_silent(&tls).await else { return };
    let setup = |more: &str| {
        let ca = quoted(&authority.cert());
        Bridge::config(format!(
            "[nats]\nservers = [\"{{nats}}\"]\ntls_ca = {ca}\n{more}\n{HOOK}{DROP}"
        ))
        .nats(&nats)
        .client(Client::new())
    };
    connected(&setup("tls_first = true").start().await).await;
    let waiting = setup("").start().await;
    waiting.logs("not connected to NATS").await;
}
