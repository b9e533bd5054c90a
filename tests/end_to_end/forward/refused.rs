//! What can't be forwarded, and what is said then.

use super::{Forward, Server};
use crate::support::Nats;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy};

async fn refused(nats: &Nats, flags: &[&str], code: i32) -> String {
    let Some(server) = Server::start() else { return String::new() };
    let (url, to) = (nats.url(), server.url("ok"));
    let mut all = vec!["--server", &url, "--to", &to, "--only", "events"];
    all.extend(flags);
    Forward::start(&all).end(code).await
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.is_empty() || text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[tokio::test]
async fn a_stream_that_is_not_there() {
    let Some(nats) = Nats::start().await else { return };
    let text = refused(&nats, &[], 1).await;
    assert_holds(&text, &["error: no stream takes `vapi.events.>`", "hint: declare one"]);
}

#[tokio::test]
async fn a_consumer_with_other_settings() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("VAPI", &["vapi.events.>"]).await;
    let stream = nats.jetstream().await.get_stream("VAPI").await.unwrap();
    let config = pull::Config {
        durable_name: Some("crm".to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_deliver: 5,
        filter_subject: "vapi.events.hang".to_owned(),
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let text = refused(&nats, &["--durable", "crm"], 1).await;
    assert_holds(
        &text,
        &[
            "the consumer `crm` of the stream `VAPI` has other settings",
            "max_deliver is 5, and must be -1",
            "filter_subjects is `vapi.events.hang`, and must be `vapi.events.>`",
            "hint: give --durable another name",
        ],
    );
}

#[tokio::test]
async fn a_stream_that_deletes_what_was_acknowledged() {
    let Some(nats) = Nats::start().await else { return };
    let config = Config {
        name: "VAPI".to_owned(),
        subjects: vec!["vapi.events.>".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    nats.create_stream_with(config).await;
    let text = refused(&nats, &["--durable", "crm"], 1).await;
    assert_holds(&text, &["the stream `VAPI` deletes what was acknowledged", "--dead-letters"]);
}

#[tokio::test]
async fn dead_letters_that_would_come_back_or_be_lost() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("VAPI", &["vapi.events.>"]).await;
    let text = refused(&nats, &["--dead-letters", "vapi.events.dead"], 1).await;
    assert_holds(&text, &["they would be read again as events of the stream `VAPI`"]);
    let text = refused(&nats, &["--dead-letters", "vapi.dead"], 1).await;
    assert_holds(&text, &["dead letters can't go to `vapi.dead`: no stream takes it"]);
    let text = refused(&nats, &["--dead-letters", "vapi.*"], 2).await;
    assert_holds(&text, &["dead letters can't go to `vapi.*`"]);
}

#[tokio::test]
async fn flags_that_make_no_sense() {
    let Some(nats) = Nats::start().await else { return };
    for flags in [
        &["--mine", "a", "--durable", "d"][..],
        &["--dry-run", "--durable", "d"],
        &["--where", "id=7"],
        &["--max-deliver", "0"],
        &["--durable", "a b"],
    ] {
        refused(&nats, flags, 2).await;
    }
    let (url, to) = (nats.url(), "ftp://localhost/");
    Forward::start(&["--server", &url, "--to", to]).end(2).await;
    let flags =
        ["--server", &url, "--to", "http://localhost/", "--only", "questions", "--mine", "a"];
    let text = Forward::start(&flags).end(2).await;
    assert_holds(&text, &["there is nothing to post", "--queue"]);
}
