//! The queue in which all events stand that could not be stored.
//!
//! A record whose name is known to take nothing, or that has older ones of its name and key waiting apart, goes behind
//! them. As long as it isn't known whether a name takes nothing, its records rest in the window, where later ones of
//! their keys wait behind them, and one is tried from time to time.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::job::{Asks, InFlight, Job, Outcome, Sent};
use super::pace::Pace;
use super::resting::Resting;
use super::source::{Source, ready};
use super::{BYTES, RECORDS};
use crate::publish::apart::{Road, UNSURE};
use crate::publish::backlog::{Keeping, Taken};
use crate::publish::destination::OnDisk;
use crate::publish::window::Waiting;
use crate::sink::{self, Class};
use crate::spool;

/// The pauses between attempts to move what should wait apart, while the disk doesn't take it.
const MOVE_AGAIN: Duration = Duration::from_secs(1);
const MOVE_AGAIN_AT_MOST: Duration = Duration::from_secs(30);

/// So many names are passed over while they can't be moved; what comes beyond waits in the window.
const UNMOVABLE: usize = 1_024;

pub(super) struct Queued<'a> {
    job: Job,
    disk: &'a OnDisk,
    /// Nobody else reads the queue meanwhile.
    seat: &'a Taken,
    source: Source,
    in_flight: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>,
    /// Bytes in flight.
    bytes: usize,
    /// Names of which nobody knows yet whether they take nothing.
    resting: Resting,
    /// Names that take nothing, and whose records the disk doesn't let go elsewhere: they are passed over, and read again.
    unmovable: HashSet<Arc<str>>,
    /// When to read them again.
    read_again: Option<Instant>,
    move_again: Duration,
    /// Records of an earlier process in the window, or passed over.
    old: usize,
    /// All of those are read.
    is_old_read: bool,
    pace: Pace,
}

enum Done {
    Sent(Sent),
    /// To the others that wait apart.
    Moved(Waiting, Result<(), spool::Error>),
}

impl<'a> Queued<'a> {
    pub(super) fn new(job: Job, disk: &'a OnDisk, seat: &'a Taken) -> Self {
        Self {
            pace: Pace::new(&job),
            source: Source::new(disk.backlog.reader(seat)),
            job,
            disk,
            seat,
            in_flight: FuturesUnordered::new(),
            bytes: 0,
            resting: Resting::default(),
            unmovable: HashSet::new(),
            read_again: None,
            move_again: MOVE_AGAIN,
            old: 0,
            is_old_read: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), sink::Error> {
        let mut counted = InFlight::new(self.disk);
        while self.goes_on() {
            self.begin_again();
            while self.begin_next() {}
            counted.set(self.in_flight.len());
            self.disk.backlog.set_held_up(self.is_held_up());
            self.source.read();
            let due = self.resting.due().filter(|_| self.may_send());
            let due = [due, self.read_again].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some(done) = self.in_flight.next() => self.settle(done).await?,
                batch = self.source.next() => self.take(batch)?,
                () = ready(&mut self.pace.pause) => self.pace.pause = None,
                () = at(due) => {}
                () = self.job.told() => {}
            }
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        if self.job.is_stopping() {
            // What is in flight is waited for: whoever drains next would send it again.
            return !self.in_flight.is_empty();
        }
        !self.job.ends() || !self.disk.backlog.is_empty()
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
            let is_old = self.disk.backlog.is_old(waiting.position);
            self.old += usize::from(is_old);
            // There are no older ones behind.
            self.is_old_read |= !is_old;
            self.source.window.add(waiting);
        }
        self.check_old();
        Ok(())
    }

    fn check_old(&mut self) {
        if self.old == 0 && (self.is_old_read || self.disk.backlog.is_empty()) {
            self.disk.backlog.old_is_over();
        }
    }

