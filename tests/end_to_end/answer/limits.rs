//! Time, number and size: what is too late, too many or too large.

use super::{Answer, PATIENCE, ask, ask_within, call, error, gone, headers, text};
use crate::support::Nats;
use async_nats::RequestErrorKind;
use futures_util::future::join_all;
use hookbus::nats::header::insert;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn at_the_deadline_the_program_and_all_it_started_are_ended() {
    let Some(nats) = Nats::start().await else { return };
    // The shell and its child; one of them doesn't want to.
    let script = "sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.1; done' & echo $$ > shell; wait";
    let mut answer = Answer::ready(&nats, &["slow", "--", "sh", "-c", script]).await;
    let client = nats.client().await;
    let asked = ask_within(&client, "slow", json!({}), Duration::from_millis(1500)).await;
    assert_eq!(asked.unwrap_err(), RequestErrorKind::TimedOut);
    gone(&answer.file("child").await).await;
    gone(&answer.file("shell").await).await;
    answer.said("slow delivery-1: too slow: its deadline passed (").await;
}

#[tokio::test]
async fn an_expired_question_starts_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let mut answer =
        Answer::ready(&nats, &["f", "--", "sh", "-c", "echo run >> runs; echo done"]).await;
    let client = nats.client().await;
    // By the deadline, and by the time that is left.
    for (name, value) in [("Hookbus-Deadline", "1000"), ("Hookbus-Timeout-Ms", "0")] {
        let mut headers = headers(PATIENCE);
        insert(&mut headers, name, value.parse().unwrap());
        let payload = call("f", json!({})).to_string();
        client
            .publish_with_reply_and_headers("vapi.tool.f", "nobody", headers, payload.into())
            .await
            .unwrap();
    }
    assert_eq!(text(&ask(&client, "f", json!({})).await), "done");
    answer.said("dropped, since it is past its deadline").await;
    assert_eq!(answer.log().matches("past its deadline").count(), 2, "{}", answer.log());
    assert_eq!(answer.file("runs").await, "run\n");
}

#[tokio::test]
async fn so_many_run_at_a_time_and_the_rest_waits() {
    let Some(nats) = Nats::start().await else { return };
    let script = "mkdir -p running; mkdir running/$$; ls running | wc -l >> counts; sleep 0.2; rmdir running/$$; echo fine";
    let answer = Answer::ready(&nats, &["f", "--concurrency", "3", "--", "sh", "-c", script]).await;
    let client = nats.client().await;
    let replies = join_all((0..20).map(|_| ask(&client, "f", json!({})))).await;
    assert!(replies.iter().all(|reply| text(reply) == "fine"));
    let counts = answer.file("counts").await;
    let counts: Vec<u32> = counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert_eq!((counts.len(), counts.iter().max()), (20, Some(&3)), "{counts:?}");
}

#[tokio::test]
async fn a_hundred_at_the_same_time() {
    let Some(nats) = Nats::start().await else { return };
    let _answer = Answer::ready(&nats, &["f", "--", "cat"]).await;
    let client = nats.client().await;
    let replies = join_all((0..100).map(|n| ask(&client, "f", json!({ "n": n })))).await;
    for (n, reply) in replies.iter().enumerate() {
        assert_eq!(text(reply), json!({ "n": n }).to_string());
    }
}

#[tokio::test]
async fn over_its_bound_it_says_that_it_is_busy() {
    let Some(nats) = Nats::start().await else { return };
    let script = "echo run >> runs; while [ ! -e go ]; do sleep 0.05; done; echo fine";
    let options = ["f", "--concurrency", "1", "--waiting", "1", "--", "sh", "-c", script];
    let mut answer = Answer::ready(&nats, &options).await;
    let client = nats.client().await;
    let first = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, "f", json!({})).await }
    });
    answer.file("runs").await;
    // This one waits, and its time is over before its turn comes.
    let waited = ask_within(&client, "f", json!({}), Duration::from_millis(300)).await;
    assert_eq!(waited.unwrap_err(), RequestErrorKind::TimedOut);
    answer.said("dropped, since its deadline passed while it waited").await;
    // Of two more, one may wait.
    let mut further = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let client = client.clone();
        further.spawn(async move { ask(&client, "f", json!({})).await });
    }
    let busy = further.join_next().await.unwrap().unwrap();
    assert_eq!(error(&busy), ("503", "busy: too many questions at the same time"));
    answer.said("refused, since it is busy").await;
    answer.touch("go");
    assert_eq!(text(&first.await.unwrap()), "fine");
    assert_eq!(text(&further.join_next().await.unwrap().unwrap()), "fine");
}

#[tokio::test]
async fn an_answer_may_be_as_large_as_a_message() {
    let Some(nats) = Nats::start_with("max_payload: 1MB").await else { return };
    let script = r#"case $HOOKBUS_FUNCTION in
        fits) head -c 900000 /dev/zero | tr '\0' x;;
        exact) head -c 1048576 /dev/zero | tr '\0' x; echo;;
        over) head -c 1048577 /dev/zero | tr '\0' x;;
        endless) yes; echo more;;
    esac"#;
    let options = ["fits", "exact", "over", "endless", "--", "sh", "-c", script];
    let _answer = Answer::ready(&nats, &options).await;
    let client = nats.client().await;
    assert_eq!(ask(&client, "fits", json!({})).await.payload.len(), 900_000);
    assert_eq!(ask(&client, "exact", json!({})).await.payload.len(), 1_048_576);
    let began = Instant::now();
    for function in ["over", "endless"] {
        let reply = ask(&client, function, json!({})).await;
        let expected = "the answer is larger than the 1048576 bytes that the server takes";
        assert_eq!(error(&reply), ("500", expected), "{function}");
    }
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}
