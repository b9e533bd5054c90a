//! The queue of events whose own subject or topic takes nothing, gone through in passes.
//!
//! A pass reads from the oldest record on and sends what it meets. When a name takes nothing, its records are passed over
//! from then on; one of them is kept in memory, and tried from time to time. When that is stored, the next pass begins, so
//! that what was passed over is published in its order. Memory holds one record of each name, and not of more names than
//! fit; the others are tried by passes alone, ever more rarely.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::job::{Asks, InFlight, Job, Outcome, Sent};
use super::pace::{Pace, SAY, age};
use super::queued::at;
use super::resting::Resting;
use super::source::{Source, ready};
use super::{BYTES, Progress, RECORDS};
use crate::publish::apart::Apart;
use crate::publish::backlog::Taken;
use crate::publish::destination::OnDisk;
use crate::publish::window::Waiting;
use crate::sink;
use crate::spool;

/// Names of which one record is in memory, and the bytes of those.
const NAMES: usize = if cfg!(test) { 48 } else { 4_096 };
const NAMES_BYTES: usize = 8 << 20;

/// How many names are tried at the same time.
const TRIED: usize = 8;
/// The time between two of them, and how many bytes a second that may cost.
const GAP: Duration = Duration::from_millis(20);
const BYTES_A_SECOND: f64 = (4 << 20) as f64;

/// The pause before a pass for those names that no record is in memory of: at least so long, and so many times as long as
/// the last pass took.
const REST: Duration = Duration::from_secs(5);
const TIMES: u32 = 4;

/// How often it is looked whether the destination works again, while the other queue tries that.
const LOOK: Duration = Duration::from_millis(100);

/// Places for names that were tried in vain in this pass, and for which there is no room elsewhere.
const MARKS: usize = 1 << 20;

pub(super) struct Passes<'a> {
    job: Job,
    disk: &'a OnDisk,
    apart: &'a Arc<Apart>,
    seat: &'a Taken,
    /// How far the other queue is.
    of_queued: watch::Receiver<Progress>,
    source: Source,
    in_flight: FuturesUnordered<BoxFuture<'static, Sent>>,
    bytes: usize,
    /// One record of each name that takes nothing.
    resting: Resting,
    /// How many of those are in flight, and when the next one may be.
    tried: usize,
    next_try: Instant,
    marks: Marks,
    /// There are names that only another pass tries, and when that begins.
    has_more: bool,
    next_pass: Option<Instant>,
    began: Instant,
    pace: Pace,
    /// When the log says that something still waits.
    say: Instant,
    /// Why the last attempt of a name failed.
    error: Option<sink::Error>,
}

