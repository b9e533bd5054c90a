//! The queue of events whose own subject or topic takes nothing, gone through in passes.
//!
//! A pass reads from the oldest record on and sends what it meets. When a name takes nothing, its records are passed over
//! from then on; one of them is kept in memory, and tried from time to time. When that is stored, the next pass begins, so
//! that what was passed over is published in its order. Memory holds one record of each name, and not of more names than
//! fit; the others are tried by passes alone, ever more rarely.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::backoff::{Backoff, LOG_INTERVAL, age};
use super::job::{Attempt, AttemptResult, Examine, InFlight, Job};
use super::main_drain::wait_until;
use super::name_retries::NameRetries;
use super::queue_reader::{QueueReader, ready};
use super::{MAX_BYTES_IN_FLIGHT, MAX_IN_FLIGHT, Progress};
use crate::publish::apart_queue::ApartQueue;
use crate::publish::destination::OnDisk;
use crate::publish::disk_queue::DrainGuard;
use crate::publish::read_ahead::QueuedRecord;
use crate::publish::running::Running;
use crate::sink;
use crate::spool;

/// Names of which one record is in memory, and the bytes of those.
const MAX_NAMES: usize = if cfg!(test) { 48 } else { 4_096 };
const MAX_NAME_BYTES: usize = 8 << 20;

/// How many names are tried at the same time.
const MAX_TRIED: usize = 8;
/// The time between two of them, and how many bytes a second that may cost.
const TRY_INTERVAL: Duration = Duration::from_millis(20);
const BYTES_A_SECOND: f64 = (4 << 20) as f64;

/// The pause before a pass for those names that no record is in memory of: at least so long, and so many times as long as
/// the last pass took.
const MIN_PASS_INTERVAL: Duration = Duration::from_secs(5);
const PASS_INTERVAL_FACTOR: u32 = 4;

/// Time between two looks at whether the destination works again, while the other queue tries that.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Places for names that were tried in vain in this pass, and for which there is no room elsewhere.
const MARK_BITS: usize = 1 << 20;

pub(super) struct ApartDrain<'a> {
    job: Job,
    disk: &'a OnDisk,
    apart: &'a Arc<ApartQueue>,
    drain_lock: &'a DrainGuard,
    /// How far the other queue is.
    main_progress: watch::Receiver<Progress>,
    source: QueueReader,
    in_flight: Running<Attempt>,
    /// One record of each name that takes nothing.
    retries: NameRetries,
    /// How many of those are in flight, and when the next one may be.
    tried: usize,
    next_try: Instant,
    marks: Marks,
    /// There are names that only another pass tries, and when that begins.
    has_more: bool,
    next_pass: Option<Instant>,
    began: Instant,
    backoff: Backoff,
    /// When the log says that something still waits.
    next_log: Option<Instant>,
    /// Why the last attempt of a name failed.
    error: Option<sink::Error>,
}

