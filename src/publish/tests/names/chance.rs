//! Whatever the broker does with whichever name: nothing is lost, nothing twice, and every order holds that is promised.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinHandle;

use super::*;
use crate::publish::tests::paths::Random;

const NAMES: [&str; 5] = ["e.a", "e.b", "e.c", "e.d", "e.e"];

/// What was sent: by name and key, and by key for the names that never take nothing.
#[derive(Default)]
struct Attempt {
    of_name: BTreeMap<(String, String), Vec<String>>,
    across: BTreeMap<String, Vec<String>>,
}

/// `e.a` and `e.b` fail with the others of the destination alone, so that their order holds across both.
fn is_steady(name: &str) -> bool {
    name <= "e.b"
}

#[tokio::test(start_paused = true)]
async fn any_order_of_things_keeps_what_is_promised() {
    for seed in 1..=25 {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(seed);
        let mut paths = paths(&folder).await;
        let mut sent = Attempt::default();
        let mut storing = Vec::new();
        let mut number = 0;
        for life in 0..3 {
            if life > 0 {
                paths.all.give_up();
                for storing in storing.drain(..) {
                    in_time("a receipt", || JoinHandle::is_finished(&storing)).await;
                    let receipt: Result<Receipt, Refusal> = storing.await.unwrap();
                    assert!(receipt.is_ok(), "{receipt:?}");
                }
                paths.spool.close();
                let taken = paths.nats.take_out();
                drop(paths);
                paths = super::paths(&folder).await;
                paths.nats.put_back(taken);
            }
            paths.drain();
            for _ in 0..60 {
                let name = NAMES[2 + random.below(3) as usize];
                match random.below(12) {
                    0 => paths.nats.all(Mode::Takes),
                    1 => paths.nats.all(retry()),
                    2 => paths.nats.all(Mode::Hangs),
                    3 => paths.nats.name(name, no_topic()),
                    4 => paths.nats.name(name, no_stream()),
                    5 | 6 => paths.nats.name(name, Mode::Takes),
                    7 => paths.nats.names_are_like_others(),
                    8 => {
                        let none = sink::Error::unavailable("no-stream", "none").of_name();
                        paths.nats.examined(Some(none).filter(|_| random.below(2) == 0));
                    }
                    9 => pass(SECOND * random.below(9) as u32).await,
                    _ => pass(SECOND / 10).await,
                }
                for _ in 0..random.below(8) {
                    number += 1;
                    let name = NAMES[random.below(5) as usize];
                    let (key, id) = (format!("k{}", random.below(4)), number.to_string());
                    storing.push(paths.begin_as(name, &[TO], &key, &id));
                    if is_steady(name) {
                        sent.across.entry(key.clone()).or_default().push(id.clone());
                    }
                    sent.of_name.entry((name.to_owned(), key)).or_default().push(id);
                }
            }
        }
        paths.nats.examined(None);
        paths.nats.names_are_like_others();
        paths.nats.all(Mode::Takes);
        for storing in storing {
            in_time("a receipt", || storing.is_finished()).await;
            storing.await.unwrap().unwrap();
        }
        paths.drained().await;
        for ((name, key), sent) in &sent.of_name {
            let taken = first_of_each(&paths, |taken| taken.name == *name && taken.key == *key);
            assert_eq!(&taken, sent, "seed {seed}, {name} of {key}");
        }
        for (key, sent) in &sent.across {
            let taken = first_of_each(&paths, |taken| is_steady(&taken.name) && taken.key == *key);
            assert_eq!(&taken, sent, "seed {seed}, {key}");
        }
        assert!(!paths.health.readiness().1.contains("problem"), "{}", paths.health.readiness().1);
    }
}

/// What was sent when the process ended may come again.
fn first_of_each(paths: &Paths, is_meant: impl Fn(&script::DrainGuard) -> bool) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut taken = paths.nats.taken_if(is_meant);
    taken.retain(|id| known.insert(id.clone()));
    taken
}
