//! What the simulation is started with. `cargo test` gives every test program its own options too, so what is not known
//! here is passed over.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long it takes where nobody says so: beside the other tests, in an unoptimised build.
const SECONDS: u64 = 3;

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The first seed.
    pub(crate) seed: u64,
    /// Seeds are tried for so long; nothing means this one alone, with all that happens.
    pub(crate) time: Option<Duration>,
    /// Whether the names that were asked for are those of other tests, or a list of names.
    pub(crate) is_wanted: bool,
}

impl Options {
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Self {
        let (mut seed, mut seconds, mut is_wanted) = (None, None, true);
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seed" => seed = Some(number(arguments.next()).expect("--seed N")),
                "--seconds" => seconds = Some(number(arguments.next()).expect("--seconds N")),
                "--list" | "--ignored" => is_wanted = false,
                // Options of the usual harness that have a value.
                "--test-threads" | "--skip" | "--format" | "--color" | "--logfile" | "-Z" => {
                    arguments.next();
                }
                other if other.starts_with('-') => {}
                name => is_wanted &= "simulation".contains(name),
            }
        }
        let time = match (seed, seconds) {
            (Some(_), None) => None,
            (_, seconds) => Some(Duration::from_secs(seconds.unwrap_or(SECONDS))),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = seed.unwrap_or(since.as_nanos() as u64 % 1_000_000_000_000);
        Self { seed, time, is_wanted }
    }
}
