//! `send`: a sender for everyday, and for scripts.

use crate::support::bridge::{program, run};
use crate::support::process::{Output, output};
use crate::support::{Bridge, Nats, Reply, Worker, nats, samples};

async fn start(nats: &Nats, name: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>"), &format!("{name}.jobs.>")]).await;
    let endpoint = format!(
        "[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"secret\"\nheader = \"x-vapi-secret\"\nsecrets = [\"s3cret\"]\n"
    );
    Bridge::config(&endpoint).nats(nats).start_ready().await
}

/// `hookbus send ARGUMENTS`, to this endpoint with its secret.
async fn send(bridge: &Bridge, name: &str, arguments: &[&str]) -> Output {
    let url = bridge.url(&format!("/{name}"));
    let common = ["send", "--to", &url, "--secret", "s3cret"];
    run(&[&common, arguments].concat()).await
}

#[tokio::test]
async fn it_shows_the_answer_and_ends_by_it() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "send").await;
    let worker = Worker::start(nats, "send.tool.get_weather", |asked| {
        Reply::text(format!("sunny in {}", asked.json()["arguments"]["city"].as_str().unwrap()))
    })
    .await;
    let arguments =
        ["tool-calls", "--function", "get_weather", "--arguments", r#"{"city": "Oslo"}"#];
    let answered = send(&bridge, "send", &arguments).await;
    assert_eq!(answered.code, Some(0), "{}", answered.stderr);
    // The body as it came, for the next program.
    let body: serde_json::Value = serde_json::from_str(&answered.stdout).unwrap();
    assert_eq!(body["results"][0]["result"], "sunny in Oslo");
    assert_eq!(body["results"][0]["name"], "get_weather");
    let asked = worker.questions().pop().unwrap();
    let id = format!("hookbus-id: {}", asked.header("Hookbus-Id").unwrap());
    for said in ["200 OK", "hookbus-outcome: answered", "latency: ", &id] {
        assert!(answered.stderr.contains(said), "{said} is not in {}", answered.stderr);
    }

    let stored = send(
        &bridge,
        "send",
        &["status-update", "--set", "message.call.id=call-7", "--set", "message.n=[1]"],
    )
    .await;
    assert_eq!((stored.code, stored.stdout.as_str()), (Some(0), "{}"));
    let event = nats.messages("send", 1).await.pop().unwrap();
    assert_eq!(event.header("ce-subject"), Some("call-7"));
    assert!(stored.stderr.contains(event.header("ce-id").unwrap()), "{}", stored.stderr);
    let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(event["message"]["n"], serde_json::json!([1]));

    // An answer that isn't a good one is a failure, and is shown all the same.
    let unanswered = send(&bridge, "send", &["campaign.predial"]).await;
    assert_eq!(unanswered.code, Some(1));
    assert!(unanswered.stderr.contains("503"), "{}", unanswered.stderr);
    assert!(unanswered.stdout.contains(r#""status":503"#), "{}", unanswered.stdout);
}

#[tokio::test]
async fn it_says_what_to_do_when_it_fails() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "send-fails").await;
    let url = bridge.url("/send-fails");
    let hint = |output: &Output, code: i32, words: &[&str]| {
        assert_eq!(output.code, Some(code), "{}", output.stderr);
        for word in words.iter().chain(&["hint: "]) {
            assert!(output.stderr.contains(word), "{word} is not in {}", output.stderr);
        }
    };
    let wrong = run(&["send", "status-update", "--to", &url, "--secret", "wr0ng"]).await;
    hint(&wrong, 1, &["401", "--secret"]);
    assert!(!wrong.stderr.contains("wr0ng"), "{}", wrong.stderr);
    let path = run(&["send", "status-update", "--to", &bridge.url("/elsewhere")]).await;
    hint(&path, 1, &["404", "--to"]);
    hint(&send(&bridge, "send-fails", &["tool-cals"]).await, 2, &["tool-calls"]);
    let nobody = format!("http://127.0.0.1:{}/vapi", crate::support::ports::free());
    hint(&run(&["send", "status-update", "--to", &nobody]).await, 1, &["hookbus dev"]);
    let many = run(&["send", "status-update", "--to", &nobody, "--count", "3"]).await;
    hint(&many, 1, &["hookbus dev"]);
    for arguments in
        [&["status-update", "--set", "message"][..], &["status-update", "--function", "f"]]
    {
        let output = send(&bridge, "send-fails", arguments).await;
        assert_eq!(output.code, Some(2), "{arguments:?}: {}", output.stderr);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
    assert!(nats.messages("send-fails", 0).await.is_empty());
}

#[tokio::test]
async fn it_sends_files_and_standard_input_as_they_are() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "send-file").await;
    let body = " {\"message\" : {\"type\":\"custom\", \"n\": 1.50}}\n";
    let path = bridge.folder().join("body.json");
    std::fs::write(&path, body).unwrap();
    let output1 = send(&bridge, "send-file", &[path.to_str().unwrap()]).await;
    assert_eq!(output1.code, Some(0), "{}", output1.stderr);
    let url = bridge.url("/send-file");
    let mut command = program();
    command.args(["send", "-", "--to", &url, "--header", "X-Vapi-Secret: s3cret"]);
    let output2 = output(command.into(), body.as_bytes()).await;
    assert_eq!(output2.code, Some(0), "{}", output2.stderr);
    let stored = nats.messages("send-file", 2).await;
    assert!(stored.iter().all(|stored| stored.payload == body));
}

#[tokio::test]
async fn it_sends_many_at_a_time() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "send-many").await;
    let arguments =
        ["transcript", "--count", "200", "--concurrency", "8", "--set", "message.call.id=call-{n}"];
    let output = send(&bridge, "send-many", &arguments).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    for word in ["200", "p99"] {
        assert!(output.stdout.contains(word), "{word} is not in {}", output.stdout);
    }
    let stored = nats.messages("send-many", 200).await;
    let mut keys: Vec<_> =
        stored.iter().map(|stored| stored.header("ce-subject").unwrap().to_owned()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((stored.len(), keys.len()), (200, 200));
    // Some that fail are told, too.
    let output = send(&bridge, "send-many", &["campaign.predial", "--count", "3"]).await;
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("no-responders"), "{}", output.stdout);
}

#[tokio::test]
async fn it_has_a_sample_of_every_type() {
    let output = run(&["send", "--list"]).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let named: Vec<_> = output.stdout.split_whitespace().collect();
    for sample in samples() {
        let name = sample.file.strip_suffix(".json").unwrap();
        // Those of 80 kB stay out of the program.
        let is_large = name.ends_with("--large");
        assert!(is_large || named.contains(&name), "{name} is not in {}", output.stdout);
    }
}
