//! Who may ask the admin listener for more than health and metrics.

use crate::support::certificates::{Authority, quoted};
use crate::support::http::Client;
use crate::support::process::output;
use crate::support::{Bridge, HOOK, bridge::program, nats};
use http::Method;

const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];
const GUARDED: [(&str, &str); 5] = [
    ("GET", "/dead-letters"),
    ("GET", "/spool"),
    ("GET", "/workers"),
    ("POST", "/dead-letters/drop?all=true"),
    ("POST", "/reload"),
];

async fn status(
    client: &Client,
    bridge: &Bridge,
    request: (&str, &str),
    headers: &[(&str, &str)],
) -> u16 {
    let (method, path) = request;
    let method: Method = method.parse().unwrap();
    client.request(method, &bridge.admin_url(path), "", headers).await.status
}

#[tokio::test]
async fn a_token_is_asked_for_and_can_be_changed() {
    let Some(nats) = nats::shared().await else { return };
    let config =
        |token: &str| format!("{HOOK}[admin]\nlisten = \"{{admin}}\"\ntoken = \"{token}\"\n");
    let mut bridge = Bridge::config(config("first-token")).nats(nats).start_ready().await;
    let client = Client::new();
    for path in OPEN {
        assert_eq!(status(&client, &bridge, ("GET", path), &[]).await, 200, "{path}");
    }
    for request in GUARDED {
        for wrong in [
            &[][..],
            &[("authorization", "Bearer second-token")],
            &[("authorization", "first-token")],
            &[("authorization", "Bearer first-token ")],
            &[("authorization", "Basic Zmlyc3QtdG9rZW4=")],
            &[("authorization", "Bearer first-token"), ("authorization", "Bearer first-token")],
        ] {
            // The client strips spaces at the end, as HTTP says.
            let expected =
                if wrong == [("authorization", "Bearer first-token ")] { 200 } else { 401 };
            if expected == 401 {
                assert_eq!(
                    status(&client, &bridge, request, wrong).await,
                    401,
                    "{request:?} {wrong:?}"
                );
            }
        }
        let right = ("authorization", "Bearer first-token");
        assert_eq!(status(&client, &bridge, request, &[right]).await, 200, "{request:?}");
        let page = [right, ("origin", "http://127.0.0.1")];
        assert_eq!(status(&client, &bridge, request, &page).await, 403, "{request:?}");
    }
    bridge.configure(&config("second-token"));
    let first = [("authorization", "Bearer first-token")];
    assert_eq!(status(&client, &bridge, ("POST", "/reload"), &first).await, 200);
    assert_eq!(status(&client, &bridge, ("GET", "/dead-letters"), &first).await, 401);
    let second = [("authorization", "Bearer second-token")];
    assert_eq!(status(&client, &bridge, ("GET", "/dead-letters"), &second).await, 200);
    let log = bridge.log();
    assert!(!log.contains("first-token") && !log.contains("second-token"), "{log}");

    // The command takes it from the configuration, or from the environment.
    let run = async |arguments: &[&str], token: Option<&str>| {
        let mut command = program();
        command.args(arguments).current_dir(bridge.folder());
        command.envs(token.map(|token| ("HOOKBUS_ADMIN_TOKEN", token)));
        output(command.into(), b"").await
    };
    assert_eq!(run(&["dlq", "list"], None).await.code, Some(0));
    let url = bridge.admin_url("");
    assert_eq!(run(&["dlq", "list", "--admin", &url], Some("second-token")).await.code, Some(0));
    for wrong in [None, Some("first-token")] {
        let refused = run(&["dlq", "list", "--admin", &url], wrong).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("asks for the token")
                && refused.stderr.contains("HOOKBUS_ADMIN_TOKEN"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_client_certificate_is_as_good() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(nats) = nats::shared().await else { return };
    let tls = authority.sign_server("admin").section("admin.tls", ["cert", "key"]);
    let ca = quoted(&authority.cert());
    let text =
        format!("[admin]\nlisten = \"{{admin}}\"\ntoken = \"t\"\n{tls}client_ca = {ca}\n{HOOK}");
    let operator = Client::trusting(&authority.cert(), Some(&authority.sign("operator")));
    let bridge = Bridge::config(&text).client(operator.clone()).nats(nats).start_ready().await;
    let nobody = Client::trusting(&authority.cert(), None);
    for path in OPEN {
        assert_eq!(status(&nobody, &bridge, ("GET", path), &[]).await, 200, "{path}");
    }
    for request in GUARDED {
        assert_eq!(status(&nobody, &bridge, request, &[]).await, 401, "{request:?}");
        assert_eq!(status(&nobody, &bridge, request, &[("authorization", "Bearer t")]).await, 200);
        assert_eq!(status(&operator, &bridge, request, &[]).await, 200, "{request:?}");
        let page = [("origin", "https://example.com")];
        assert_eq!(status(&operator, &bridge, request, &page).await, 403, "{request:?}");
    }
    // A certificate that nobody here signed is worse than none.
    let Some(other) = Authority::new("another authority") else { return };
    let stranger = Client::trusting(&authority.cert(), Some(&other.sign("stranger")));
    assert!(stranger.try_get(&bridge.admin_url("/livez")).await.is_err());
}