impl<'a> ApartDrain<'a> {
    pub(super) fn new(
        job: Job,
        disk: &'a OnDisk,
        apart: &'a Arc<ApartQueue>,
        drain_lock: &'a DrainGuard,
        main_progress: watch::Receiver<Progress>,
    ) -> Self {
        let now = Instant::now();
        Self {
            backoff: Backoff::new(&job),
            source: QueueReader::new(apart.reader(drain_lock)),
            job,
            disk,
            apart,
            drain_lock,
            main_progress,
            in_flight: Running::default(),
            retries: NameRetries::default(),
            tried: 0,
            next_try: now,
            marks: Marks::default(),
            has_more: false,
            next_pass: None,
            began: now,
            next_log: None,
            error: None,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), sink::Error> {
        let mut counted = InFlight::new(self.disk);
        let result = self.work(&mut counted).await;
        // However it ends, what is in flight is settled: the next drain would send it again.
        while let Some(attempt) = self.in_flight.next().await {
            // The first error is the reason.
            let _ = self.settle(attempt).await;
        }
        result
    }

    async fn work(&mut self, counted: &mut InFlight<'_>) -> Result<(), sink::Error> {
        loop {
            match self.result() {
                Some(Ok(())) => return Ok(()),
                // Every name was tried in vain.
                Some(Err(error)) => return Err(error),
                None => {}
            }
            self.restart();
            self.still_waits();
            let waits_for_main_queue = self.waits_for_main_queue();
            while !waits_for_main_queue && self.start_next() {}
            counted.set(self.in_flight.len());
            self.source.read();
            let wake = self.wake(waits_for_main_queue);
            tokio::select! {
                biased;
                Some(attempt) = self.in_flight.next() => self.settle(attempt).await?,
                batch = self.source.next() => self.add_batch(batch)?,
                () = ready(&mut self.backoff.pause) => self.backoff.pause = None,
                () = wait_until(wake) => {}
                () = self.job.stop_requested() => {}
                // What came of it was perhaps not read yet.
                Ok(()) = self.main_progress.changed() => self.source.rewind(),
            }
        }
    }

    /// How it ended, if it did.
    fn result(&self) -> Option<Result<(), sink::Error>> {
        if !self.job.ends() {
            return None;
        }
        let progress = *self.main_progress.borrow();
        if self.job.is_stopping() || progress == Progress::GivenUp {
            return self.in_flight.is_empty().then_some(Ok(()));
        }
        if progress == Progress::Running {
            return None;
        }
        if self.apart.is_empty() {
            return Some(Ok(()));
        }
        let was_all_read = self.source.is_at_end
            && !self.source.is_rewinding
            && self.source.read_ahead.is_empty()
            && self.in_flight.is_empty();
        let error = self.error.as_ref().filter(|_| was_all_read && self.retries.are_all_tried());
        error.cloned().map(Err)
    }

    /// While the destination fails, the other queue finds out when it works again; unless that can't be read, or waits
    /// for the room that is given back here.
    fn waits_for_main_queue(&self) -> bool {
        self.job.destination.is_open() && self.disk.disk_queue.is_tried()
    }

    /// When to look again, even if nothing happens.
    fn wake(&self, waits_for_main_queue: bool) -> Option<Instant> {
        if waits_for_main_queue {
            return Some(Instant::now() + POLL_INTERVAL);
        }
        let due = self.retries.due().filter(|_| self.may_try());
        let is_hurried = self.retries.is_hurried();
        let due = due.map(|due| if is_hurried { due } else { due.max(self.next_try) });
        let log = self.next_log.filter(|_| !self.retries.is_empty());
        [due, log, self.next_pass].into_iter().flatten().min()
    }

    /// Begin another pass, when it is time.
    fn restart(&mut self) {
        if self.next_pass.take_if(|time| *time <= Instant::now()).is_some() {
            self.source.rewind();
        }
        // What was mended together is found out together, and read again once.
        if self.retries.is_hurried() && self.job.may_send() {
            return;
        }
        let (apart, drain_lock) = (self.apart, self.drain_lock);
        if self.source.rewound(self.in_flight.len(), || apart.reader(drain_lock)) {
            self.marks = Marks::default();
            (self.has_more, self.next_pass, self.began) = (false, None, Instant::now());
        }
    }

    fn has_room(&self) -> bool {
        self.job.may_send()
            && self.backoff.pause.is_none()
            && self.in_flight.has_room(
                1,
                self.backoff.max_in_flight.min(MAX_IN_FLIGHT),
                MAX_BYTES_IN_FLIGHT,
            )
    }

    /// Whether a name may be tried again, once it is due.
    fn may_try(&self) -> bool {
        self.has_room()
            && self.tried < MAX_TRIED
            && (!self.source.is_rewinding || self.retries.is_hurried())
    }

    /// Say once a minute that something waits, since it does.
    fn still_waits(&mut self) {
        if self.apart.is_empty() {
            self.next_log = None;
            return;
        }
        let now = Instant::now();
        if now < *self.next_log.get_or_insert(now + LOG_INTERVAL) {
            return;
        }
        self.next_log = Some(now + LOG_INTERVAL);
        let names = self.apart.failing();
        if names > 0 {
            let (destination, records) = (self.job.destination.text(), self.apart.len());
            let reason = self.error.as_ref().map_or("", |error| error.reason);
            warn!(%destination, reason, names, records, seconds = age(self.apart.oldest()), "events wait apart on disk, since their own subjects or topics take nothing; see /readyz");
        }
    }

    /// Records came from the disk.
    fn add_batch(
        &mut self,
        batch: Result<Vec<QueuedRecord>, spool::Error>,
    ) -> Result<(), sink::Error> {
        let Some(batch) = self.backoff.record_read(&self.job, batch)? else { return Ok(()) };
        for queued in batch {
            // An older one of its key is under way, perhaps of its name: that one comes first, whatever is known by now.
            let waits = self.source.read_ahead.holds(queued.key());
            let queued = if waits { Some(queued) } else { self.pass_over(queued) };
            if let Some(queued) = queued {
                self.source.read_ahead.add(queued);
            }
        }
        if self.source.is_at_end && self.has_more && self.next_pass.is_none() {
            let now = Instant::now();
            let took = now.duration_since(self.began);
            self.next_pass = Some(now + MIN_PASS_INTERVAL.max(took * PASS_INTERVAL_FACTOR));
        }
        Ok(())
    }

    /// A record whose name takes nothing stays where it is, or is kept to try the name with if it is the first; any other
    /// comes back.
    fn pass_over(&mut self, queued: QueuedRecord) -> Option<QueuedRecord> {
        let name = &queued.record.name;
        if self.marks.contains(name) {
            return None;
        }
        if !self.apart.is_blocked(name) {
            return Some(queued);
        }
        if !self.retries.contains(name) {
            let size = self.retries.bytes() + queued.size();
            if self.retries.len() < MAX_NAMES && (size <= MAX_NAME_BYTES || self.retries.is_empty())
            {
                self.retries.add(queued);
            } else {
                self.has_more = true;
            }
        }
        None
    }

    /// Begin with the next record, if there is one that may go.
    fn start_next(&mut self) -> bool {
        let now = Instant::now();
        let is_time = now >= self.next_try || self.retries.is_hurried();
        if self.may_try()
            && is_time
            && let Some(queued) = self.retries.try_next()
        {
            let cost = Duration::from_secs_f64(queued.size() as f64 / BYTES_A_SECOND);
            self.next_try = now + TRY_INTERVAL.max(cost);
            self.tried += 1;
            self.send(queued);
            return true;
        }
        if self.source.is_rewinding || !self.has_room() {
            return false;
        }
        let Some(queued) = self.source.read_ahead.next(self.backoff.failing.as_deref()) else {
            return false;
        };
        if self.apart.is_blocked(&queued.record.name) || self.marks.contains(&queued.record.name) {
            self.source.read_ahead.done(&queued);
            // What was ready is the first of its name and key, so the name may be tried with it.
            let _ = self.pass_over(queued);
        } else {
            self.send(queued);
        }
        true
    }

    fn send(&mut self, queued: QueuedRecord) {
        let size = queued.size();
        let sending = Job::send(self.job.destination.clone(), queued, Examine::Never);
        self.in_flight.start(size, sending);
    }

    /// An attempt ended.
    async fn settle(&mut self, attempt: Attempt) -> Result<(), sink::Error> {
        let is_tried = self.retries.is_tried(&attempt.queued);
        self.tried -= usize::from(is_tried);
        match self.job.settle(self.disk, attempt).await {
            AttemptResult::Done(queued) => {
                self.backoff.reset();
                if !is_tried {
                    self.source.read_ahead.done(&queued);
                }
                let name = &queued.record.name;
                let rested = self.retries.contains(name);
                self.apart.done(queued.position, &queued.record);
                if self.apart.clear(name) || rested {
                    // What was passed over is older than what comes next.
                    drop(self.retries.end(name));
                    self.source.rewind();
                    // The same repair may have mended other names.
                    if !self.retries.is_hurried() {
                        self.retries.hurry();
                    }
                }
                if self.apart.is_empty() && self.disk.disk_queue.is_empty() {
                    info!(destination = %self.job.destination.text(), "all that was queued on disk is published");
                }
            }
            AttemptResult::NameFails(queued, error) => {
                self.backoff.reset();
                self.name_fails(queued, error.reason, is_tried);
                self.error = Some(error);
            }
            AttemptResult::Fails(queued, error) => {
                let error = self.backoff.record_attempt(&self.job, error)?;
                let left = (self.apart.len(), self.apart.oldest());
                self.backoff.back_off(&self.job, &queued.record.name, error, left);
                if is_tried {
                    self.retries.add(queued);
                } else {
                    self.source.read_ahead.retry(queued);
                }
            }
        }
        Ok(())
    }

    fn name_fails(&mut self, queued: QueuedRecord, reason: &'static str, is_tried: bool) {
        if is_tried {
            return self.retries.add(queued);
        }
        self.source.read_ahead.done(&queued);
        if !self.apart.block(&queued.record.name, reason) {
            self.marks.add(&queued.record.name);
            self.has_more = true;
            return;
        }
        let _ = self.pass_over(queued);
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
        let place = self.hasher.hash_one(name) as usize % MARK_BITS;
        (place / 64, 1 << (place % 64))
    }

    fn add(&mut self, name: &str) {
        let (word, bit) = self.place(name);
        let bits = self.bits.get_or_insert_with(|| vec![0; MARK_BITS / 64].into());
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
