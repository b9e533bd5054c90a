//! What the suite is started with. `cargo test` gives every test program its own options too, so what is not known
//! here is passed over.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::load::Shape;

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Everything, and for as long as it takes to trust it.
    pub(crate) long: bool,
    pub(crate) seed: u64,
    /// Print the names, and end.
    pub(crate) list: bool,
    /// Parts of the names of the faults that are wanted; none means all.
    pub(crate) only: Vec<String>,
    /// Whether the names above are whole.
    exact: bool,
}

impl Options {
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Options {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = since.as_nanos() as u64 % 1_000_000_000;
        let mut options =
            Options { long: false, seed, list: false, only: Vec::new(), exact: false };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--long" => options.long = true,
                "--list" => options.list = true,
                "--exact" => options.exact = true,
                "--seed" => {
                    let seed = arguments.next().and_then(|text| text.parse().ok());
                    options.seed = seed.expect("--seed N");
                }
                "--only" => options.only.push(arguments.next().expect("--only NAME")),
                // Options of the usual harness that have a value.
                "--test-threads" | "--skip" | "--format" | "--color" | "--logfile" | "-Z" => {
                    arguments.next();
                }
                // None of these is ignored.
                "--ignored" => options.only.push("\0".to_owned()),
                other if other.starts_with('-') => {}
                name => options.only.push(name.to_owned()),
            }
        }
        options
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        let is_it = |only: &String| if self.exact { name == only } else { name.contains(only) };
        self.only.is_empty() || self.only.iter().any(is_it)
    }

    pub(crate) fn lengths(&self) -> Lengths {
        let seconds = Duration::from_secs_f64;
        if self.long {
            Lengths {
                lanes: 1,
                shape: Shape {
                    connections: 64,
                    keys: 1_000,
                    rate: 1_200,
                    has_large_questions: false,
                },
                calm: seconds(2.0),
                outage: seconds(8.0),
                frozen: seconds(15.0),
                step: seconds(1.5),
                rounds: 8,
                after: seconds(6.0),
            }
        } else {
            Lengths {
                lanes: 3,
                shape: Shape { connections: 32, keys: 200, rate: 300, has_large_questions: false },
                calm: seconds(0.3),
                outage: seconds(1.5),
                frozen: seconds(3.0),
                step: seconds(0.7),
                rounds: 2,
                after: seconds(0.7),
            }
        }
    }
}

/// How long things last, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    /// So many faults are played at once, each with brokers of its own.
    pub(crate) lanes: usize,
    pub(crate) shape: Shape,
    /// Before anything happens.
    pub(crate) calm: Duration,
    pub(crate) outage: Duration,
    /// Of a process that was stopped.
    pub(crate) frozen: Duration,
    /// Of one of several troubles.
    pub(crate) step: Duration,
    pub(crate) rounds: usize,
    /// Under load, when everything has to be well again.
    pub(crate) after: Duration,
}

impl Lengths {
    /// How many webhooks are sent at the least: a third of what the senders are to send while nothing holds them up.
    pub(crate) fn least(&self) -> usize {
        let time = self.calm + self.outage + self.after;
        (time.as_secs_f64() * self.shape.rate as f64 / 3.0) as usize
    }
}
