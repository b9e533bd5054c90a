//! What differs between runs from their beginning to their end.

use hookbus::config::units::Size;

use crate::history::DESTINATIONS;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Climate {
    /// The destinations that there are.
    pub(crate) destinations: Vec<usize>,
    pub(crate) keys: usize,
    /// How long a payload is at the most.
    pub(crate) payload: usize,
    /// How many events of a hundred no broker takes.
    pub(crate) poison: usize,
    /// How many events a destination may have in flight.
    pub(crate) share: usize,
    pub(crate) max_bytes: Size,
    /// Processes, before the one in which everything is well.
    pub(crate) lives: usize,
    /// Files other than segments vanish too, and dead letters are dropped. Only of odd seeds: the even ones are as they
    /// were before this could happen, so that what they once found stays what it is.
    pub(crate) is_rough: bool,
}

impl Climate {
    pub(crate) fn new(world: &World, seed: u64) -> Self {
        let all = 0..DESTINATIONS.len();
        let mut destinations: Vec<_> = all.filter(|_| world.percent(60)).collect();
        if destinations.is_empty() {
            destinations.push(world.below(DESTINATIONS.len()));
        }
        let is_small = world.percent(15);
        Self {
            destinations,
            keys: 1 + world.below(3),
            payload: if world.percent(15) { 12 << 10 } else { 32 },
            poison: if world.percent(30) { 8 } else { 0 },
            share: if world.percent(25) { 3 } else { 64 },
            max_bytes: if is_small { "256KiB" } else { "1MiB" }.parse().expect("a size"),
            lives: 1 + world.below(3),
            is_rough: !seed.is_multiple_of(2),
        }
    }
}
