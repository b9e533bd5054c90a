//! What breaks in the middle: the server, NATS, the command itself.

use super::events::{bodies, publish, settled, start};
use super::{Forward, PATIENCE};
use crate::support::eventually;
use std::collections::BTreeSet;

#[tokio::test]
async fn a_server_that_is_down_is_waited_for() {
    let Some((nats, mut server)) = start().await else { return };
    server.kill();
    let flags = ["--durable", "d", "--max-deliver", "1"];
    let mut forward = Forward::events(&nats, &server.url("ok"), &flags).await;
    publish(&nats, "hang", Some("a"), "1").await;
    publish(&nats, "hang", Some("a"), "2").await;
    // That nothing is there says nothing of an event: it isn't given up.
    eventually("two attempts", PATIENCE, async || {
        (forward.log().matches("can't be reached").count() >= 2).then_some(())
    })
    .await;
    server.restart().await;
    assert_eq!(bodies(&server.heard(2).await, "a"), ["1", "2"]);
    settled(&nats, "d").await;
    forward.stop().await;
}

#[tokio::test]
async fn a_restart_of_nats_loses_nothing_and_keeps_the_order() {
    for flags in [&[][..], &["--durable", "d"]] {
        let Some((mut nats, server)) = start().await else { return };
        let mut forward = Forward::events(&nats, &server.url("slow/0.2"), flags).await;
        for number in 0..10 {
            publish(&nats, "hang", Some("a"), &number.to_string()).await;
        }
        server.heard(3).await;
        nats.restart().await;
        for number in 10..15 {
            publish(&nats, "hang", Some("a"), &number.to_string()).await;
        }
        forward.said("events again from").await;
        let requests = eventually("all of them", PATIENCE * 2, async || {
            let requests = server.requests();
            bodies(&requests, "a").contains(&"14").then_some(requests)
        })
        .await;
        let expected: Vec<_> = (0..15).map(|number| number.to_string()).collect();
        assert_eq!(bodies(&requests, "a"), expected, "{flags:?}");
    }
}

#[tokio::test]
async fn what_a_killed_instance_held_comes_before_what_is_new() {
    let Some((nats, server)) = start().await else { return };
    let mut killed = Forward::events(&nats, &server.url("slow/2"), &["--durable", "d"]).await;
    for number in 0..3 {
        publish(&nats, "hang", Some("a"), &number.to_string()).await;
    }
    eventually("all to be handed out", PATIENCE, async || {
        (super::events::consumer(&nats, "d").await.num_ack_pending == 3).then_some(())
    })
    .await;
    killed.process.kill();
    publish(&nats, "hang", Some("a"), "3").await;
    let mut again = Forward::events(&nats, &server.url("ok"), &["--durable", "d"]).await;
    again.said("are with another instance, or with one that is gone").await;
    let requests = eventually("all of them", PATIENCE * 2, async || {
        let requests = server.requests();
        bodies(&requests, "a").contains(&"3").then_some(requests)
    })
    .await;
    settled(&nats, "d").await;
    // The one that was being posted comes twice.
    let all = bodies(&requests, "a");
    let distinct: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(distinct.len(), 4, "{all:?}");
    assert_eq!(all[all.len() - 4..], ["0", "1", "2", "3"]);
}

/// The server is killed at moments that chance decides, under load: nothing is lost, and first occurrences of a key are
/// in order.
#[tokio::test]
async fn a_server_that_is_killed_at_random_loses_nothing() {
    const EVENTS: usize = 400;
    const KEYS: usize = 16;
    let Some((nats, mut server)) = start().await else { return };
    let flags = ["--durable", "d", "--max-deliver", "1000"];
    let mut forward = Forward::events(&nats, &server.url("slow/0.01"), &flags).await;
    let mut random = uuid::Uuid::new_v4().as_u128() | 1;
    for number in 0..EVENTS {
        publish(&nats, "hang", Some(&format!("k{}", number % KEYS)), &number.to_string()).await;
        random = random.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17);
        if random.is_multiple_of(60) {
            server.restart().await;
        }
    }
    server.restart().await;
    let requests = eventually("all of them", PATIENCE * 3, async || {
        let requests = server.requests();
        let distinct: BTreeSet<_> = requests.iter().map(|request| &request.body).collect();
        (distinct.len() == EVENTS).then_some(requests.clone())
    })
    .await;
    settled(&nats, "d").await;
    for key in 0..KEYS {
        let mut seen = BTreeSet::new();
        let of_key = bodies(&requests, &format!("k{key}"));
        let first: Vec<usize> = of_key
            .into_iter()
            .filter(|body| seen.insert(*body))
            .map(|body| body.parse().unwrap())
            .collect();
        let expected: Vec<usize> = (0..EVENTS).filter(|number| number % KEYS == key).collect();
        assert_eq!(first, expected);
    }
    forward.stop().await;
}

#[tokio::test]
async fn a_frozen_nats_loses_nothing_and_keeps_the_order() {
    let Some((mut nats, server)) = start().await else { return };
    let mut forward = Forward::events(&nats, &server.url("slow/0.1"), &["--durable", "d"]).await;
    for number in 0..20 {
        publish(&nats, "hang", Some("a"), &number.to_string()).await;
    }
    server.heard(3).await;
    nats.stop_signal();
    forward.said("not connected to NATS").await;
    nats.cont_signal();
    forward.said("events again from").await;
    for number in 20..25 {
        publish(&nats, "hang", Some("a"), &number.to_string()).await;
    }
    let requests = eventually("all of them", PATIENCE * 2, async || {
        let requests = server.requests();
        bodies(&requests, "a").contains(&"24").then_some(requests)
    })
    .await;
    let expected: Vec<_> = (0..25).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&requests, "a"), expected);
    settled(&nats, "d").await;
}
