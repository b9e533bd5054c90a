//! Requests that reach no endpoint: counted, logged, and told what they may have meant.

use super::wire::Wire;
use super::{event, open};
use crate::support::{Bridge, nats};
use http::Method;

/// The reasons are told apart, and no endpoint is blamed.
async fn refused(bridge: &Bridge, reason: &str) -> f64 {
    let labels = format!("hookbus_refusals_total{{endpoint=\"\",reason=\"{reason}\"}}");
    bridge.metric(&labels).await
}

#[tokio::test]
async fn wrong_paths_and_methods() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("stray", &["stray.events.>"]).await;
    let config =
        open("stray").replace("\"/stray\"", "\"/hooks/Stray\"") + "[log]\nlevel = \"debug\"\n";
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let near =
        ["/hooks/Stray/", "/hooks/stray", "//hooks/Stray", "/hooks//stray//", "/HOOKS/STRAY?a=b"];
    for path in near {
        let answer = bridge.post(path, event("c"), &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("`/hooks/Stray`"), "{path}: {detail}");
    }
    let far = ["/", "/webhook", "/hooks", "/hooks/Stray/x", "/hooks/Strays", "/hooksStray"];
    for path in far {
        let answer = bridge.post(path, event("c"), &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(!detail.contains("Stray"), "nobody is told what there is: {path}: {detail}");
    }
    assert_eq!(refused(&bridge, "no-such-path").await, (near.len() + far.len()) as f64);
    for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::HEAD] {
        let answer = bridge.client().request(method, &bridge.url("/hooks/Stray"), "", &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    assert_eq!(refused(&bridge, "method").await, 4.0);
    let mut wire = Wire::open(&bridge.address()).await;
    let hostless = "POST /hooks/Stray HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(wire.ask(hostless).await.status, 400);
    assert_eq!(refused(&bridge, "host").await, 1.0);

    assert_eq!(bridge.metric("hookbus_webhooks_total").await, 0.0, "they are no webhooks");
    bridge.logs("a request reached no endpoint").await;
    for part in
        ["path=\"/hooks/Stray/\"", "reason=\"no-such-path\"", "method=PUT", "reason=\"method\""]
    {
        bridge.logs(part).await;
    }
    assert_eq!(bridge.post("/hooks/Stray", event("c"), &[]).await.status, 200);
}