impl<'a> Passes<'a> {
    pub(super) fn new(
        job: Job,
        disk: &'a OnDisk,
        apart: &'a Arc<Apart>,
        seat: &'a Taken,
        of_queued: watch::Receiver<Progress>,
    ) -> Self {
        let now = Instant::now();
        Self {
            pace: Pace::new(&job),
            source: Source::new(apart.reader(seat)),
            job,
            disk,
            apart,
            seat,
            of_queued,
            in_flight: FuturesUnordered::new(),
            bytes: 0,
            resting: Resting::default(),
            tried: 0,
            next_try: now,
            marks: Marks::default(),
            has_more: false,
            next_pass: None,
            began: now,
            say: now + SAY,
            error: None,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), sink::Error> {
        let mut counted = InFlight::new(self.disk);
        loop {
            match self.is_over() {
                Some(Ok(())) => return Ok(()),
                // Every name was tried in vain.
                Some(Err(error)) => return Err(error),
                None => {}
            }
            self.begin_again();
            self.still_waits();
            let waits_for_queued = self.waits_for_queued();
            while !waits_for_queued && self.begin_next() {}
            counted.set(self.in_flight.len());
            self.source.read();
            let wake = self.wake(waits_for_queued);
            tokio::select! {
                biased;
                Some(sent) = self.in_flight.next() => self.settle(sent).await?,
                batch = self.source.next() => self.take(batch)?,
                () = ready(&mut self.pace.pause) => self.pace.pause = None,
                () = at(wake) => {}
                () = self.job.told() => {}
                // What came of it was perhaps not read yet.
                Ok(()) = self.of_queued.changed() => self.source.rewind(),
            }
        }
    }

    /// How it ended, if it did.
    fn is_over(&self) -> Option<Result<(), sink::Error>> {
        if !self.job.ends() {
            return None;
        }
        let progress = *self.of_queued.borrow();
        if self.job.is_stopping() || progress == Progress::GivenUp {
            return self.in_flight.is_empty().then_some(Ok(()));
        }
        if progress == Progress::GoesOn {
            return None;
        }
        if self.apart.is_empty() {
            return Some(Ok(()));
        }
        let was_all_read = self.source.is_at_end
            && !self.source.is_rewinding
            && self.source.window.is_empty()
            && self.in_flight.is_empty();
        let error = self.error.as_ref().filter(|_| was_all_read && self.resting.are_all_tried());
        error.cloned().map(Err)
    }

    /// While the destination fails, the other queue finds out when it works again; unless that can't be read, or waits
    /// for the room that is given back here.
    fn waits_for_queued(&self) -> bool {
        self.job.destination.is_dead() && self.disk.backlog.is_tried()
    }

    /// When to look again, even if nothing happens.
    fn wake(&self, waits_for_queued: bool) -> Option<Instant> {
        if waits_for_queued {
            return Some(Instant::now() + LOOK);
        }
        let due = self.resting.due().filter(|_| self.may_try());
        let is_hurried = self.resting.is_hurried();
        let due = due.map(|due| if is_hurried { due } else { due.max(self.next_try) });
        let say = (!self.resting.is_empty()).then_some(self.say);
        [due, say, self.next_pass].into_iter().flatten().min()
    }

    /// Begin another pass, when it is time.
    fn begin_again(&mut self) {
        if self.next_pass.take_if(|time| *time <= Instant::now()).is_some() {
            self.source.rewind();
        }
        // What was mended together is found out together, and read again once.
        if self.resting.is_hurried() && self.job.may_send() {
            return;
        }
        let (apart, seat) = (self.apart, self.seat);
        if self.source.rewound(self.in_flight.len(), || apart.reader(seat)) {
            self.marks = Marks::default();
            (self.has_more, self.next_pass, self.began) = (false, None, Instant::now());
        }
    }

    fn has_room(&self) -> bool {
        self.job.may_send()
            && self.pace.pause.is_none()
            && self.in_flight.len() < self.pace.most.min(RECORDS)
            && (self.bytes < BYTES || self.in_flight.is_empty())
    }

    /// Whether a name that rests may be tried, once it is due.
    fn may_try(&self) -> bool {
        self.has_room()
            && self.tried < TRIED
            && (!self.source.is_rewinding || self.resting.is_hurried())
    }

    /// Say once a minute that something waits.
    fn still_waits(&mut self) {
        let now = Instant::now();
        if now < self.say {
            return;
        }
        self.say = now + SAY;
        let names = self.apart.failing();
        if names > 0 && !self.apart.is_empty() {
            let (destination, records) = (self.job.destination.text(), self.apart.len());
            let reason = self.error.as_ref().map_or("", |error| error.reason);
            warn!(%destination, reason, names, records, seconds = age(self.apart.oldest()), "events wait apart on disk, since their own subjects or topics take nothing; see /readyz");
        }
    }

    /// Records came from the disk.
    fn take(&mut self, batch: Result<Vec<Waiting>, spool::Error>) -> Result<(), sink::Error> {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                self.job.unreadable(&error);
                let error = sink::Error::retry(error.reason(), error.to_string());
                return self.pace.failed(&self.job, error).map(drop);
            }
        };
        self.job.readable();
        for waiting in batch {
            if let Some(waiting) = self.pass_over(waiting) {
                self.source.window.add(waiting);
            }
        }
        if self.source.is_at_end && self.has_more && self.next_pass.is_none() {
            let now = Instant::now();
            let took = now.duration_since(self.began);
            self.next_pass = Some(now + REST.max(took * TIMES));
        }
        Ok(())
    }

    /// A record whose name takes nothing stays where it is, or rests if it is the first; any other comes back.
    fn pass_over(&mut self, waiting: Waiting) -> Option<Waiting> {
        let name = &waiting.record.name;
        if self.marks.contains(name) {
            return None;
        }
        if !self.apart.is_blocked(name) {
            return Some(waiting);
        }
        if !self.resting.contains(name) {
            let size = self.resting.bytes() + waiting.size();
            if self.resting.len() < NAMES && (size <= NAMES_BYTES || self.resting.is_empty()) {
                self.resting.rest(waiting);
            } else {
                self.has_more = true;
            }
        }
        None
    }

    /// Begin with the next record, if there is one that may go.
    fn begin_next(&mut self) -> bool {
        let now = Instant::now();
        let is_time = now >= self.next_try || self.resting.is_hurried();
        if self.may_try()
            && is_time
            && let Some(waiting) = self.resting.try_next()
        {
            let cost = Duration::from_secs_f64(waiting.size() as f64 / BYTES_A_SECOND);
            self.next_try = now + GAP.max(cost);
            self.tried += 1;
            self.send(waiting);
            return true;
        }
        if self.source.is_rewinding || !self.has_room() {
            return false;
        }
        let Some(waiting) = self.source.window.next(self.pace.failing.as_deref()) else {
            return false;
        };
        if self.apart.is_blocked(&waiting.record.name) || self.marks.contains(&waiting.record.name)
        {
            self.source.window.done(&waiting);
            // What was ready in the window is the first of its name and key, and so may rest.
            let _ = self.pass_over(waiting);
        } else {
            self.send(waiting);
        }
        true
    }

    fn send(&mut self, waiting: Waiting) {
        self.bytes += waiting.size();
        let sending = Job::send(self.job.destination.clone(), waiting, Asks::Nobody);
        self.in_flight.push(Box::pin(sending));
    }

    /// An attempt ended.
    async fn settle(&mut self, sent: Sent) -> Result<(), sink::Error> {
        self.bytes -= sent.waiting.size();
        let is_tried = self.resting.is_tried(&sent.waiting);
        self.tried -= usize::from(is_tried);
        match self.job.settle(self.disk, sent).await {
            Outcome::Done(waiting) => {
                self.pace.go_on();
                if !is_tried {
                    self.source.window.done(&waiting);
                }
                let name = &waiting.record.name;
                let rested = self.resting.contains(name);
                self.apart.done(waiting.position, &waiting.record);
                if self.apart.clear(name) || rested {
                    // What was passed over is older than what comes next.
                    drop(self.resting.end(name));
                    self.source.rewind();
                    // Whoever mended this name may have mended others.
                    if !self.resting.is_hurried() {
                        self.resting.hurry();
                    }
                }
                if self.apart.is_empty() && self.disk.backlog.is_empty() {
                    info!(destination = %self.job.destination.text(), "all that was queued on disk is published");
                }
            }
            Outcome::NameFails(waiting, error) => {
                self.pace.go_on();
                self.name_fails(waiting, error.reason, is_tried);
                self.error = Some(error);
            }
            Outcome::Fails(waiting, error) => {
                let error = self.pace.failed(&self.job, error)?;
                let left = (self.apart.len(), self.apart.oldest());
                self.pace.slow_down(&self.job, &waiting.record.name, error, left);
                if is_tried {
                    self.resting.rest(waiting);
                } else {
                    self.source.window.again(waiting);
                }
            }
        }
        Ok(())
    }

    fn name_fails(&mut self, waiting: Waiting, reason: &'static str, is_tried: bool) {
        if is_tried {
            return self.resting.rest(waiting);
        }
        self.source.window.done(&waiting);
        if !self.apart.block(&waiting.record.name, reason) {
            self.marks.add(&waiting.record.name);
            self.has_more = true;
            return;
        }
        let _ = self.pass_over(waiting);
    }
}

