//! GitHub's webhooks: signed, typed and numbered as its documentation says.

use std::collections::BTreeSet;

use crate::support::bridge::run;
use crate::support::{Bridge, nats, project};

/// The secret of the example of docs.github.com (webhooks/using-webhooks/validating-webhook-deliveries).
const SECRET: &str = "It's a Secret to Everybody";
/// The signature that stands there, of `Hello, World!`.
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn endpoint(name: &str, trusted: &str) -> String {
    format!(
        r#"
        [[endpoint]]
        name = "{name}"
        path = "/{name}"
        source = "github"
        trust_unsigned = [{trusted}]
        [[endpoint.auth]]
        kind = "signature"
        secrets = ["an older one", "{SECRET}"]
        "#
    )
}

const BOTH: &str = r#""x-github-event", "x-github-delivery""#;

#[tokio::test]
async fn a_delivery_is_verified_and_stored_as_it_came() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("GITHUB", &["git-hub.events.>", "git-plain.events.>"]).await;
    let text = endpoint("git-hub", BOTH) + &endpoint("git-plain", r#""x-github-event""#);
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let signature = ("x-hub-signature-256", SIGNATURE);
    let (kind, id) = (("x-github-event", "push"), ("x-github-delivery", "72d3162e-cc78"));

    let post = async |path: &str, headers: &[(&str, &str)]| {
        bridge.post(path, "Hello, World!".to_owned(), headers).await
    };
    let answer = post("/git-hub", &[signature, kind, id]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("hookbus-id"), Some(id.1));
    // An id that isn't trusted is none.
    let answer = post("/git-plain", &[signature, kind, id]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_ne!(answer.header("hookbus-id"), Some(id.1));

    let stored = nats.messages("GITHUB", 2).await;
    let first = &stored[0];
    assert_eq!(
        (first.subject.as_str(), &first.payload[..]),
        ("git-hub.events.push", &b"Hello, World!"[..])
    );
    assert_eq!(first.header("ce-type"), Some("com.github.push"));
    assert_eq!(first.header("ce-id"), Some(id.1));
    assert_eq!(stored[1].subject, "git-plain.events.push");

    for (status, headers) in [
        (400, &[signature, id][..]),
        (400, &[signature, ("x-github-event", ""), id]),
        (400, &[signature, kind, ("x-github-event", "ping"), id]),
        (401, &[kind, id]),
        (401, &[signature, signature, kind, id]),
        (401, &[("x-hub-signature-256", &SIGNATURE[7..]), kind, id]),
        (401, &[("x-hub-signature-256", &SIGNATURE.replace('7', "8")), kind, id]),
    ] {
        assert_eq!(post("/git-hub", headers).await.status, status, "{headers:?}");
    }
    assert_eq!(nats.messages("GITHUB", 2).await.len(), 2);
}

#[tokio::test]
async fn its_samples_are_sent_as_it_sends_them() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("GITHUB-SENT", &["git-sent.events.>"]).await;
    let bridge = Bridge::config(endpoint("git-sent", BOTH)).nats(nats).start_ready().await;
    let config = bridge.folder().join("hookbus.toml");
    let (url, config) = (bridge.url("/git-sent"), config.to_str().unwrap());
    for sample in ["ping", "push", "push", "pull_request.opened"] {
        let output = run(&["send", sample, "--to", &url, "--config", config]).await;
        assert_eq!(output.code, Some(0), "{}", output.stderr);
    }
    let stored = nats.messages("GITHUB-SENT", 4).await;
    let kinds: Vec<_> = stored.iter().map(|event| event.subject.as_str()).collect();
    let expected = ["ping", "push", "push", "pull_request.opened"];
    assert_eq!(kinds, expected.map(|kind| format!("git-sent.events.{kind}")));
    let ids: BTreeSet<_> = stored.iter().map(|event| event.header("ce-id")).collect();
    assert_eq!(ids.len(), 4, "each delivery has an id of its own");
}

/// Names of providers that are words, too.
const WORDS: [&str; 3] = ["\"line\"", "\"segment\"", "\"x\""];

/// A provider is a file of data: nothing in the code knows it.
#[test]
fn the_code_knows_no_provider_that_is_described() {
    let source = project().join("src");
    let names = std::fs::read_dir(source.join("source/providers")).unwrap();
    let names = names.filter_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        Some(format!("\"{}\"", name.strip_suffix(".toml")?))
    });
    let names: Vec<_> = names.filter(|name| !WORDS.contains(&name.as_str())).collect();
    assert!(names.len() >= 60, "{names:?}");
    let mut folders = vec![source.clone()];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
            // The demo worker names a model's provider.
            let is_code =
                name.ends_with(".rs") && !name.contains("tests") && !name.starts_with("cli/dev");
            let text = if is_code { std::fs::read_to_string(&path).unwrap() } else { continue };
            let code = text.split("\nmod tests {").next().unwrap_or_default();
            for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
                for known in names.iter().filter(|known| line.contains(known.as_str())) {
                    found.insert(format!("{name}: {known} in `{line}`"));
                }
            }
        }
    }
    assert_eq!(found, BTreeSet::new());
}