    /// Read again what was passed over, when it is time.
    fn begin_again(&mut self) {
        if self.read_again.take_if(|time| *time <= Instant::now()).is_some() {
            self.source.rewind();
        }
        let (backlog, seat) = (&self.disk.backlog, self.seat);
        if self.source.rewound(self.in_flight.len(), || backlog.reader(seat)) {
            self.unmovable.clear();
            self.resting = Resting::default();
            (self.old, self.is_old_read) = (0, false);
        }
    }

    /// Whether all that there is should wait apart, and can't be moved there: nothing of it finds out whether the
    /// destination works.
    fn is_held_up(&self) -> bool {
        !self.unmovable.is_empty()
            && self.in_flight.is_empty()
            && self.resting.is_empty()
            && self.pace.pause.is_none()
    }

    /// Whether something may be moved, which needs no broker.
    fn may_move(&self) -> bool {
        self.in_flight.len() < RECORDS
            && (self.bytes < BYTES || self.in_flight.is_empty())
            && !self.source.is_rewinding
            && self.job.may_send()
    }

    fn may_send(&self) -> bool {
        self.may_move() && self.in_flight.len() < self.pace.most && self.pace.pause.is_none()
    }

    /// Begin with the next record, if there is one that may go.
    fn begin_next(&mut self) -> bool {
        if !self.may_move() {
            return false;
        }
        let may_send = self.may_send();
        if may_send && let Some(waiting) = self.resting.try_next() {
            if self.road(&waiting) == Road::Apart {
                // Somebody found out meanwhile.
                self.wake(waiting.record.name.clone(), Some(waiting));
            } else {
                self.send(waiting);
            }
            return true;
        }
        let Some(waiting) = self.source.window.next(self.pace.failing.as_deref()) else {
            return false;
        };
        if self.unmovable.contains(&waiting.record.name) {
            self.pass_over(&waiting);
            return true;
        }
        match self.road(&waiting) {
            Road::Apart => self.set_apart(waiting, None),
            Road::Uncertain => self.resting.rest(waiting),
            Road::Free if may_send => self.send(waiting),
            Road::Free => {
                self.source.window.put_back([waiting]);
                return false;
            }
        }
        true
    }

    fn road(&self, waiting: &Waiting) -> Road {
        let (name, key) = (&waiting.record.name, waiting.key());
        self.disk.apart.as_ref().map_or(Road::Free, |apart| apart.road(name, key))
    }

    fn send(&mut self, waiting: Waiting) {
        self.bytes += waiting.size();
        let sending = Job::send(self.job.destination.clone(), waiting, Asks::Broker);
        self.in_flight.push(Box::pin(async move { Done::Sent(sending.await) }));
    }

    /// Let a record wait apart, with the reason why its name is known to take nothing from now on.
    fn set_apart(&mut self, waiting: Waiting, reason: Option<&'static str>) {
        let Some(apart) = &self.disk.apart else { return self.source.window.again(waiting) };
        self.bytes += waiting.size();
        match apart.begin_moved(&waiting.record, reason) {
            Ok(keeping) => self.in_flight.push(Box::pin(moved(waiting, keeping))),
            Err(error) => {
                self.in_flight.push(Box::pin(std::future::ready(Done::Moved(waiting, Err(error)))));
            }
        }
    }

    /// An attempt ended.
    async fn settle(&mut self, done: Done) -> Result<(), sink::Error> {
        let sent = match done {
            Done::Sent(sent) => sent,
            Done::Moved(waiting, result) => {
                self.bytes -= waiting.size();
                return self.moved(waiting, result);
            }
        };
        self.bytes -= sent.waiting.size();
        match self.job.settle(self.disk, sent).await {
            Outcome::Done(waiting) => {
                self.pace.published();
                if let Some(apart) = &self.disk.apart {
                    apart.works(&waiting.record.name);
                }
                self.wake(waiting.record.name.clone(), None);
                self.done(&waiting);
            }
            Outcome::NameFails(waiting, error) => return self.name_fails(waiting, error),
            Outcome::Fails(waiting, error) => {
                let error = self.pace.failed(&self.job, error)?;
                let backlog = &self.disk.backlog;
                let left = (backlog.len(), backlog.oldest());
                self.pace.slow_down(&self.job, &waiting.record.name, error, left);
                self.again(waiting);
            }
        }
        Ok(())
    }

