//! How many events an endpoint takes in a time: a bucket that fills steadily and can be emptied at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::units;
use crate::message::Refusal;

/// The rate of one endpoint, if it has one.
#[derive(Debug, Default)]
pub(super) struct Rate(ArcSwapOption<Bucket>);

#[derive(Debug)]
struct Bucket {
    rate: units::Rate,
    burst: u32,
    limiter:
        RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>,
}

impl Rate {
    /// Use another rate from now on. The same one remembers what came before.
    pub(super) fn set(&self, rate: Option<units::Rate>, burst: Option<u32>) {
        let Some(rate) = rate else {
            self.0.store(None);
            return;
        };
        let burst = burst.unwrap_or_else(|| rate.in_a_second()).max(1);
        let is_same =
            self.0.load().as_ref().is_some_and(|now| (now.rate, now.burst) == (rate, burst));
        if !is_same {
            self.0.store(Bucket::new(rate, burst).map(Arc::new));
        }
    }

    /// Take one event out of the bucket.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let bucket = self.0.load();
        let Some(Bucket { limiter, .. }) = bucket.as_deref() else { return Ok(()) };
        limiter.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(limiter.clock().now());
            Refusal::TooFast { wait: wait.max(Duration::from_millis(1)) }
        })
    }
}

impl Bucket {
    fn new(rate: units::Rate, burst: u32) -> Option<Self> {
        let quota = Quota::with_period(rate.interval())?.allow_burst(NonZeroU32::new(burst)?);
        Some(Self { rate, burst, limiter: RateLimiter::direct_with_clock(quota, MonotonicClock) })
    }
}
