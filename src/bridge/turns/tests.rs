#![expect(clippy::expect_used, reason = "tests fail by panicking")]
use futures_util::FutureExt;

use super::*;

fn places(text: &str) -> Vec<DestinationText> {
    text.split(' ').map(DestinationText::from).collect()
}

/// A body that takes a while, for these destinations.
fn slow(turns: &Arc<Turns>, to: &str) -> Turn {
    turns.take(&mut turns.queues.lock(), places(to).iter())
}

fn behind(turns: &Arc<Turns>, to: &str) -> Option<Turn> {
    turns.behind(places(to).iter())
}

fn is_ready(turn: &Turn) -> bool {
    turn.ready().now_or_never().is_some()
}

fn is_idle(turns: &Turns) -> bool {
    let queues = turns.queues.lock();
    queues.by_destination.is_empty()
        && queues.waiting.is_empty()
        && turns.open.load(Ordering::Relaxed) == 0
}

#[test]
fn only_what_takes_a_while_takes_a_turn() {
    let turns = Arc::new(Turns::default());
    let to = places("a");
    assert!(turns.of_body(LARGE - 1, false, to.iter()).is_none());
    assert!(turns.of_body(1, true, to.iter()).is_some());
    assert!(turns.of_body(LARGE, false, to.iter()).is_some());
    assert!(behind(&turns, "a").is_none(), "all of them are over");
    assert!(is_idle(&turns));
}

#[test]
fn what_comes_later_waits_at_the_same_destination_only() {
    let turns = Arc::new(Turns::default());
    let first = slow(&turns, "a b");
    assert!(is_ready(&first));
    assert!(behind(&turns, "c").is_none());
    let second = behind(&turns, "b c").expect("a turn");
    // It has to come before this one, although nobody slow goes there.
    let third = behind(&turns, "c").expect("a turn");
    let fourth = slow(&turns, "a");
    assert!(!is_ready(&second) && !is_ready(&third) && !is_ready(&fourth));
    drop(first);
    assert!(is_ready(&second) && !is_ready(&third) && is_ready(&fourth));
    drop(second);
    assert!(is_ready(&third));
    drop((third, fourth));
    assert!(is_idle(&turns));
}

#[test]
fn what_is_given_up_is_waited_for_no_more() {
    let turns = Arc::new(Turns::default());
    let [first, second, third] = [(); 3].map(|()| slow(&turns, "a"));
    drop(second);
    assert!(!is_ready(&third));
    drop(first);
    assert!(is_ready(&third));
    drop(third);
    assert!(is_idle(&turns));
}

#[test]
fn once_a_type_is_known_only_its_destinations_count() {
    let turns = Arc::new(Turns::default());
    let a = slow(&turns, "a");
    let all = slow(&turns, "a b").keep(places("b").iter());
    assert!(is_ready(&all), "there is nobody before it at b");
    let b = behind(&turns, "b").expect("a turn");
    let none = all.keep([].iter());
    assert!(none.is_empty() && is_ready(&b));
    // Nor is anybody called that still waits elsewhere.
    let both = slow(&turns, "a b").keep(places("a").iter());
    assert!(!is_ready(&both));
    drop((a, b));
    assert!(is_ready(&both));
    drop((both, none));
    assert!(is_idle(&turns));
}

/// However turns come, wait, narrow and go: nobody is before its time, nobody waits for ever, and nothing is left.
#[test]
fn any_order_ends() {
    use proptest::prelude::*;
    let step = (0..4_usize, 0..8_usize, proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3));
    proptest!(|(steps in proptest::collection::vec(step, 1..60))| {
        let turns = Arc::new(Turns::default());
        let mut open: Vec<Turn> = Vec::new();
        for (what, which, names) in steps {
            let names: Vec<DestinationText> = names.into_iter().map(DestinationText::from).collect();
            match what {
                0 => open.push(turns.take(&mut turns.queues.lock(), names.iter())),
                1 => open.extend(turns.behind(names.iter())),
                2 if which < open.len() => drop(open.remove(which)),
                3 if which < open.len() => {
                    let turn = open.remove(which).keep(names.iter());
                    open.insert(which, turn);
                }
                _ => {}
            }
            for (at, turn) in open.iter().enumerate() {
                let before = |to: &DestinationText| open[..at].iter().any(|before| before.to.contains(to));
                prop_assert_eq!(is_ready(turn), !turn.to.iter().any(before));
            }
        }
        drop(open);
        prop_assert!(is_idle(&turns));
    });
}
