//! How long one call takes.

use std::time::{Duration, Instant};

/// That of the program: another one's ways with memory would be measured too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs of one measurement; the fastest one counts, as the others were disturbed. Each is shorter than a turn at the
/// processor, so that on a busy machine too some are not.
const RUNS: usize = 300;
const RUN: Duration = Duration::from_millis(1);

/// Nanoseconds of one call.
pub(crate) fn time(run: &mut impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut calls = 0_u32;
    while began.elapsed() < RUN {
        run();
        calls += 1;
    }
    let runs = (0..RUNS).map(|_| {
        let began = Instant::now();
        (0..calls).for_each(|_| run());
        began.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    });
    runs.fold(f64::INFINITY, f64::min)
}
