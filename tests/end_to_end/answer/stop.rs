//! The end of the worker, and the end of the connection.

use super::{Answer, PATIENCE, ask, ask_within, gone, text};
use crate::support::{Nats, eventually};
use async_nats::RequestErrorKind;
use serde_json::json;
use std::time::Duration;

const WAIT: &str = "echo $$ > running; while [ ! -e go ]; do sleep 0.05; done; echo fine";

#[tokio::test]
async fn a_call_in_flight_is_finished() {
    let Some(nats) = Nats::start().await else { return };
    let mut answer = Answer::ready(&nats, &["f", "--", "sh", "-c", WAIT]).await;
    let client = nats.client().await;
    let asked = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, "f", json!({})).await }
    });
    answer.file("running").await;
    answer.process.signal("TERM");
    answer.said("stopping: 1 in flight").await;
    // Nobody is there for further questions, and they hear that at once.
    let further = ask_within(&client, "f", json!({}), PATIENCE).await;
    assert_eq!(further.unwrap_err(), RequestErrorKind::NoResponders);
    answer.touch("go");
    assert_eq!(text(&asked.await.unwrap()), "fine");
    answer.end(0).await;
}

#[tokio::test]
async fn no_question_is_lost_by_a_stop() {
    let Some(nats) = Nats::start().await else { return };
    let mut answer =
        Answer::ready(&nats, &["f", "--concurrency", "8", "--waiting", "1000", "--", "cat"]).await;
    let client = nats.client().await;
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        askers.spawn(async move {
            let mut answered = 0;
            loop {
                match ask_within(&client, "f", json!({}), PATIENCE).await {
                    Ok(reply) => assert_eq!(text(&reply), "{}"),
                    Err(RequestErrorKind::NoResponders) => return answered,
                    Err(lost) => panic!("{lost:?} after {answered} answers"),
                }
                answered += 1;
            }
        });
    }
    eventually("some answers", PATIENCE, async || {
        (answer.log().matches("answered").count() > 50).then_some(())
    })
    .await;
    answer.process.signal("TERM");
    let counts = askers.join_all().await;
    assert!(counts.iter().sum::<u32>() > 50, "{counts:?}");
    answer.end(0).await;
}

#[tokio::test]
async fn what_takes_longer_than_the_drain_is_ended() {
    let Some(nats) = Nats::start().await else { return };
    let mut answer = Answer::ready(&nats, &["f", "--drain", "300ms", "--", "sh", "-c", WAIT]).await;
    let client = nats.client().await;
    let asked = tokio::spawn(async move { ask_within(&client, "f", json!({}), PATIENCE).await });
    let running = answer.file("running").await;
    answer.process.signal("INT");
    answer.end(0).await;
    gone(&running).await;
    asked.abort();
}

#[tokio::test]
async fn a_second_signal_waits_for_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let mut answer = Answer::ready(&nats, &["f", "--drain", "10m", "--", "sh", "-c", WAIT]).await;
    let client = nats.client().await;
    let asked = tokio::spawn(async move { ask_within(&client, "f", json!({}), PATIENCE).await });
    let running = answer.file("running").await;
    answer.process.signal("TERM");
    answer.said("stopping: 1 in flight").await;
    answer.process.signal("TERM");
    answer.end(0).await;
    gone(&running).await;
    asked.abort();
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let Some(mut nats) = Nats::start().await else { return };
    let mut answer = Answer::ready(&nats, &["f", "--", "sh", "-c", WAIT]).await;
    let client = nats.client().await;
    let asked = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, "f", json!({})).await }
    });
    answer.file("running").await;
    nats.restart().await;
    answer.said("hookbus answer is ready again").await;
    eventually("the asker to be back", PATIENCE, async || {
        let is_back = client.connection_state() == async_nats::connection::State::Connected;
        // Its subscriptions are renewed before anything else is sent.
        (is_back && client.request("vapi.tool.nobody", "".into()).await.is_err()).then_some(())
    })
    .await;
    // The answer goes through the new connection.
    answer.touch("go");
    assert_eq!(text(&asked.await.unwrap()), "fine");
    assert_eq!(text(&ask(&client, "f", json!({})).await), "fine");
    answer.stop().await;
}

#[tokio::test]
async fn it_stops_without_a_server_too() {
    let Some(mut nats) = Nats::start().await else { return };
    let mut answer = Answer::ready(&nats, &["f", "--", "cat"]).await;
    nats.kill();
    answer.said("the connection to NATS is gone").await;
    let began = std::time::Instant::now();
    answer.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
