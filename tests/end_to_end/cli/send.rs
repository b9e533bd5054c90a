//! `send`: a sender for everyday, and for scripts.

use crate::support::bridge::{program, run};
use crate::support::process::{Output, output};
use crate::support::{Bridge, Nats, Reply, Worker, endpoint, nats, samples};

async fn start(nats: &Nats, name: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>"), &format!("{name}.jobs.>")]).await;
    Bridge::config(endpoint(name).secrets(&["s3cret"])).nats(nats).start_ready().await
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

/// Whoever tries a worker twice means two calls, and not a call that comes again.
#[tokio::test]
async fn each_request_is_a_call_of_its_own() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "send-ids").await;
    let worker = Worker::start(nats, "send-ids.tool.>", |_| Reply::text("sunny")).await;
    let json = async |arguments: &[&str]| -> serde_json::Value {
        let all = [&["tool-calls", "--json"], arguments].concat();
        let output = send(&bridge, "send-ids", &all).await;
        assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{}", output.stdout);
        serde_json::from_str(&output.stdout).unwrap()
    };
    let ids = |answer: &serde_json::Value| answer["body"]["results"][0]["toolCallId"].clone();
    let (first, second) = (json(&[]).await, json(&[]).await);
    assert_eq!((&first["status"], &first["outcome"]), (&200.into(), &"answered".into()));
    assert_eq!((&first["reused"], &second["reused"]), (&false.into(), &false.into()));
    assert_ne!(ids(&first), ids(&second));
    assert_ne!(first["id"], second["id"]);
    assert!(first["milliseconds"].as_f64().unwrap() > 0.0, "{first}");
    assert_eq!(worker.questions().len(), 2);

    let (first, second) = (json(&["--keep-ids"]).await, json(&["--keep-ids"]).await);
    assert_eq!((&first["reused"], &second["reused"]), (&false.into(), &true.into()));
    assert_eq!(ids(&first), ids(&second));
    assert_eq!(worker.questions().len(), 3);
    let again = send(&bridge, "send-ids", &["tool-calls", "--keep-ids"]).await;
    assert!(again.stderr.contains("hookbus-reused: true"), "{}", again.stderr);

    let many = json(&["--count", "20", "--concurrency", "4"]).await;
    let counts =
        serde_json::json!([{"status": 200, "outcome": "answered", "reused": false, "count": 20}]);
    assert_eq!(many["results"], counts);
    assert_eq!(worker.questions().len(), 23);
    let cached = json(&["--count", "5", "--keep-ids"]).await;
    assert_eq!(cached["results"][0]["reused"], true, "{cached}");
    assert_eq!((&cached["requests"], &cached["unanswered"]), (&5.into(), &0.into()));
    assert!(cached["milliseconds"]["p99"].as_f64().unwrap() > 0.0, "{cached}");
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

/// Paths, and what they demand; each is a kind of its own.
const DEMANDS: [(&str, &str); 5] = [
    ("open", "kind = \"none\""),
    (
        "bearer",
        "kind = \"secret\"\nheader = \"authorization\"\nprefix = \"Bearer \"\nsecrets = [\"s1\", \"s2\"]",
    ),
    ("basic", "kind = \"basic\"\nuser = \"vapi\"\npasswords = [\"p1\", \"p2\"]"),
    ("hmac", "kind = \"hmac\"\nsecrets = [\"${HMAC_SECRET}\"]"),
    (
        "knobs",
        "kind = \"hmac\"\nsecrets = [\"c2VjcmV0\"]\nsecret_is_base64 = true\nalgorithm = \"sha512\"\nsignature_prefix = \"v1=\"\nsignature_encoding = \"base64\"\nsignature_header = \"x-sign\"\ntimestamp_header = \"x-time\"\nmessage_id_header = \"x-id\"\npayload_format = \"{method} {url} {timestamp}.{svix-id}.{body}\"\nreplay = \"refuse\"",
    ),
];

#[tokio::test]
async fn it_authenticates_as_a_configuration_demands() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("send-config", &["send-config.>"]).await;
    let mut text = String::new();
    for (name, auth) in DEMANDS {
        let to = format!("nats:send-config.{name}");
        text += &endpoint(name).auth(auth).events_to(&[&to]).to_string();
    }
    let setup = Bridge::config(&text).nats(nats).environment("HMAC_SECRET", "from elsewhere");
    let bridge = setup.start_ready().await;
    let file = bridge.folder().join("hookbus.toml");
    let send = async |path: &str, arguments: &[&str]| {
        let mut command = program();
        command.env("HMAC_SECRET", "from elsewhere").args(["send", "status-update", "--to"]);
        command.arg(bridge.url(path)).args(arguments);
        output(command.into(), b"").await
    };

    let config = ["--config", file.to_str().unwrap()];
    for (name, _) in DEMANDS {
        let path = format!("/{name}");
        let plain = send(&path, &[]).await;
        let is_open = name == "open";
        assert_eq!(plain.code, Some(if is_open { 0 } else { 1 }), "{name}: {}", plain.stderr);
        assert_eq!(plain.stderr.contains("--config FILE"), !is_open, "{name}: {}", plain.stderr);
        let signed = send(&path, &config).await;
        assert_eq!(signed.code, Some(0), "{name}: {}", signed.stderr);
        // Each with a signature of its own.
        let many = ["--count", "20", "--set", "message.call.id=call-{n}"];
        let many = send(&path, &[&config[..], &many].concat()).await;
        assert_eq!(many.code, Some(0), "{name}: {} {}", many.stdout, many.stderr);
    }
    // What is said on the command line wins.
    let other = send("/hmac", &[&config[..], &["--header", "x-signature: 00"]].concat()).await;
    assert!(other.code == Some(1) && other.stderr.contains("401"), "{}", other.stderr);

    let nowhere = send("/elsewhere", &config).await;
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.stderr);
    assert!(
        nowhere.stderr.contains("hint: ") && nowhere.stderr.contains("/hmac"),
        "{}",
        nowhere.stderr
    );
    let file = bridge.folder().join("token.toml");
    let text = "[nats]\nservers = [\"127.0.0.1:4222\"]\n[[endpoint]]\nname = \"token\"\npath = \"/token\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\njwks = \"https://127.0.0.1/keys\"\nalgorithms = [\"RS256\"]\n";
    std::fs::write(&file, text).unwrap();
    let token = send("/token", &["--config", file.to_str().unwrap()]).await;
    assert_eq!(token.code, Some(2), "{}", token.stderr);
    assert!(token.stderr.contains("--header 'Authorization: Bearer TOKEN'"), "{}", token.stderr);
}
