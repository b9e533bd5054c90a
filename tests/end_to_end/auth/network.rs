//! Networks that may post.

use super::*;

#[tokio::test]
async fn only_the_named_networks_and_whom_trusted_proxies_speak_for() {
    let Some(nats) = nats::shared().await else { return };
    for name in ["here", "there", "proxied"] {
        stream(nats, name).await;
    }
    let none = "kind = \"none\"";
    let bridge = |proxies: &str| {
        let text = endpoint("here", "allow_from = [\"127.0.0.0/8\", \"::1\"]", none)
            + &endpoint("there", "allow_from = [\"167.150.224.0/23\"]", none);
        let http = format!("[http]\nlisten = \"{{http}}\"\ntrusted_proxies = [{proxies}]\n");
        Bridge::config(&(http + &text)).nats(nats)
    };
    let direct = bridge("").start_ready().await;
    let forwarded = [("x-forwarded-for", "167.150.224.9")];
    assert_eq!(direct.post("/here", event("a"), &[]).await.status, 200);
    for headers in [&[][..], &forwarded] {
        assert_eq!(direct.post("/there", event("a"), headers).await.status, 401, "{headers:?}");
    }
    let reason = r#"hookbus_unauthorized_total{endpoint="there",reason="address"}"#;
    assert_eq!(direct.metric(reason).await, 2.0);
    drop(direct);

    let proxied = bridge("\"127.0.0.1\"").start_ready().await;
    assert_eq!(proxied.post("/there", event("a"), &forwarded).await.status, 200);
    for wrong in ["1.2.3.4", "167.150.224.9, 1.2.3.4", "167.150.224.9, rubbish", ""] {
        let answer = proxied.post("/there", event("a"), &[("x-forwarded-for", wrong)]).await;
        assert_eq!(answer.status, 401, "{wrong}");
    }
    assert_eq!(stored(nats, "there").await, 1);
}
