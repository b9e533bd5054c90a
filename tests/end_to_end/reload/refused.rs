//! A reload that is refused changes nothing at all: neither here nor at the brokers.

use super::*;
use async_nats::jetstream::stream;
use futures_util::future::join_all;
use std::collections::BTreeSet;

/// One endpoint with so many places for events, which its two destinations share.
const FOUR_EACH: &str = "[http]\nlisten = \"{http}\"\nmax_events = 8\n";

/// Rules for three destinations that are new.
const MORE: &str = "\
    [[endpoint.event]]\ntypes = [\"x1\"]\nto = [\"nats:more.x1\", \"nats:more.x2\"]\n\
    [[endpoint.event]]\ntypes = [\"x3\"]\nto = [\"nats:more.x3\"]\n";

/// Streams that can't be had: the first one could, the second one differs from what is there.
const DIFFERS: &str = "\
    [nats]\nservers = [\"{nats}\"]\n\
    [[nats.stream]]\nname = \"MORE\"\nsubjects = [\"more.>\"]\n\
    [[nats.stream]]\nname = \"EVENTS\"\nsubjects = [\"elsewhere\"]\n";

/// The same, but that shows only when it is tried: the server lets no two streams store the same subject.
const OVERLAPS: &str = "\
    [nats]\nservers = [\"{nats}\"]\n\
    [[nats.stream]]\nname = \"MORE\"\nsubjects = [\"more.>\"]\n\
    [[nats.stream]]\nname = \"AGED\"\nsubjects = [\"aged\"]\nmax_age = \"2h\"\nupdate = true\n\
    [[nats.stream]]\nname = \"TWICE\"\nsubjects = [\"a.events.>\"]\n";

/// The metrics that there are, with their labels.
async fn series(bridge: &Bridge) -> BTreeSet<String> {
    let answer = bridge.admin("/metrics").await;
    let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
    names.filter(|name| !name.starts_with("hookbus_reloads")).collect()
}

/// The streams of a server, as they are configured.
async fn streams(nats: &Nats) -> Vec<String> {
    let jetstream = nats.jetstream().await;
    let mut all = Vec::new();
    for name in ["AGED", "EVENTS", "MORE", "TWICE"] {
        if let Ok(stream) = jetstream.get_stream(name).await {
            let stream::Config { subjects, max_age, .. } = &stream.cached_info().config;
            all.push(format!("{name} {subjects:?} {max_age:?}"));
        }
    }
    all
}

#[tokio::test]
async fn nothing_at_all_is_changed() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["a.events.>"]).await;
    nats.create_stream("AGED", &["aged"]).await;
    let right = endpoint("a", "/a", r#""s""#, "") + FOUR_EACH;
    let mut bridge = Bridge::config(&right).nats(&nats).start_ready().await;
    assert_eq!(with(&bridge, "s", "/a").await, 200);
    let (series_before, streams_before) = (series(&bridge).await, streams(&nats).await);

    for streams_after in [DIFFERS, OVERLAPS] {
        let wrong = endpoint("a", "/a", r#""s""#, MORE)
            + &endpoint("b", "/b", r#""s""#, "")
            + FOUR_EACH
            + streams_after;
        bridge.configure(&wrong);
        let answer = reload(&bridge).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(!answer.text().contains("warning"), "{}", answer.text());
        assert_eq!(streams(&nats).await, streams_before, "{}", answer.text());
        assert_eq!(series(&bridge).await, series_before);
        let queues = std::fs::read_dir(bridge.folder().join("hookbus-spool/queues")).unwrap();
        assert_eq!(queues.count(), 0);
        let log = bridge.log();
        assert!(!log.contains("created stream") && !log.contains("changed stream"), "{log}");
    }

    // The share of each destination is what it was: four events are in flight, and nobody is refused.
    nats.stop_signal();
    let keys = ["1", "2", "3", "4"];
    let posts = keys.map(|key| bridge.post("/a", event("hang", key), &[("x-vapi-secret", "s")]));
    for answer in join_all(posts).await {
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    nats.cont_signal();

    // Without what was wrong it is taken over as a whole.
    let mended = endpoint("a", "/a", r#""s""#, MORE)
        + FOUR_EACH
        + &DIFFERS.replace("elsewhere", "a.events.>");
    bridge.configure(&mended);
    eventually("the streams, and what they store", SOON, async || {
        let answer = reload(&bridge).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = bridge.post("/a", event("x1", "k"), &[("x-vapi-secret", "s")]).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert!(series(&bridge).await.iter().any(|name| name.contains("nats:more.x3")));
}
