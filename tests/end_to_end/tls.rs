//! TLS: on our listeners, as other people's clients meet it, and towards brokers that demand it.
//! Certificates are made by openssl for each test.

mod check;
mod clients;
mod kafka_login;
mod listener;
mod nats_login;
mod peer;
mod renewal;

use crate::support::certificates::{Identity, quoted};
use crate::support::http::Client;
use crate::support::process::{self, Output};
use crate::support::{Authority, Bridge, DROP, HOOK, bridge::Setup, nats};
use tokio::process::Command;

const EVENT: &str = r#"{"message":{"type":"hang","call":{"id":"call-1"}}}"#;

/// A bridge with this certificate, asked by a client that trusts its authority. `http` are further lines of `[http]`.
async fn bridge(authority: &Authority, identity: &Identity, http: &str) -> Option<Setup> {
    let tls = identity.section("http.tls", ["cert", "key"]);
    let setup = Bridge::config(format!("[http]\nlisten = \"{{http}}\"\n{http}\n{tls}{HOOK}{DROP}"))
        .client(Client::trusting(&authority.cert(), None));
    Some(setup.nats(nats::shared().await?))
}

/// The same for clients with a certificate of this authority.
async fn bridge_for(clients: &Authority, server: &Authority, identity: &Identity) -> Option<Setup> {
    let tls = identity.section("http.tls", ["cert", "key"]);
    let ca = quoted(&clients.cert());
    let setup = Bridge::config(format!(
        "[http]\nlisten = \"{{http}}\"\n{tls}client_ca = {ca}\n{HOOK}{DROP}"
    ))
    .client(Client::trusting(&server.cert(), None));
    Some(setup.nats(nats::shared().await?))
}

/// `openssl s_client`, which asks for `/hook` with a GET and reads until the other side closes.
async fn s_client(address: &str, authority: &Authority, arguments: &[&str]) -> Output {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", address, "-ign_eof", "-verify_return_error", "-CAfile"])
        .arg(authority.cert())
        .args(arguments);
    process::output(command, b"GET /hook HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await
}
