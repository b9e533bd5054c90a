//! The table that is printed, row by row as the faults end.

use std::time::Duration;

use crate::checker::{Breach, Verdict};

/// Of the broken promises of each kind, so many are told.
const EXAMPLES: usize = 5;

const TITLES: [&str; 12] = [
    "sent",
    "direct",
    "on disk",
    "refused",
    "fell back",
    "late",
    "twice",
    "lost",
    "disorder",
    "mend ms",
    "p99 ms",
    "max ms",
];

/// How a fault ended.
pub(crate) enum Outcome {
    Judged(Verdict),
    Skipped(String),
    /// It didn't come to a verdict.
    Failed(String),
}

impl Outcome {
    pub(crate) fn is_good(&self) -> bool {
        match self {
            Outcome::Judged(verdict) => verdict.broken.is_empty(),
            Outcome::Skipped(_) => true,
            Outcome::Failed(_) => false,
        }
    }
}

/// Sums over all faults.
#[derive(Default)]
pub(crate) struct Report {
    total: Verdict,
    bad: Vec<String>,
}

impl Report {
    pub(crate) fn begin() -> Report {
        println!("{}", row("fault", TITLES.map(str::to_owned)));
        Report::default()
    }

    pub(crate) fn add(&mut self, name: &str, outcome: &Outcome) {
        if !outcome.is_good() {
            self.bad.push(name.to_owned());
        }
        let verdict = match outcome {
            Outcome::Judged(verdict) => verdict,
            Outcome::Skipped(why) => return println!("{name:<18}skipped: {why}"),
            Outcome::Failed(why) => return println!("{name:<18}FAILED: {why}"),
        };
        println!("{}", verdict_row(name, verdict));
        for (breach, list) in &verdict.broken {
            println!("  {breach:?}: {}", list.len());
            for example in list.iter().take(EXAMPLES) {
                println!("    {example}");
            }
        }
        let total = &mut self.total;
        total.webhooks += verdict.webhooks;
        total.direct += verdict.direct;
        total.on_disk += verdict.on_disk;
        total.refused += verdict.refused;
        total.fell_back += verdict.fell_back;
        total.late_arrivals += verdict.late_arrivals;
        total.duplicates += verdict.duplicates;
        total.starved += verdict.starved;
        total.mended = total.mended.max(verdict.mended);
        total.p99 = total.p99.max(verdict.p99);
        total.peak_bytes = total.peak_bytes.max(verdict.peak_bytes);
        total.longest = total.longest.max(verdict.longest);
        for (breach, list) in &verdict.broken {
            total.broken.entry(*breach).or_default().extend_from_slice(list);
        }
    }

    /// Whether all went well.
    pub(crate) fn end(&self, took: Duration, repeat: &str) -> bool {
        println!("{}", verdict_row("all", &self.total));
        let (seconds, peak) = (took.as_secs_f64(), self.total.peak_bytes >> 20);
        println!("{seconds:.0} s, {peak} MiB of memory at the most; again with {repeat}");
        if self.total.starved > 0 {
            println!("{} answers are excused by a machine that was too busy", self.total.starved);
        }
        if !self.bad.is_empty() {
            println!("broken promises in: {}", self.bad.join(", "));
        }
        self.bad.is_empty()
    }
}

fn verdict_row(name: &str, verdict: &Verdict) -> String {
    let milliseconds = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
    let figures = [
        verdict.webhooks.to_string(),
        verdict.direct.to_string(),
        verdict.on_disk.to_string(),
        verdict.refused.to_string(),
        verdict.fell_back.to_string(),
        verdict.late_arrivals.to_string(),
        verdict.duplicates.to_string(),
        verdict.count(Breach::Lost).to_string(),
        verdict.count(Breach::OutOfOrder).to_string(),
        milliseconds(verdict.mended),
        milliseconds(verdict.p99),
        milliseconds(verdict.longest),
    ];
    row(name, figures)
}

fn row(name: &str, figures: [String; TITLES.len()]) -> String {
    let figures = figures.map(|figure| format!("{figure:>10}"));
    format!("{name:<18}{}", figures.concat())
}
