//! The queue of all events that could not be stored.
//!
//! A record whose name is known to take nothing, or that has older ones of its name and key waiting apart, goes behind
//! them. As long as it isn't known whether a name takes nothing, its records stay in the read-ahead, where later
//! ones of their keys wait behind them, and one is tried from time to time.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::backoff::Backoff;
use super::job::{Attempt, AttemptResult, Examine, InFlight, Job, Run};
use super::name_retries::NameRetries;
use super::queue_reader::{QueueReader, ready};
use super::{MAX_BYTES_IN_FLIGHT, MAX_IN_FLIGHT};
use crate::publish::apart_queue::{NameStatus, UNCERTAIN_TIMEOUT};
use crate::publish::destination::OnDisk;
use crate::publish::disk_queue::DrainGuard;
use crate::publish::read_ahead::QueuedRecord;
use crate::publish::running::Running;
use crate::sink::{self, Class, MAX_RUN};
use crate::spool;

/// The pauses between attempts to move what should wait apart, while the disk doesn't take it.
const MIN_MOVE_BACKOFF: Duration = Duration::from_secs(1);
const MAX_MOVE_BACKOFF: Duration = Duration::from_secs(30);

/// Names that are passed over while they can't be moved; what comes beyond waits in the read-ahead.
const MAX_UNMOVABLE_NAMES: usize = 1_024;

pub(super) struct MainDrain<'a> {
    job: Job,
    disk: &'a OnDisk,
    /// No other drain reads the queue meanwhile.
    drain_lock: &'a DrainGuard,
    source: QueueReader,
    in_flight: Running<Done>,
    /// Names that fail, and are not known yet to take nothing.
    retries: NameRetries,
    /// Names that take nothing, and whose records the disk doesn't let go elsewhere: they are passed over, and read again.
    unmovable: HashSet<Arc<str>>,
    /// When to read them again.
    read_again: Option<Instant>,
    move_again: Duration,
    /// Records of an earlier process in the read-ahead, or passed over.
    inherited: usize,
    /// All of those are read.
    are_inherited_read: bool,
    backoff: Backoff,
}

enum Done {
    Attempt(Attempt),
    Run(Run),
    /// To the others that wait apart.
    Moved(QueuedRecord, Result<(), spool::Error>),
}

