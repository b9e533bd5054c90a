//! Many names, many records, and a disk that has no room: what is bounded, and what flows all the same.

use super::*;
use crate::publish::apart_queue::MAX_NAMES;

/// All of them at once; each is to be kept.
async fn spool_all(paths: &Paths, events: impl IntoIterator<Item = (String, String, String)>) {
    let storing: Vec<_> =
        events.into_iter().map(|(name, key, id)| paths.begin_as(&name, &[TO], &key, &id)).collect();
    in_time("receipts", || storing.iter().all(tokio::task::JoinHandle::is_finished)).await;
    for storing in storing {
        assert_eq!(storing.await.unwrap(), Ok(Receipt::Spooled));
    }
}

/// More names than are known, and more than are tried by themselves.
#[tokio::test(start_paused = true)]
async fn more_names_than_are_known_hold_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    let names = MAX_NAMES * 3;
    let name = |number: usize| format!("e.none-{}", number % names);
    for number in 0..names {
        paths.nats.name(&name(number), no_topic());
    }
    for round in 0..3 {
        let events = (0..names).map(|number| {
            let number = round * names + number;
            (name(number), format!("k{}", number % 7), number.to_string())
        });
        spool_all(&paths, events).await;
        for key in 0..7 {
            // One whose name and key have the place of another's takes a detour, and gets through.
            let storing = paths.begin_as("e.good", &[TO], &format!("k{key}"), "good");
            in_time("a good one", || storing.is_finished()).await;
            assert!(storing.await.unwrap().is_ok());
        }
    }
    in_time("the good ones", || paths.nats.taken().len() == 21).await;
    in_time("the others apart", || paths.apart() == 3 * names as u64).await;
    let ready = paths.health.readiness().1;
    assert!(ready.contains(&format!("and {} more take nothing", MAX_NAMES - 3)), "{ready}");
    assert!(ready.len() < 1_000, "{ready}");

    // Some are mended, also of those that nobody knows by name.
    let mended: Vec<_> = (0..names).filter(|number| number % 2 == 0).map(name).collect();
    for name in &mended {
        paths.nats.name(name, Mode::Takes);
    }
    for name in &mended {
        in_time(name, || paths.nats.taken_by(name).len() == 3).await;
    }
    assert_eq!(paths.apart(), 3 * (names - mended.len()) as u64);
    paths.nats.names_are_like_others();
    paths.drained().await;
    for number in 0..names {
        let expected: Vec<_> = (0..3).map(|round| (round * names + number).to_string()).collect();
        let mut taken = paths.nats.taken_by(&name(number));
        // Of several keys, so of no order.
        taken.sort_by_key(|id| id.parse::<usize>().unwrap());
        assert_eq!(taken, expected);
    }
    assert_eq!(store(&paths, "e.none-0", "k0", "last").await, Ok(Receipt::Stored));
    assert!(!paths.health.readiness().1.contains("problem"));
}

/// Whatever waits, few are tried at a time, and not many a second; until one of them works.
#[tokio::test(start_paused = true)]
async fn names_that_take_nothing_are_tried_with_measure() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    let name = |number: usize| format!("e.none-{number}");
    for number in 0..40 {
        paths.nats.name(&name(number), no_topic());
    }
    spool_all(
        &paths,
        (0..400).map(|number| (name(number % 40), format!("k{}", number % 9), number.to_string())),
    )
    .await;
    in_time("all apart", || paths.apart() == 400).await;
    pass(SECOND).await;
    let (before, _) = (paths.nats.attempts(), paths.nats.most_under_way());
    for _ in 0..200 {
        pass(SECOND / 20).await;
    }
    let tried = paths.nats.attempts() - before;
    // Each every two seconds, for ten of them.
    assert!((100..=260).contains(&tried), "{tried}");
    assert!(paths.nats.most_under_way() <= 8);
    // Mended together, they are found out together.
    paths.nats.names_are_like_others();
    paths.drained().await;
    for number in 0..40 {
        assert_eq!(paths.nats.taken_by(&name(number)).len(), 10);
    }
}

/// A log of a thousand lines helps nobody.
#[tokio::test(start_paused = true)]
async fn a_long_queue_of_one_name_is_read_on() {
    const RECORDS: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Paths::new(folder.path(), RECORDS * 2).await;
    configured(&paths.all, TO, RECORDS * 2);
    paths.drain();
    // In an outage, with what flows behind what doesn't.
    paths.nats.all(retry());
    assert_eq!(store(&paths, "e.none", "k", "first").await, Ok(Receipt::Spooled));
    spool_all(
        &paths,
        (0..RECORDS)
            .map(|number| ("e.none".to_owned(), format!("k{}", number % 500), number.to_string())),
    )
    .await;
    spool_all(
        &paths,
        (0..50).map(|number| ("e.good".to_owned(), format!("g{number}"), format!("good-{number}"))),
    )
    .await;
    paths.nats.name("e.none", no_topic());
    paths.nats.all(Mode::Takes);
    in_time("what flows", || paths.nats.taken_by("e.good").len() == 50).await;
    in_time("the others apart", || paths.apart() == RECORDS as u64 + 1).await;
    assert_eq!(store(&paths, "e.good", "k1", "live").await, Ok(Receipt::Stored));
    paths.nats.name("e.none", Mode::Takes);
    paths.drained().await;
    for key in [0, 7, 499] {
        let expected = (0..RECORDS).filter(|number| number % 500 == key).map(|n| n.to_string());
        let taken =
            paths.nats.taken_if(|taken| taken.name == "e.none" && taken.key == format!("k{key}"));
        assert!(taken.into_iter().eq(expected), "k{key}");
    }
}
