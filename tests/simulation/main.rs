//! The heart of hookbus in a world where one number decides everything: the code of `publish` and `spool` as it is, on a
//! disk in memory and with brokers that do whatever brokers do, while senders hang up, destinations leave and come back,
//! dead letters are published again, files vanish, and the process dies at any moment. Time is virtual, so that an hour
//! of it takes no longer than what happens in it. At the end of every run all that was promised is checked.
//!
//! ```text
//! make simulate                                   for a minute
//! make simulate ARGS='--seconds 3600'             for longer; with --seed, beginning with that one
//! make simulate ARGS='--seed 7'                   one run, line by line
//! ```
#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod broker;
mod check;
mod climate;
mod disk;
mod history;
mod life;
mod options;
mod random;
mod run;
mod script;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use self::options::Options;
use self::world::Trace;

/// Seeds that found something once; they come first.
const FOUND: [u64; 5] = [
    // What waits apart waited for the queue to find out that the broker is back, and the queue for room to move there.
    281_921_353_698,
    // A record whose sync failed was read from memory after a kill, and gone after a power failure.
    684_314_250_218,
    // What came from the disk was taken for the first of its name and key, while that was being tried again.
    513_047_202_277,
    // An empty file that couldn't be removed, and the next one of the same name; somebody removed the first.
    722_141_859_197,
    // What was in flight when a drain gave up was sent and moved again by the next one.
    699_965_720_529,
];

/// One of so many seeds is played twice: both runs have to be the same.
const TWICE: u64 = 500;

thread_local! {
    /// What panicked in this thread, perhaps in a task whose end nobody waits for.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn main() -> ExitCode {
    let options = Options::read(std::env::args().skip(1));
    if !options.is_wanted {
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(|info| PANIC.set(Some(info.to_string()))));
    let Some(time) = options.time else {
        let found = play(options.seed, Trace::Print).0;
        println!("{}", found.as_deref().unwrap_or("nothing is wrong"));
        return if found.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    };
    let began = Instant::now();
    let (next, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        while !has_failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let found = FOUND.get(number as usize).copied();
            if found.is_none() && began.elapsed() >= time {
                next.fetch_sub(1, Ordering::Relaxed);
                break;
            }
            let seed = found.unwrap_or_else(|| options.seed.wrapping_add(number));
            if let Some(broken) = broken(seed, number) {
                has_failed.store(true, Ordering::Relaxed);
                println!("after {number} runs: {broken}\nmake simulate ARGS='--seed {seed}'");
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (runs, seconds) = (next.into_inner(), began.elapsed().as_secs_f64());
    println!(
        "simulation: {runs} runs in {seconds:.0} s, {:.0} a minute, from seed {}",
        runs as f64 / seconds * 60.0,
        options.seed
    );
    if has_failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is wrong with a run.
fn broken(seed: u64, number: u64) -> Option<String> {
    if !number.is_multiple_of(TWICE) {
        return play(seed, Trace::Forget).0;
    }
    let hash = || Trace::Hash(std::hash::DefaultHasher::new());
    let (first, second) = (play(seed, hash()), play(seed, hash()));
    if first == second {
        return first.0;
    }
    // Two keys may share a place of a table, once in some ten thousand runs.
    let third = play(seed, hash());
    let is_chance = third == first || third == second;
    (!is_chance).then(|| "the same seed is not the same run".to_owned())
}

fn play(seed: u64, trace: Trace) -> (Option<String>, u64) {
    let played = catch_unwind(AssertUnwindSafe(|| run::run(seed, trace)));
    match (PANIC.take(), played) {
        (Some(panic), _) => (Some(panic), 0),
        (None, Ok(played)) => played,
        (None, Err(_)) => (Some("it panicked".to_owned()), 0),
    }
}