impl<'a> MainDrain<'a> {
    pub(super) fn new(job: Job, disk: &'a OnDisk, drain_lock: &'a DrainGuard) -> Self {
        Self {
            backoff: Backoff::new(&job),
            source: QueueReader::new(disk.disk_queue.reader(drain_lock)),
            job,
            disk,
            drain_lock,
            in_flight: Running::default(),
            retries: NameRetries::default(),
            unmovable: HashSet::new(),
            read_again: None,
            move_again: MIN_MOVE_BACKOFF,
            inherited: 0,
            are_inherited_read: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), sink::Error> {
        let mut counted = InFlight::new(self.disk);
        let result = self.work(&mut counted).await;
        // However it ends, what is in flight is settled: the next drain would send or move it again.
        while let Some(done) = self.in_flight.next().await {
            // The first error is the reason.
            let _ = self.settle(done).await;
        }
        result
    }

    async fn work(&mut self, counted: &mut InFlight<'_>) -> Result<(), sink::Error> {
        while self.goes_on() {
            self.restart();
            while self.start_next() {}
            counted.set(self.in_flight.len());
            self.disk.disk_queue.set_held_up(self.is_held_up());
            self.source.read();
            let due = self.retries.due().filter(|_| self.may_send());
            let due = [due, self.read_again].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some(done) = self.in_flight.next() => self.settle(done).await?,
                batch = self.source.next() => self.add_batch(batch)?,
                () = ready(&mut self.backoff.pause) => self.backoff.pause = None,
                () = wait_until(due) => {}
                () = self.job.stop_requested() => {}
            }
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        if self.job.is_stopping() {
            // Wait for what is in flight: the next drain would send it again.
            return !self.in_flight.is_empty();
        }
        !self.job.ends() || !self.disk.disk_queue.is_empty()
    }

    /// Records came from the disk.
    fn add_batch(
        &mut self,
        batch: Result<Vec<QueuedRecord>, spool::Error>,
    ) -> Result<(), sink::Error> {
        let Some(batch) = self.backoff.record_read(&self.job, batch)? else { return Ok(()) };
        for queued in batch {
            let is_inherited = self.disk.disk_queue.is_inherited(queued.position);
            self.inherited += usize::from(is_inherited);
            // There are no older ones behind.
            self.are_inherited_read |= !is_inherited;
            self.source.read_ahead.add(queued);
        }
        self.check_old();
        Ok(())
    }

    fn check_old(&mut self) {
        if self.inherited == 0 && (self.are_inherited_read || self.disk.disk_queue.is_empty()) {
            self.disk.disk_queue.inherited_done();
        }
    }

    /// Read again what was passed over, when it is time.
    fn restart(&mut self) {
        if self.read_again.take_if(|time| *time <= Instant::now()).is_some() {
            self.source.rewind();
        }
        let (disk_queue, drain_lock) = (&self.disk.disk_queue, self.drain_lock);
        if self.source.rewound(self.in_flight.len(), || disk_queue.reader(drain_lock)) {
            self.unmovable.clear();
            self.retries = NameRetries::default();
            (self.inherited, self.are_inherited_read) = (0, false);
        }
    }

    /// Whether all that there is should wait apart, and can't be moved there: nothing of it finds out whether the
    /// destination works.
    fn is_held_up(&self) -> bool {
        !self.unmovable.is_empty()
            && self.in_flight.is_empty()
            && self.retries.is_empty()
            && self.backoff.pause.is_none()
    }

    /// Whether something may be moved, which needs no broker.
    fn may_move(&self) -> bool {
        self.in_flight.has_room(1, MAX_IN_FLIGHT, MAX_BYTES_IN_FLIGHT)
            && !self.source.is_rewinding
            && self.job.may_send()
    }

    fn may_send(&self) -> bool {
        self.may_move()
            && self.in_flight.len() < self.backoff.max_in_flight
            && self.backoff.pause.is_none()
    }

    /// Begin with the next record, if there is one that may go.
    fn start_next(&mut self) -> bool {
        if !self.may_move() {
            return false;
        }
        let may_send = self.may_send();
        if may_send && let Some(queued) = self.retries.try_next() {
            if self.status(&queued) == NameStatus::Apart {
                // Somebody found out meanwhile.
                self.wake(queued.record.name.clone(), Some(queued));
            } else {
                self.send(queued);
            }
            return true;
        }
        let Some(queued) = self.source.read_ahead.next(self.backoff.failing.as_deref()) else {
            return false;
        };
        if self.unmovable.contains(&queued.record.name) {
            self.pass_over(&queued);
            return true;
        }
        match self.status(&queued) {
            NameStatus::Apart => self.set_apart(queued, None),
            NameStatus::Suspect => self.retries.add(queued),
            NameStatus::Open if may_send => self.send_run(queued),
            NameStatus::Open => {
                self.source.read_ahead.put_back([queued]);
                return false;
            }
        }
        true
    }

    fn status(&self, queued: &QueuedRecord) -> NameStatus {
        let (name, key) = (&queued.record.name, queued.key());
        self.disk.apart.as_ref().map_or(NameStatus::Open, |apart| apart.status(name, key))
    }

    /// Send a record, and those of its key and name behind it, where that is possible and nothing fails.
    fn send_run(&mut self, queued: QueuedRecord) {
        let name = &queued.record.name;
        let pipeline = self.job.destination.sink.pipeline();
        let max = pipeline.map_or(1, |pipeline| pipeline.max(name));
        if max < 2 || queued.is_alone || self.backoff.is_cautious() {
            return self.send(queued);
        }
        let behind = self.source.read_ahead.run_behind(&queued, (max, MAX_RUN.1));
        if behind.is_empty() {
            return self.send(queued);
        }
        let run: Vec<_> = [queued].into_iter().chain(behind).collect();
        let size = run.iter().map(QueuedRecord::size).sum();
        let sending = self.job.clone().send_run(run);
        self.in_flight.start(size, async move { Done::Run(sending.await) });
    }

    fn send(&mut self, queued: QueuedRecord) {
        let size = queued.size();
        let sending = Job::send(self.job.destination.clone(), queued, Examine::Broker);
        self.in_flight.start(size, async move { Done::Attempt(sending.await) });
    }

    /// Let a record wait apart, with the reason why its name is known to take nothing from now on.
    fn set_apart(&mut self, queued: QueuedRecord, reason: Option<&'static str>) {
        let Some(apart) = &self.disk.apart else { return self.source.read_ahead.retry(queued) };
        let begun = apart.begin_moved(&queued.record, reason);
        self.in_flight.start(queued.size(), async move {
            let result = match begun {
                // Were it given up before its end is known, it would be moved twice.
                Ok(append) => append.resolved().await,
                Err(error) => Err(error),
            };
            Done::Moved(queued, result)
        });
    }

    /// An attempt ended.
    async fn settle(&mut self, done: Done) -> Result<(), sink::Error> {
        let attempt = match done {
            Done::Attempt(attempt) => attempt,
            Done::Run(run) => {
                self.run_ended(run);
                return Ok(());
            }
            Done::Moved(queued, result) => return self.moved(queued, result),
        };
        match self.job.settle(self.disk, attempt).await {
            AttemptResult::Done(queued) => {
                self.backoff.record_published();
                self.name_works(&queued.record.name);
                self.done(&queued);
            }
            AttemptResult::NameFails(queued, error) => return self.name_fails(queued, error),
            AttemptResult::Fails(queued, error) => {
                let error = self.backoff.record_attempt(&self.job, error)?;
                let disk_queue = &self.disk.disk_queue;
                let left = (disk_queue.len(), disk_queue.oldest());
                self.backoff.back_off(&self.job, &queued.record.name, error, left);
                self.again(queued);
            }
        }
        Ok(())
    }

    /// A run ended. What isn't stored of it goes back to where it was, and what is wrong shows when its first one is sent
    /// by itself.
    fn run_ended(&mut self, Run { mut queued, stored }: Run) {
        let rest = queued.split_off(stored);
        if let Some(first) = queued.first() {
            self.name_works(&first.record.name);
        }
        for _ in &queued {
            self.backoff.record_published();
        }
        self.source.read_ahead.run_ended(&queued, rest);
        self.left(&queued);
    }

    fn name_works(&mut self, name: &Arc<str>) {
        if let Some(apart) = &self.disk.apart {
            apart.record_success(name);
        }
        self.wake(name.clone(), None);
    }

    /// One is to be sent again.
    fn again(&mut self, queued: QueuedRecord) {
        if self.retries.is_tried(&queued) {
            self.retries.add(queued);
        } else {
            self.source.read_ahead.retry(queued);
        }
    }

    fn name_fails(&mut self, queued: QueuedRecord, error: sink::Error) -> Result<(), sink::Error> {
        let name = queued.record.name.clone();
        let Some(apart) = &self.disk.apart else { return Ok(()) };
        self.backoff.has_failed = true;
        let is_certain = error.class == Class::Unavailable
            || apart.suspect(&name, error.reason, Instant::now()).elapsed() >= UNCERTAIN_TIMEOUT;
        if is_certain {
            // The broker said so, which it can do only while it is there.
            self.backoff.reset();
            self.wake(name, None);
            self.set_apart(queued, Some(error.reason));
        } else {
            self.retries.add(queued);
            self.backoff.record_attempt(&self.job, error)?;
        }
        Ok(())
    }

    /// It is known what becomes of a name: the records that waited for that go on.
    fn wake(&mut self, name: Arc<str>, first: Option<QueuedRecord>) {
        if first.is_none() && self.retries.is_empty() {
            return;
        }
        let retries = self.retries.end(&name);
        self.source.read_ahead.put_back(first.into_iter().chain(retries));
    }

    /// A record waits apart now, or can't.
    fn moved(
        &mut self,
        queued: QueuedRecord,
        result: Result<(), spool::Error>,
    ) -> Result<(), sink::Error> {
        let Err(error) = result else {
            self.move_again = MIN_MOVE_BACKOFF;
            self.done(&queued);
            return Ok(());
        };
        self.disk.spool.report_trouble(&error);
        if self.unmovable.len() >= MAX_UNMOVABLE_NAMES {
            self.retries.add(queued);
        } else {
            self.unmovable.insert(queued.record.name.clone());
            self.pass_over(&queued);
        }
        if self.read_again.is_none() {
            self.read_again = Some(Instant::now() + self.move_again);
            self.move_again = (self.move_again * 2).min(MAX_MOVE_BACKOFF);
        }
        let error = sink::Error::unavailable(error.reason(), error.to_string());
        self.backoff.record_attempt(&self.job, error).map(drop)
    }

    /// Leave a record where it is, and go on with the next one of its key. Those of its name are passed over too, so that
    /// they are read again in their order.
    fn pass_over(&mut self, queued: &QueuedRecord) {
        self.source.read_ahead.done(queued);
    }

    fn done(&mut self, queued: &QueuedRecord) {
        self.source.read_ahead.done(queued);
        self.disk.disk_queue.done(queued.position, queued.key());
        self.left(std::slice::from_ref(queued));
    }

    /// These have left the queue.
    fn left(&mut self, queued: &[QueuedRecord]) {
        let is_inherited =
            |queued: &&QueuedRecord| self.disk.disk_queue.is_inherited(queued.position);
        let inherited = queued.iter().filter(is_inherited).count();
        if inherited > 0 {
            self.inherited = self.inherited.saturating_sub(inherited);
            self.check_old();
        }
        if self.disk.disk_queue.is_empty() {
            let (published, seconds) = self.backoff.end_run();
            let was_logged = self.disk.was_logged.swap(false, Ordering::Relaxed);
            let has_failed = std::mem::take(&mut self.backoff.has_failed);
            let apart = self.disk.apart.as_ref().map_or(0, |apart| apart.len());
            if (was_logged || has_failed) && apart == 0 {
                info!(destination = %self.job.destination.text(), published, seconds = format_args!("{seconds:.1}"), "all that was queued on disk is published");
            }
        }
    }
}

/// Wait until then; for ever where that is never.
pub(super) async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