/// Names that were tried in vain in one pass, by their hashes: another name in the same place waits for the next pass,
/// where it has another place.
#[derive(Default)]
struct Marks {
    bits: Option<Box<[u64]>>,
    hasher: RandomState,
}

impl Marks {
    fn place(&self, name: &str) -> (usize, u64) {
        let place = self.hasher.hash_one(name) as usize % MARKS;
        (place / 64, 1 << (place % 64))
    }

    fn add(&mut self, name: &str) {
        let (word, bit) = self.place(name);
        let bits = self.bits.get_or_insert_with(|| vec![0; MARKS / 64].into());
        bits[word] |= bit;
    }

    fn contains(&self, name: &str) -> bool {
        let Some(bits) = &self.bits else { return false };
        let (word, bit) = self.place(name);
        bits[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_marked_is_known() {
        let mut marks = Marks::default();
        let names: Vec<_> = (0..1_000).map(|number| format!("name {number}")).collect();
        let (marked, others) = names.split_at(500);
        assert!(!names.iter().any(|name| marks.contains(name)));
        marked.iter().for_each(|name| marks.add(name));
        assert!(marked.iter().all(|name| marks.contains(name)));
        // Some may share a place, one in two thousand.
        let known = others.iter().filter(|name| marks.contains(name)).count();
        assert!(known < 20, "{known}");
    }
}
