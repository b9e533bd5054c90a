//! Health on the public port, for load balancers that know one port.

use super::wire::{Wire, post};
use super::{event, open};
use crate::support::bridge::run;
use crate::support::http::Client;
use crate::support::{Authority, Bridge, eventually, nats, ports};
use http::Method;
use std::time::Duration;

const HEALTH: &str =
    "[http]\nlisten = \"{http}\"\nhealth = \"/healthz\"\nshutdown_delay = \"5s\"\n";

#[tokio::test]
async fn it_says_whether_to_send_traffic_and_nothing_else() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("health", &["health.events.>"]).await;
    let mut bridge =
        Bridge::config(&(HEALTH.to_owned() + &open("health"))).nats(nats).start_ready().await;
    let get = bridge.client().get(&bridge.url("/healthz")).await;
    assert_eq!((get.status, get.text()), (200, "ready\n"));
    let head = bridge.client().request(Method::HEAD, &bridge.url("/healthz"), "", &[]).await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(head.header("content-length"), Some("6"));
    // As load balancers ask.
    let mut old = Wire::open(&bridge.address()).await;
    assert_eq!(old.ask("GET /healthz HTTP/1.0\r\n\r\n").await.status, 200);
    let posted = bridge.post("/healthz", event("c"), &[]).await;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(bridge.post("/health", event("c"), &[]).await.status, 200);
    assert_eq!(bridge.client().get(&bridge.url("/health")).await.status, 405);
    assert_eq!(bridge.client().get(&bridge.url("/readyz")).await.status, 404);

    bridge.signal("TERM");
    let answer = eventually("not ready", Duration::from_secs(4), async || {
        let answer = bridge.client().get(&bridge.url("/healthz")).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.text(), "not ready\n");
    assert_eq!(answer.header("connection"), Some("close"));
    let mut wire = Wire::open(&bridge.address()).await;
    assert_eq!(wire.ask(post("/health", &event("c"))).await.status, 200, "it still serves");
}

/// What is down stands in `/readyz` of the admin listener, and only there.
#[tokio::test]
async fn without_any_broker() {
    let dead = format!("nats://127.0.0.1:{}", ports::free());
    let config = HEALTH.to_owned() + &open("health");
    let bridge = Bridge::config(&config).nats_at(&dead).without_spool().start().await;
    eventually("the end of the start", Duration::from_secs(20), async || {
        bridge.admin("/readyz").await.text().contains("no broker").then_some(())
    })
    .await;
    let answer = bridge.client().get(&bridge.url("/healthz")).await;
    assert_eq!((answer.status, answer.text()), (503, "not ready\n"));
}

#[tokio::test]
async fn over_tls_and_after_a_reload() {
    let (Some(nats), Some(authority)) = (nats::shared().await, Authority::new("test authority"))
    else {
        return;
    };
    let tls = authority.sign("server").section("http.tls", ["cert", "key"]);
    let config = |health: &str| {
        format!("[http]\nlisten = \"{{http}}\"\n{health}\n{tls}\n{}", open("health-tls"))
    };
    let client = Client::trusting(&authority.cert(), None);
    let mut bridge =
        Bridge::config(config("health = \"/up\"")).nats(nats).client(client).start_ready().await;
    assert_eq!(bridge.client().get(&bridge.url("/up")).await.status, 200);
    bridge.configure(&config("health = \"/well\""));
    let reloaded = Client::new().post(&bridge.admin_url("/reload"), "", &[]).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    assert_eq!(bridge.client().get(&bridge.url("/well")).await.status, 200);
    assert_eq!(bridge.client().get(&bridge.url("/up")).await.status, 404);
}

#[tokio::test]
async fn check_looks_at_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let check = async |health: &str, path: &str| {
        let endpoint = open("e").replace("path = \"/e\"", &format!("path = \"{path}\""));
        let text = format!("[http]\nhealth = \"{health}\"\n[nats]\n{endpoint}");
        std::fs::write(&file, text).unwrap();
        run(&["check", "--config", file.to_str().unwrap()]).await
    };
    let fine = check("/healthz", "/e").await;
    assert_eq!(fine.code, Some(0), "{}", fine.stderr);
    let same = check("/e", "/e").await;
    assert_eq!(same.code, Some(2));
    assert!(
        same.stderr.contains("2:10: error: `health` is the path of endpoint `e` too"),
        "{}",
        same.stderr
    );
    assert!(same.stderr.contains("hint:"), "{}", same.stderr);
    for wrong in ["healthz", "/health z", "/a//b", ""] {
        let output = check(wrong, "/e").await;
        assert_eq!(output.code, Some(2), "{wrong}: {}", output.stderr);
        assert!(output.stderr.contains("2:10: error: the path"), "{}", output.stderr);
    }
    // A slash at the end is easily left out.
    let slash = check("/healthz", "/e/").await;
    assert_eq!(slash.code, Some(0), "{}", slash.stderr);
    assert!(slash.stderr.contains("warning: the path `/e/` ends with `/`"), "{}", slash.stderr);
    assert!(slash.stderr.contains("write `path = \"/e\"`"), "{}", slash.stderr);
}
