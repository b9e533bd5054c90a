//! When a question is asked, and when it is asked no more, in paused time.

use std::cell::RefCell;
use std::future::ready;

use super::*;
use crate::trace::Trace;

/// What came of asking: the outcome, when it was asked, and when that was over, in milliseconds.
type Told = (Result<u8, Outcome>, Vec<u128>, u128);

/// Ask with so much time and so much patience.
async fn ask(limit: u64, grace: u64, reply: Result<u8, Failure>) -> Told {
    let began = Instant::now();
    let webhook = Webhook {
        id: "id".into(),
        endpoint: "e".into(),
        body: Bytes::new(),
        content_type: "application/json".into(),
        started: began.into(),
        received: SystemTime::now(),
        trace: Trace::default(),
    };
    let ask = Ask {
        may_be_empty: false,
        worker: &OnceLock::new(),
        number: None,
        webhook: &webhook,
        trace: &webhook.trace,
        kind: &"t".into(),
        key: None,
        subject: "e.ask.t".into(),
        payload: Bytes::new(),
        deadline: began + Duration::from_millis(limit),
        grace: Duration::from_millis(grace),
    };
    let sent = RefCell::new(Vec::new());
    let send = || {
        sent.borrow_mut().push(began.elapsed().as_millis());
        ready(reply)
    };
    let result = ask.persist(send).await;
    (result.map_err(|(outcome, _)| outcome), sent.into_inner(), began.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_at_its_deadline() {
    let late = (Err(Outcome::Timeout), vec![], 0);
    assert_eq!(ask(0, 0, Ok(1)).await, late);
    assert_eq!(ask(0, 1_000, Ok(1)).await, late);
    assert_eq!(ask(1, 0, Ok(1)).await, (Ok(1), vec![0], 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_asked_again_within_the_grace() {
    let nobody = Err(Failure::NoResponders);
    let outcome = Err(Outcome::NoResponders);
    assert_eq!(ask(6_000, 0, nobody).await, (outcome, vec![0], 0));
    assert_eq!(ask(6_000, 249, nobody).await, (outcome, vec![0], 0));
    assert_eq!(ask(6_000, 600, nobody).await, (outcome, vec![0, 250, 500], 500));
    // The deadline ends it too, and is not asked at.
    assert_eq!(ask(400, 600, nobody).await, (outcome, vec![0, 250], 250));
    assert_eq!(ask(500, 600, nobody).await, (Err(Outcome::Timeout), vec![0, 250], 500));
}

/// Whatever else happens to it, it may have reached a worker.
#[tokio::test(start_paused = true)]
async fn nothing_else_is_asked_again() {
    for (failure, outcome) in [
        (Failure::NotPermitted, Outcome::NotPermitted),
        (Failure::Disconnected, Outcome::Disconnected),
        (Failure::Lost, Outcome::Disconnected),
        (Failure::TooLarge(1), Outcome::TooLarge),
        (Failure::Timeout, Outcome::Timeout),
        (Failure::Strange, Outcome::Timeout),
    ] {
        let told = ask(6_000, 6_000, Err(failure)).await;
        assert_eq!(told, (Err(outcome), vec![0], 0), "{failure:?}");
    }
}
