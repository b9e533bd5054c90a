//! `check --connect`: what the brokers say of a configuration.

use crate::cli::dev::Dev;
use crate::support::process::Output;
use crate::support::{HOOK, Nats, bridge, kafka, ports};
use async_nats::jetstream::stream;

/// Runs it on a configuration with one endpoint, `hook`.
async fn check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    // Rules of the endpoint come last.
    let text = text.replace("[endpoint]", HOOK);
    std::fs::write(&file, text).unwrap();
    bridge::run(&["check", "--connect", "--config", file.to_str().unwrap()]).await
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_in_one_run() {
    let Some(nats) = Nats::start_with("max_payload: 1MB").await else {
        return;
    };
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let limit = [("max.message.bytes", "2000")];
    kafka.create_topic_with("connect-small", 1, &limit).await;
    nats.create_stream("GREEDY", &["hook.ask.>"]).await;
    nats.create_stream_with(stream::Config {
        name: "FORGETFUL".to_owned(),
        subjects: vec!["kept.>".to_owned()],
        max_messages: 1_000,
        discard: stream::DiscardPolicy::Old,
        ..Default::default()
    })
    .await;
    let output = check(&format!(
        r#"
        [nats]
        servers = ["{}"]
        [[nats.stream]]
        name = "FORGETFUL"
        subjects = ["kept.>"]
        [kafka]
        brokers = ["{}"]
        [[kafka.topic]]
        name = "connect-declared"
        [endpoint]
        [[endpoint.event]]
        types = ["transcript*"]
        to = ["nats:kept.{{type}}", "kafka:connect-small", "kafka:connect-missing", "kafka:connect-declared"]
        "#,
        nats.url(),
        kafka.bootstrap(),
    ))
    .await;
    assert_eq!(output.code, Some(2), "{output:?}");
    for text in [
        "error: nats: stream `GREEDY` stores `hook.ask.>`",
        "error: nats: stream `FORGETFUL` exists and differs: discard is Old, wanted New",
        "error: nats: no stream stores `hook.events.>`",
        "warning: nats: stream `FORGETFUL` deletes its oldest messages",
        "warning: nats: stream `FORGETFUL` has a single copy",
        "warning: nats: the server takes no message over 1048576 bytes (max_payload), but `http.max_body` is 8MiB: larger events are answered with 202 and kept as dead letters, which no consumer sees, and larger questions end as `too-large`",
        "error: kafka: topic `connect-missing` is missing",
        "note: kafka: topic `connect-declared` is missing; `serve` will create it",
        "warning: kafka: topic `connect-declared` has a single copy",
        "warning: kafka: topic `connect-small` has a single copy (replication factor 1)",
        "warning: kafka: topic `connect-small` takes no record over 2000 bytes",
    ] {
        assert!(output.stderr.contains(text), "{text}\nin\n{}", output.stderr);
    }
    let lines: Vec<&str> = output.stderr.lines().collect();
    for pair in lines.windows(2) {
        let has_hint = !pair[0].starts_with("error: ") && !pair[0].starts_with("warning: ")
            || pair[1].starts_with("  hint: ");
        assert!(has_hint, "{}\n{}", pair[0], pair[1]);
    }
    // What was learned is said all the same.
    for text in ["nats: reached `", "kafka: reached cluster `"] {
        assert!(output.stdout.contains(text), "{}", output.stdout);
    }
    assert!(!output.stdout.contains("ok:"), "{}", output.stdout);
}

