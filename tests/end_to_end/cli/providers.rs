//! `providers`, and what `dev` and `send` do for one: all of it as a newcomer would try it.

use super::dev::Dev;
use crate::support::bridge::{program, run};
use crate::support::process::output;
use crate::support::{Bridge, nats};

/// The names of all, with whether they are described and not coded.
async fn names() -> Vec<(String, bool)> {
    let listed = run(&["providers", "list", "--json"]).await;
    assert_eq!((listed.code, &*listed.stderr), (Some(0), ""));
    let rows = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let name = |row: serde_json::Value| {
        let name = row["name"].as_str().unwrap().to_owned();
        let is_described = name != "vapi";
        (name, is_described)
    };
    rows.map(name).collect()
}

#[tokio::test]
async fn the_list_has_all_of_them() {
    let listed = run(&["providers", "list"]).await;
    assert_eq!((listed.code, &*listed.stderr), (Some(0), ""));
    let lines: Vec<_> = listed.stdout.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{}", lines[0]);
    let stripe = lines.iter().find(|line| line.starts_with("stripe ")).expect("stripe");
    for part in ["Stripe", "events", "sdk", "Payments"] {
        assert!(stripe.contains(part), "{part} is not in {stripe}");
    }
    let names = names().await;
    assert_eq!(lines.len(), names.len() + 1);
    assert!(names.len() > 60, "{}", names.len());
    assert_eq!(run(&["providers"]).await.stdout, listed.stdout);
    let misspelt = run(&["providers", "show", "strip"]).await;
    assert_eq!((misspelt.code, &*misspelt.stdout), (Some(2), ""));
    assert!(misspelt.stderr.contains("did you mean `stripe`?"), "{}", misspelt.stderr);
}

/// What `show` prints, with the endpoint that stands in its comments.
async fn shown(name: &str) -> (String, String) {
    let shown = run(&["providers", "show", name]).await;
    assert_eq!((shown.code, &*shown.stderr), (Some(0), ""), "{name}");
    let (description, endpoint) = shown.stdout.split_once("# [[endpoint]]").expect("an endpoint");
    let lines = endpoint.lines().map(|line| line.strip_prefix('#').unwrap_or(line).trim_start());
    let endpoint = format!("[[endpoint]]{}\n", lines.collect::<Vec<_>>().join("\n"));
    (description.to_owned(), endpoint)
}

#[tokio::test]
async fn what_is_shown_is_a_configuration() {
    let mut text = "[nats]\n\n".to_owned();
    let mut variables = Vec::new();
    for (name, is_described) in names().await {
        let (description, endpoint) = shown(&name).await;
        assert_eq!(description.contains(&format!("[provider.{name}]")), is_described);
        text.push_str(&description);
        for variable in endpoint.split("${").skip(1) {
            variables.push(variable.split('}').next().unwrap().to_owned());
        }
        text.push_str(&endpoint);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, &text).unwrap();
    let mut command = program();
    command.arg("check").arg("--config").arg(&file);
    for variable in variables {
        // One that is base64 and hex, of the length of a key; SPKIs have forms of their own.
        let value = match &*variable {
            "SENDGRID_PUBLIC_KEY" | "WISE_PUBLIC_KEY" => {
                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
            }
            "TELNYX_PUBLIC_KEY" => "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            _ => "abababababababababababababababababababababababababababababababab",
        };
        command.env(variable, value);
    }
    let checked = output(command.into(), b"").await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
}

/// A provider of each kind of signature, with a sample, its secret, and what its endpoint needs beside that.
const KINDS: [(&str, &str, &str, &str); 9] = [
    ("stripe", "charge.succeeded", "whsec_test", ""),
    (
        "shopify",
        "",
        "s3cret",
        "trust_unsigned = [\"x-shopify-topic\", \"shopify-topic\", \"x-shopify-webhook-id\"]",
    ),
    ("standard-webhooks", "", "whsec_c2VjcmV0c2VjcmV0", ""),
    ("gitlab", "", "s3cret", ""),
    ("livekit", "participant_joined", "s3cret", ""),
    ("mailgun", "", "s3cret", "trust_unsigned = [\"/event-data/event\", \"/event-data/severity\"]"),
    ("twilio", "call.completed", "s3cret", "public_url = \"{url}\""),
    ("slack", "", "s3cret", ""),
    ("linear", "", "s3cret", ""),
];

#[tokio::test]
async fn a_sample_of_each_kind_is_signed_verified_and_stored() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("KINDS", &["kinds.>"]).await;
    let mut wrong = Vec::new();
    for (name, sample, secret, more) in KINDS {
        let text = format!(
            "[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"{name}\"\n{}\n\
             [[endpoint.auth]]\nkind = \"signature\"\nsecrets = [\"{secret}\"]\n\
             [[endpoint.event]]\ntypes = [\"*\"]\nto = [\"nats:kinds.{name}.{{type}}\"]\n",
            more.replace("{url}", &format!("https://hooks.example.com/{name}"))
        );
        let bridge = Bridge::config(&text).nats(nats).start_ready().await;
        let url = bridge.url(&format!("/{name}"));
        let listed = run(&["send", "--provider", name, "--list"]).await.stdout;
        let first = listed.split_whitespace().next().expect("a sample").to_owned();
        let sample = if sample.is_empty() { &first } else { sample };
        let base = ["send", "--provider", name, sample, "--to", &url];
        // What stands in the configuration also has the URL that is signed.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hookbus.toml");
        std::fs::write(&file, format!("[nats]\n{text}")).unwrap();
        let config = file.to_str().unwrap();
        let sent = run(&[&base[..], &["--config", config]].concat()).await;
        if sent.code != Some(0) {
            wrong.push(format!("{name} {sample}: {sent:?}"));
        }
        let refused = run(&[&base[..], &["--secret", "YW5vdGhlciBvbmU="]].concat()).await;
        // GitLab disables a hook for good after a 401.
        if refused.code != Some(1) {
            wrong.push(format!("{name} {sample} with another secret: {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    nats.messages("KINDS", KINDS.len() as u64).await;
}

#[tokio::test]
async fn dev_opens_endpoints_for_providers() {
    let arguments = ["--provider", "stripe", "--provider", "twilio"];
    let Some(dev) = Dev::start(&arguments).await else { return };
    let commands = dev.commands();
    let of = |name: &str| {
        let part = format!(" send --provider {name} ");
        commands.iter().filter(move |command| command.contains(&part)).cloned().collect::<Vec<_>>()
    };
    assert_eq!((of("stripe").len(), of("twilio").len()), (3, 3), "{commands:#?}");
    for command in of("stripe").iter().chain(&of("twilio")) {
        let sent = super::dev::shell(command).await;
        let is_question = ["issuing_authorization.request", "voice", "message "]
            .iter()
            .any(|kind| format!("{command} ").contains(&format!(" {kind}")));
        let expected = if is_question { Some(1) } else { Some(0) };
        assert_eq!(sent.code, expected, "{command}: {sent:?}");
    }
    let answer = commands.iter().find(|command| command.contains("--subject twilio.ask.voice"));
    let answer = answer.expect("how to answer").replace("answer", "answer --lines");
    assert!(answer.contains("echo '<Response/>'"), "{answer}");
    dev.end().await;
    let printed = run(&["dev", "--provider", "github", "--print-config"]).await.stdout;
    assert!(printed.contains("source = \"github\""), "{printed}");
}
