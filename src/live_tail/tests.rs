#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::message::{Receipt, Refusal};
use crate::trace::Trace;

fn pass(live_tail: &LiveTail, id: &str) {
    let mut note = live_tail.record(&"vapi".into(), &Arc::default()).unwrap();
    note.received(id.into(), &bytes::Bytes::from_static(b"{\"body\":1}"));
    note.ended("stored", None, Some(Kind::Event));
    note.answered(200);
}

async fn next(subscriber: &mut Subscriber) -> Webhook {
    match subscriber.next().await.unwrap() {
        Line::Webhook(line) => (*line).clone(),
        Line::Lost { count } => panic!("{count} lost"),
    }
}

#[tokio::test]
async fn nothing_is_recorded_without_subscribers() {
    let live_tail = LiveTail::default();
    assert!(live_tail.record(&"vapi".into(), &Arc::default()).is_none());
    let subscriber = live_tail.subscribe(Filter::default()).unwrap();
    assert!(live_tail.record(&"vapi".into(), &Arc::default()).is_some());
    drop(subscriber);
    assert!(live_tail.record(&"vapi".into(), &Arc::default()).is_none());
}

#[test]
fn without_subscribers_a_million_webhooks_cost_nothing_to_speak_of() {
    let (live_tail, endpoint) = (LiveTail::default(), "vapi".into());
    let began = std::time::Instant::now();
    for _ in 0..1_000_000 {
        assert!(std::hint::black_box(&live_tail).record(&endpoint, &Arc::default()).is_none());
    }
    let took = began.elapsed();
    println!("{} ns a webhook", took.as_nanos() / 1_000_000);
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn who_reads_too_slowly_loses_the_oldest_and_is_told() {
    let live_tail = LiveTail::default();
    let mut subscriber = live_tail.subscribe(Filter::default()).unwrap();
    for number in 0..MAX_LAG + 10 {
        pass(&live_tail, &number.to_string());
    }
    assert!(matches!(subscriber.next().await, Some(Line::Lost { count: 10 })));
    assert_eq!(next(&mut subscriber).await.id.as_deref(), Some("10"));
}

#[tokio::test]
async fn its_parts_are_noted_as_they_end() {
    let live_tail = LiveTail::default();
    let mut subscriber = live_tail.subscribe(Filter::default()).unwrap();
    let mut note = live_tail.record(&"vapi".into(), &Arc::default()).unwrap();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    note.traced(&Trace::new(Some(parent.into()), None));
    note.authenticated();
    note.received("a".into(), &bytes::Bytes::new());
    // It was known by its head.
    note.authenticated();
    let progress = note.progress();
    progress.stored(&"nats:a".into(), &Ok(Receipt::Spooled));
    progress.stored(&"kafka:b".into(), &Err(Refusal::NotStored("spool-full")));
    note.answered(503);
    // It is told already.
    progress.stored(&"nats:c".into(), &Ok(Receipt::Stored));
    let line = next(&mut subscriber).await;
    assert_eq!(line.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let outcomes: Vec<_> =
        line.receipts.iter().map(|it| (&*it.destination, &*it.outcome)).collect();
    assert_eq!(outcomes, [("nats:a", "spooled"), ("kafka:b", "spool-full")]);
    let times = [line.authenticated_milliseconds, line.received_milliseconds];
    let times = times.into_iter().flatten().chain(line.receipts.iter().map(|it| it.milliseconds));
    let times: Vec<_> = times.chain([line.milliseconds]).collect();
    assert!(times.len() == 5 && times.is_sorted(), "{times:?}");
}

/// What workers get is shown to those who see bodies, without secrets, and no more of it than of a body.
#[tokio::test]
async fn what_workers_get_is_cut_as_well() {
    let live_tail = LiveTail::default();
    live_tail.configure(&config::Tail { bodies: true, ..config::Tail::default() });
    let mut nosy = live_tail.subscribe(Filter { bodies: true, ..Filter::default() }).unwrap();
    let mut other = live_tail.subscribe(Filter::default()).unwrap();
    let note = live_tail.record(&"vapi".into(), &Arc::default()).unwrap();
    let progress = note.progress();
    assert!(progress.wants_bodies());
    let ask = |payload: Vec<u8>| {
        let headers = [("Hookbus-Id".to_owned(), "1".to_owned())].into();
        progress
            .asked(Asked { subject: "a.b".into(), headers, ..Asked::default() }, payload.into());
    };
    ask(br#"{"token":"s3cret"}"#.to_vec());
    (0..5).for_each(|_| ask(vec![b'x'; 20 << 10]));
    note.answered(200);
    let line = next(&mut nosy).await;
    assert_eq!(line.asked[0].payload, r#"{"token":"[redacted]"}"#);
    let size: usize = line.asked.iter().map(|asked| asked.size() + asked.payload.len()).sum();
    assert!((60 << 10..=64 << 10).contains(&size) && line.asked.len() == 5, "{size}");
    assert_eq!(next(&mut other).await.asked, []);
}

#[tokio::test]
async fn subscribers_are_counted() {
    let live_tail = LiveTail::default();
    let mut all: Vec<_> =
        (0..MAX_SUBSCRIBERS).map(|_| live_tail.subscribe(Filter::default()).unwrap()).collect();
    assert_eq!(live_tail.subscribe(Filter::default()).err(), Some(Refused::TooMany));
    // The process itself has always a place.
    let within = live_tail.subscribe_within();
    all.pop();
    drop(within);
    assert!(live_tail.subscribe(Filter::default()).is_ok());
}

#[tokio::test]
async fn a_body_is_shown_while_it_may_be_and_to_those_who_ask() {
    let live_tail = LiveTail::default();
    let asks = || Filter { bodies: true, ..Filter::default() };
    assert_eq!(live_tail.subscribe(asks()).err(), Some(Refused::Bodies));
    live_tail.configure(&config::Tail { bodies: true, ..config::Tail::default() });
    let mut nosy = live_tail.subscribe(asks()).unwrap();
    let mut other = live_tail.subscribe(Filter::default()).unwrap();
    pass(&live_tail, "a");
    assert_eq!(next(&mut nosy).await.body.as_deref(), Some("{\"body\":1}"));
    assert_eq!(next(&mut other).await.body, None);
    live_tail.configure(&config::Tail::default());
    pass(&live_tail, "b");
    assert_eq!(next(&mut nosy).await.body, None);
}
