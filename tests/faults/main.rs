//! The fault suite: the built binary under load, with real brokers, and everything that can happen to them. Then the
//! brokers are asked, and what they hold is compared with what the senders were told.
//!
//! ```text
//! cargo test --test faults                                        the short form, also part of `make test`
//! cargo test --release --test faults -- --long                    the long form (`make faults`)
//! cargo test --test faults -- --seed 7 --only nats-frozen         one fault, as it was played once
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by a panic"
)]

mod checker;
mod faults;
mod forwarding;
mod ground;
mod history;
mod load;
mod meter;
mod options;
mod proxy;
mod random;
mod readback;
mod reloads;
mod report;
mod setup;
mod stage;
mod stalls;
mod subscriber;
#[allow(dead_code, unused_imports, reason = "no crate of tests and benches uses all of it")]
#[path = "../support/mod.rs"]
mod support;
mod webhook;
mod worker;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::runtime::Runtime;

use self::faults::Fault;
use self::ground::Ground;
use self::meter::Meter;
use self::options::{Lengths, Options};
use self::random::Random;
use self::report::{Outcome, Report};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == forwarding::SERVE).is_some() {
        return forwarding::serve(arguments.next());
    }
    let options = Options::read(arguments);
    let is_wanted =
        |fault: &Fault| (options.long || fault.is_short()) && options.wants(fault.name());
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(is_wanted).collect();
    if options.list {
        faults.iter().for_each(|fault| println!("{}: test", fault.name()));
        return ExitCode::SUCCESS;
    }
    checker::test();
    if faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().unwrap();
    let began = Instant::now();
    let lanes = options.lengths().lanes.min(faults.len());
    let suite = Suite {
        lengths: options.lengths(),
        seed: options.seed,
        meter: Arc::new(Meter::start(&runtime)),
        rest: Mutex::new(faults.into()),
        report: Mutex::new(Report::begin()),
    };
    // Each on threads of its own: whatever one waits for or computes doesn't hold up the time of another.
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| Runtime::new().unwrap().block_on(suite.lane()));
        }
    });
    if suite.next().is_some() {
        // A broker is missing, as was said.
        return ExitCode::SUCCESS;
    }
    let report = suite.report.into_inner().unwrap();
    let form = if options.long { " --long" } else { "" };
    if report.end(began.elapsed(), &format!("--seed {}{form}", options.seed)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is to be done, and what was found.
struct Suite {
    lengths: Lengths,
    seed: u64,
    meter: Arc<Meter>,
    rest: Mutex<VecDeque<Fault>>,
    report: Mutex<Report>,
}

impl Suite {
    /// Plays one fault after the other, on brokers of its own.
    async fn lane(&self) {
        let mut ground = None;
        loop {
            let Some(ready) = (match ground.take() {
                Some(ground) => Some(ground),
                None => Ground::start().await,
            }) else {
                return;
            };
            let Some(fault) = self.next() else { return };
            let (outcome, after) = match fault.missing() {
                Some(why) => {
                    support::missing(&format!("{}: {why}", fault.name()));
                    (Outcome::Skipped(why), Some(ready))
                }
                None => self.play(fault, ready).await,
            };
            self.report.lock().unwrap().add(fault.name(), &outcome);
            ground = after;
        }
    }

    fn next(&self) -> Option<Fault> {
        self.rest.lock().unwrap().pop_front()
    }

    /// After a panic nobody knows how its brokers are: they are not used again.
    async fn play(&self, fault: Fault, mut ground: Ground) -> (Outcome, Option<Ground>) {
        let random = Random::new(self.seed ^ fault as u64);
        let meter = self.meter.clone();
        let played = stage::play(fault, &mut ground, meter, self.lengths, random);
        let played = AssertUnwindSafe(played);
        match played.catch_unwind().await {
            Ok(verdict) => {
                // What became a cluster stays one.
                (Outcome::Judged(verdict), fault.cluster().is_none().then_some(ground))
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                println!("{}", ground.logs());
                (Outcome::Failed(text.unwrap_or_default()), None)
            }
        }
    }
}