#[tokio::test]
async fn what_was_reached_is_named() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic("connect-fine", 1).await;
    let output = check(&format!(
        r#"
        [http]
        max_body = "512KiB"
        [nats]
        servers = ["{}"]
        [[nats.stream]]
        name = "HOOK"
        subjects = ["hook.events.>", "hook.jobs.>"]
        [kafka]
        brokers = ["{}"]
        [endpoint]
        [[endpoint.event]]
        types = ["transcript*"]
        to = ["kafka:connect-fine"]
        "#,
        nats.url(),
        kafka.bootstrap(),
    ))
    .await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stderr.contains("note: nats: stream `HOOK` is missing; `serve` will create it"),
        "{}",
        output.stderr
    );
    let server = nats.client().await.server_info();
    let reached = format!(
        "\nnats: reached `{}`, nats-server {}, at 127.0.0.1:{}\n",
        server.server_name,
        server.version,
        nats.port()
    );
    assert!(output.stdout.contains(&reached), "{}", output.stdout);
    let brokers = format!("({})\n", kafka.bootstrap());
    assert!(
        output.stdout.contains("\nkafka: reached cluster `") && output.stdout.ends_with(&brokers),
        "{}",
        output.stdout
    );
    // It only looks.
    assert!(nats.jetstream().await.get_stream("HOOK").await.is_err());
}

#[tokio::test]
async fn brokers_that_are_not_there_are_named() {
    let (nats, kafka) = (ports::free(), ports::free());
    let output = check(&format!(
        "[nats]\nservers = [\"nats://127.0.0.1:{nats}\"]\n[kafka]\nbrokers = [\"127.0.0.1:{kafka}\"]\n[endpoint]"
    ))
    .await;
    assert_eq!(output.code, Some(1), "{output:?}");
    for text in [
        format!("error: nats: 127.0.0.1:{nats}: Connection refused"),
        format!("error: kafka: 127.0.0.1:{kafka}/bootstrap: Connect to "),
    ] {
        assert!(output.stderr.contains(&text), "{text}\nin\n{}", output.stderr);
    }
    assert_eq!(output.stdout, "");
}

/// Types that no stream or topic takes, under templates that others of go somewhere.
#[tokio::test]
async fn types_without_a_home_are_named() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    nats.create_stream("SOME", &["homes.hang", "homes.transcript"]).await;
    nats.create_stream("ALL", &["all.>", "hook.jobs.>"]).await;
    kafka.create_topic("homes-hang", 1).await;
    let config = |types: &str| {
        format!(
            r#"
        [http]
        max_body = "512KiB"
        [nats]
        servers = ["{}"]
        [kafka]
        brokers = ["{}"]
        [endpoint]
        [[endpoint.event]]
        types = [{types}]
        to = ["nats:homes.{{type}}", "kafka:homes-{{type}}"]
        [[endpoint.event]]
        types = ["*"]
        to = ["nats:all.{{type}}"]
        "#,
            nats.url(),
            kafka.bootstrap(),
        )
    };
    let some = config(r#""hang", "transcript", "status-update", "session.*""#);
    let output = check(&some).await;
    assert_ne!(output.code, Some(0), "{output:?}");
    for text in [
        "error: nats: no stream stores `homes.session.created`, `homes.session.deleted`, `homes.session.updated` and 1 more, where `nats:homes.{type}` goes",
        "error: kafka: topics are missing, or this user may not see them, where `kafka:homes-{type}` goes: `homes-session.created`, `homes-session.deleted`, `homes-session.updated` and 2 more; these events would wait on disk",
    ] {
        assert!(output.stderr.contains(text), "{text}\nin\n{}", output.stderr);
    }
    assert!(!output.stderr.contains("all."), "{}", output.stderr);

    // Streams that take all that comes need no more than that.
    let output = check(&config(r#""hang""#)).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        !output.stderr.contains("homes.") && !output.stderr.contains("homes-{type}"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn the_mock_cluster_of_dev_will_do() {
    let Some(dev) = Dev::start(&["--kafka"]).await else { return };
    let kafka = dev.address("kafka");
    let brokers = kafka.split(',').next().unwrap();
    let output = check(&format!(
        "[http]\nmax_body = \"512KiB\"\n[kafka]\nbrokers = [\"{brokers}\"]\n[endpoint]\n[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"kafka:vapi.events\"]\n"
    ))
    .await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("\nkafka: reached cluster `mockCluster"), "{output:?}");
    assert!(
        output.stderr.contains("note: kafka: this is the mock cluster of `hookbus dev --kafka`"),
        "{output:?}"
    );
    for text in ["could not be looked at", "single copy"] {
        assert!(!output.stderr.contains(text), "{output:?}");
    }
    dev.end().await;
}
