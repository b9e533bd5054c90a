//! How late this machine is: on one that others use too, a process may wait for a processor for longer than a time limit
//! leaves room for, and the bridge can't help that.
//!
//! Linux counts how long each thread was ready to run and didn't. That is read again and again for the bridge and the
//! brokers, all of them children of this process; and a task of this process notes how late it wakes up itself.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::history::Clock;
use crate::stalls::{Stall, Stalls, Who};

/// Between two looks at the bridges.
const LOOK: Duration = Duration::from_millis(40);
/// A broker has many threads: it is looked at every so many times.
const RARELY: u32 = 4;
const TICK: Duration = Duration::from_millis(5);
/// Less than this is nothing to speak of.
const SHORT: Duration = Duration::from_millis(5);

/// When, during how long, how late at most, and who.
type Notes = Arc<Mutex<Vec<(Instant, Duration, Duration, Who)>>>;

/// Runs until it is dropped.
pub(crate) struct Meter {
    notes: Notes,
    own: tokio::task::JoinHandle<()>,
    others: Option<JoinHandle<()>>,
    stop: std::sync::mpsc::Sender<()>,
}

impl Meter {
    pub(crate) fn start(runtime: &Runtime) -> Meter {
        let notes = Notes::default();
        let own = runtime.spawn(wake_up(notes.clone()));
        let (stop, stopped) = std::sync::mpsc::channel();
        let looked = notes.clone();
        let others = std::thread::spawn(move || {
            let mut waits = Waits::default();
            let mut round: u32 = 0;
            while stopped.recv_timeout(LOOK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                round = round.wrapping_add(1);
                waits.look(&looked, round.is_multiple_of(RARELY));
            }
        });
        Meter { notes, own, others: Some(others), stop }
    }

    /// What was noted since this clock was started.
    pub(crate) fn stalls(&self, clock: Clock) -> Stalls {
        let notes = self.notes.lock().unwrap();
        let stall = |(at, span, late, who): &(Instant, Duration, Duration, Who)| {
            Some(Stall { at: clock.of(*at)?, span: *span, late: *late, who: *who })
        };
        Stalls::new(notes.iter().filter_map(stall).collect())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.own.abort();
        let _ = self.stop.send(());
        if let Some(others) = self.others.take() {
            let _ = others.join();
        }
    }
}

async fn wake_up(notes: Notes) {
    loop {
        let due = Instant::now() + TICK;
        tokio::time::sleep(TICK).await;
        let at = Instant::now();
        let late = at.saturating_duration_since(due);
        if late > SHORT {
            notes.lock().unwrap().push((at, late, late, Who::Us));
        }
    }
}

/// How long each thread of a child has waited for a processor so far.
#[derive(Default)]
struct Waits {
    threads: HashMap<u32, Duration>,
    looked: HashMap<Who, Instant>,
}

impl Waits {
    fn look(&mut self, notes: &Notes, brokers_too: bool) {
        let mut most: HashMap<Who, Duration> = HashMap::new();
        for child in children() {
            let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            let who = match name.trim() {
                "hookbus" => Who::Bridge,
                "nats-server" | "java" if brokers_too => Who::Broker,
                _ => continue,
            };
            for thread in list(&format!("/proc/{child}/task")) {
                let Some(wait) = waited(child, thread) else { continue };
                let before = self.threads.insert(thread, wait);
                let late = wait.saturating_sub(before.unwrap_or(wait));
                let most = most.entry(who).or_default();
                *most = late.max(*most);
            }
        }
        let at = Instant::now();
        for (who, late) in most {
            let before = self.looked.insert(who, at);
            if late > SHORT {
                // A wait is counted at its end, and may have begun before the last look.
                let span = at.saturating_duration_since(before.unwrap_or(at)).max(late);
                notes.lock().unwrap().push((at, span, late, who));
            }
        }
    }
}

/// The second figure, in nanoseconds.
fn waited(process: u32, thread: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")).ok()?;
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

fn children() -> Vec<u32> {
    let mut all = Vec::new();
    for thread in list("/proc/self/task") {
        let text = fs::read_to_string(format!("/proc/self/task/{thread}/children"));
        let text = text.unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    all
}

/// The numbers that a folder of `/proc` lists.
fn list(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