    /// One is to be sent again.
    fn again(&mut self, waiting: Waiting) {
        if self.resting.is_tried(&waiting) {
            self.resting.rest(waiting);
        } else {
            self.source.window.again(waiting);
        }
    }

    fn name_fails(&mut self, waiting: Waiting, error: sink::Error) -> Result<(), sink::Error> {
        let name = waiting.record.name.clone();
        let Some(apart) = &self.disk.apart else { return Ok(()) };
        self.pace.has_failed = true;
        let is_certain = error.class == Class::Retry
            || apart.suspect(&name, error.reason, Instant::now()).elapsed() >= UNSURE;
        if is_certain {
            // The broker said so, which it can do only while it is there.
            self.pace.go_on();
            self.wake(name, None);
            self.set_apart(waiting, Some(error.reason));
        } else {
            self.resting.rest(waiting);
            self.pace.failed(&self.job, error)?;
        }
        Ok(())
    }

    /// It is known what becomes of a name: what rests for it goes on.
    fn wake(&mut self, name: Arc<str>, first: Option<Waiting>) {
        if first.is_none() && self.resting.is_empty() {
            return;
        }
        let resting = self.resting.end(&name);
        self.source.window.put_back(first.into_iter().chain(resting));
    }

    /// A record waits apart now, or can't.
    fn moved(
        &mut self,
        waiting: Waiting,
        result: Result<(), spool::Error>,
    ) -> Result<(), sink::Error> {
        let Err(error) = result else {
            self.move_again = MOVE_AGAIN;
            self.done(&waiting);
            return Ok(());
        };
        self.disk.shelf.troubled(&error);
        if self.unmovable.len() >= UNMOVABLE {
            self.resting.rest(waiting);
        } else {
            self.unmovable.insert(waiting.record.name.clone());
            self.pass_over(&waiting);
        }
        if self.read_again.is_none() {
            self.read_again = Some(Instant::now() + self.move_again);
            self.move_again = (self.move_again * 2).min(MOVE_AGAIN_AT_MOST);
        }
        let error = sink::Error::retry(error.reason(), error.to_string());
        self.pace.failed(&self.job, error).map(drop)
    }

    /// Leave a record where it is, and go on with the next one of its key. Those of its name are passed over too, so that
    /// they are read again in their order.
    fn pass_over(&mut self, waiting: &Waiting) {
        self.source.window.done(waiting);
    }

    fn done(&mut self, waiting: &Waiting) {
        self.source.window.done(waiting);
        self.disk.backlog.done(waiting.position, waiting.key());
        if self.disk.backlog.is_old(waiting.position) {
            self.old = self.old.saturating_sub(1);
            self.check_old();
        }
        if self.disk.backlog.is_empty() {
            let (published, seconds) = self.pace.end_run();
            let is_said = self.disk.is_said.swap(false, Ordering::Relaxed);
            let has_failed = std::mem::take(&mut self.pace.has_failed);
            let apart = self.disk.apart.as_ref().map_or(0, |apart| apart.len());
            if (is_said || has_failed) && apart == 0 {
                info!(destination = %self.job.destination.text(), published, seconds = format_args!("{seconds:.1}"), "all that was queued on disk is published");
            }
        }
    }
}

async fn moved(waiting: Waiting, keeping: Keeping) -> Done {
    // Were it given up before that is known, it would be moved twice.
    let result = keeping.resolved().await;
    Done::Moved(waiting, result)
}

/// Wait until then; for ever where that is never.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
