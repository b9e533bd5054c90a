//! When this machine was too busy: times in which somebody had something to do, and no processor to do it with.

use std::sync::OnceLock;
use std::time::Duration;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stall {
    /// Its end.
    pub(crate) at: Duration,
    /// How long before that it began.
    pub(crate) span: Duration,
    /// For so long of it.
    pub(crate) late: Duration,
    pub(crate) who: Who,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// This process, with all senders and workers.
    Us,
    Bridge,
    Broker,
}

/// All of a run: there may be thousands, and each answer asks for those of its time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stalls {
    all: Vec<Stall>,
    /// Of all, and of all but the brokers'.
    sums: OnceLock<[Sums; 2]>,
}

impl Stalls {
    pub(crate) fn new(all: Vec<Stall>) -> Stalls {
        Stalls { all, sums: OnceLock::new() }
    }

    pub(crate) fn push(&mut self, stall: Stall) {
        self.all.push(stall);
        self.sums = OnceLock::new();
    }

    /// For how long the bridge and those who measure it waited in this time, and with `brokers` these too.
    pub(crate) fn within(&self, from: Duration, to: Duration, brokers: bool) -> Duration {
        let [with, without] = self.sums.get_or_init(|| {
            let ours = self.all.iter().filter(|stall| stall.who != Who::Broker);
            [Sums::new(self.all.iter()), Sums::new(ours)]
        });
        let sums = if brokers { with } else { without };
        // What was over before, and what began afterwards, are no part of it.
        let before = sum(&sums.by_end, |end| end < from);
        let begun = sum(&sums.by_start, |start| start <= to);
        begun.saturating_sub(before)
    }
}

/// Moments in their order, each with the sum of what was waited up to it.
#[derive(Debug, Clone)]
struct Sums {
    by_end: Vec<(Duration, Duration)>,
    by_start: Vec<(Duration, Duration)>,
}

impl Sums {
    fn new<'a>(stalls: impl Iterator<Item = &'a Stall> + Clone) -> Sums {
        let ends = stalls.clone().map(|stall| (stall.at, stall.late));
        let starts = stalls.map(|stall| (stall.at.saturating_sub(stall.span), stall.late));
        Sums { by_end: summed(ends.collect()), by_start: summed(starts.collect()) }
    }
}

fn summed(mut moments: Vec<(Duration, Duration)>) -> Vec<(Duration, Duration)> {
    moments.sort_unstable();
    let mut total = Duration::ZERO;
    for (_, late) in &mut moments {
        total += *late;
        *late = total;
    }
    moments
}

fn sum(moments: &[(Duration, Duration)], is_meant: impl Fn(Duration) -> bool) -> Duration {
    let end = moments.partition_point(|(moment, _)| is_meant(*moment));
    end.checked_sub(1).map_or(Duration::ZERO, |last| moments[last].1)
}
