//! Numbers that look random and come again with the same seed (SplitMix64).

use std::time::Duration;

use crate::webhook::Broker;

#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Another sequence, for a part of the work that runs beside.
    pub(crate) fn part(&mut self) -> Random {
        Random(self.next())
    }

    /// Below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// From half of it to one and a half.
    pub(crate) fn about(&mut self, time: Duration) -> Duration {
        time / 2 + time.mul_f64(self.below(1_000) as f64 / 1_000.0)
    }

    pub(crate) fn broker(&mut self) -> Broker {
        if self.one_in(2) { Broker::Nats } else { Broker::Kafka }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
