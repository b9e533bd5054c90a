//! How fast the spool is: `cargo bench --bench spool [RECORDS]`.
//!
//! It fills a queue from 64 tasks with events of 1 KB for some seconds, reads and calls done what it kept, then fills one
//! with a million events (or RECORDS) and opens it again. Its directory is below the system's one for temporary files:
//! set `TMPDIR` to choose the disk.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that meets an error should fail"
)]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use hookbus::config;
use hookbus::message::Event;
use hookbus::spool::{Queue, Record, Spool};
use hookbus::trace::Trace;

const TASKS: usize = 64;
const TIME: Duration = Duration::from_secs(5);
const PAYLOAD: usize = 1_000;
/// The kernel counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

fn main() {
    let records =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        steady(directory.path()).await;
        backlog(directory.path(), records).await;
    });
}

/// As webhooks do it: each waits until its own record is synced.
async fn steady(directory: &Path) {
    let spool = open(directory);
    let queue = spool.queue("nats:bench.steady");
    let (cpu, syncs, start) = (cpu(), spool.syncs(), Instant::now());
    let tasks = (0..TASKS).map(|_| {
        let (queue, record) = (queue.clone(), record());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < TIME {
                let began = Instant::now();
                queue.append(&record).await.unwrap();
                times.push(began.elapsed());
            }
            times
        })
    });
    let mut times: Vec<Duration> =
        join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
    let count = times.len();
    times.sort();
    report("append, 64 tasks", count, start.elapsed(), cpu);
    let syncs = spool.syncs() - syncs;
    println!(
        "{:24} {:10.0} syncs/s   {:5.1} records/sync   p50 {:?}   p99 {:?}",
        "",
        syncs as f64 / start.elapsed().as_secs_f64(),
        count as f64 / syncs as f64,
        times[count / 2],
        times[count * 99 / 100],
    );

    let (cpu, start) = (self::cpu(), Instant::now());
    let done = drain(&queue).await;
    assert_eq!(done, count);
    report("read and done", count, start.elapsed(), cpu);
}

/// What a long outage leaves.
async fn backlog(directory: &Path, count: usize) {
    let spool = open(directory);
    let queue = spool.queue("nats:bench.backlog");
    let record = record();
    let (cpu, start) = (cpu(), Instant::now());
    let mut left = count;
    while left > 0 {
        let batch = left.min(5_000);
        let begun: Vec<_> = (0..batch).map(|_| queue.begin(&record).unwrap()).collect();
        for appending in begun {
            appending.finish().await.unwrap();
        }
        left -= batch;
    }
    report("append, 5,000 at once", count, start.elapsed(), cpu);
    drop((queue, spool));

    let before = resident();
    let start = Instant::now();
    let spool = open(directory);
    let took = start.elapsed();
    let queue = spool.queue("nats:bench.backlog");
    assert_eq!(queue.len(), count as u64);
    println!(
        "{:24} {took:10.1?} for {count} records, {} MB on disk; memory {before} MB, then {} MB",
        "open",
        spool.bytes() / 1_000_000,
        resident()
    );
    let (cpu, start) = (self::cpu(), Instant::now());
    assert_eq!(drain(&queue).await, count);
    report("read and done", count, start.elapsed(), cpu);
    println!("{:24} {:10} MB", "memory at the end", resident());
}

async fn drain(queue: &Queue) -> usize {
    let mut reader = queue.reader();
    let mut count = 0;
    loop {
        let records = reader.read(512, 4 << 20).await.unwrap();
        if records.is_empty() {
            return count;
        }
        count += records.len();
        for (position, _) in records {
            queue.done(position);
        }
    }
}

fn open(directory: &Path) -> Spool {
    let settings = config::Spool { dir: directory.to_owned(), ..config::Spool::default() };
    let (spool, damage) = Spool::open(&settings).unwrap();
    assert!(damage.is_empty());
    spool
}

fn record() -> Record {
    Record {
        name: "vapi.events.status-update".into(),
        event: Event {
            id: "0191d3a8-8f43-7c7e-9c0b-5b1d6a3f2e10".into(),
            endpoint: "vapi".into(),
            kind: "status-update".into(),
            key: Some("9b1dd8a6-2f57-4f1a-a4a1-0c7ad0e4f6b2".into()),
            subject: Some("9b1dd8a6-2f57-4f1a-a4a1-0c7ad0e4f6b2".into()),
            time: SystemTime::now(),
            content_type: "application/json".into(),
            payload: Bytes::from(vec![b'x'; PAYLOAD]),
            trace: Trace::default(),
            dedupe: true,
        },
    }
}

fn report(what: &str, count: usize, took: Duration, before: Duration) {
    let cpu = cpu().saturating_sub(before);
    println!(
        "{what:24} {:10.0} records/s {:5.1} us of CPU a record",
        count as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
    );
}

/// CPU time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u32>().ok()).map(|ticks| TICK * ticks).sum()
}

/// Memory of this process, in megabytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1_000
}
