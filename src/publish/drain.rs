//! Publishing what is queued on disk, in order, as soon as the broker takes it.
//!
//! For each key one record at a time is unacknowledged, the others of the window are sent beside it. A record stays in
//! the queue until it is acknowledged or parked, so that nothing is lost however this ends. While the destination
//! fails, one record at a time is tried.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::backlog::Taken;
use super::destination::{Destination, OnDisk};
use super::replay::{ATTEMPTS, PATIENCE};
use super::window::{Waiting, Window};
use crate::sink::{self, Class};
use crate::spool::{self, Position, Reader, Record};

/// What is in flight at the same time: enough to keep a broker busy, few enough for live traffic to get through.
const RECORDS: usize = 256;
const BYTES: usize = 4 << 20;

/// The pauses between attempts while a destination fails.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// How often the log says that it still fails.
const SAY: Duration = Duration::from_secs(60);
/// The pause after the disk couldn't be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Publish whatever is queued for a destination, now and later, as soon as nobody else does. Nothing for one that is not
/// kept on disk, or that this was begun for already.
pub(super) fn forever(destination: &Arc<Destination>) -> Option<impl Future<Output = ()> + use<>> {
    let turn = destination.disk.as_ref()?.backlog.follow()?;
    let destination = destination.clone();
    Some(async move {
        let seat = turn.await;
        let drain = Drain::new(destination, seat, Until::Stopped, Arc::default());
        // Nothing ends it.
        let _ = drain.run().await;
    })
}

/// Publish what is queued for a destination until nothing is, until it fails again and again, or until `stop`, which
/// waits for what is in flight. Nothing if it is being drained already.
pub(super) fn once(
    destination: &Arc<Destination>,
    tally: Arc<Tally>,
    stop: oneshot::Receiver<()>,
) -> Option<Draining> {
    let seat = destination.disk.as_ref()?.backlog.sit_down()?;
    let mut drain = Drain::new(destination.clone(), seat, Until::Empty, tally);
    drain.stop = Some(stop);
    Some(Box::pin(drain.run()))
}

/// A drain that ends.
pub(super) type Draining = Pin<Box<dyn Future<Output = Result<(), sink::Error>> + Send>>;

/// What a drain has done.
#[derive(Default)]
pub(super) struct Tally {
    published: AtomicU64,
    parked: AtomicU64,
}

impl Tally {
    /// How many are published, and how many are parked.
    pub(super) fn get(&self) -> (u64, u64) {
        (self.published.load(Ordering::Relaxed), self.parked.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Stopped,
    /// Somebody waits for the end.
    Empty,
}

type Batch = Result<Vec<(Position, Record)>, spool::Error>;
type Reading = Pin<Box<dyn Future<Output = (Reader<Record>, Batch)> + Send>>;
type Sent = (Waiting, Instant, Result<(), sink::Error>);
type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Drain {
    destination: Arc<Destination>,
    /// Nobody else reads the queue meanwhile.
    seat: Taken,
    until: Until,
    /// To end early.
    stop: Option<oneshot::Receiver<()>>,
    is_stopping: bool,
    tally: Arc<Tally>,
    window: Window,
    /// Bytes in flight.
    bytes: usize,
    /// Records of an earlier process in the window.
    old: usize,
    /// All of those are read.
    is_old_read: bool,
    pace: Pace,
}

impl Drain {
    fn new(destination: Arc<Destination>, seat: Taken, until: Until, tally: Arc<Tally>) -> Self {
        // What was left by an earlier process waits for the first connection.
        let pause: Pause = Box::pin(recovered(destination.clone(), until));
        let pace = Pace {
            most: 1,
            pause: Some(pause),
            next: SHORTEST,
            has_failed: false,
            said: Instant::now(),
            failures: 0,
            failing: None,
        };
        Self {
            destination,
            seat,
            until,
            stop: None,
            is_stopping: false,
            tally,
            window: Window::default(),
            bytes: 0,
            old: 0,
            is_old_read: false,
            pace,
        }
    }

    async fn run(mut self) -> Result<(), sink::Error> {
        let destination = self.destination.clone();
        let Some(disk) = &destination.disk else { return Ok(()) };
        let mut in_flight = FuturesUnordered::new();
        let mut reader = Some(disk.backlog.reader(&self.seat));
        let mut reading = None;
        while self.goes_on(disk, in_flight.len()) {
            while self.may_send(in_flight.len())
                && let Some(waiting) = self.window.next(self.pace.failing.as_deref())
            {
                self.bytes += waiting.size();
                in_flight.push(send(destination.clone(), waiting));
            }
            disk.in_flight.store(in_flight.len(), Ordering::Relaxed);
            if self.window.has_room()
                && let Some(reader) = reader.take()
            {
                reading = Some(read(reader, self.window.room()));
            }
            tokio::select! {
                Some(sent) = in_flight.next() => self.settle(disk, sent).await?,
                (back, batch) = ready(&mut reading) => {
                    (reader, reading) = (Some(back), None);
                    self.take(disk, batch)?;
                }
                () = ready(&mut self.pace.pause) => self.pace.pause = None,
                () = told(&mut self.stop) => self.is_stopping = true,
            }
        }
        Ok(())
    }

    fn goes_on(&self, disk: &OnDisk, in_flight: usize) -> bool {
        match self.until {
            Until::Stopped => true,
            // What is in flight is waited for: whoever drains next would send it again.
            Until::Empty if self.is_stopping => in_flight > 0,
            Until::Empty => !disk.backlog.is_empty(),
        }
    }

    fn may_send(&self, in_flight: usize) -> bool {
        in_flight < self.pace.most
            && (self.bytes < BYTES || in_flight == 0)
            && self.pace.pause.is_none()
            && !self.is_stopping
            && !self.destination.is_held()
    }

    /// Records came from the disk.
    fn take(&mut self, disk: &OnDisk, batch: Batch) -> Result<(), sink::Error> {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                if !disk.backlog.set_stuck(true) {
                    warn!(destination = %self.destination.text(), %error, "events on disk can't be read; trying on");
                }
                self.destination.health.report(unreadable(&self.destination), error.to_string());
                return self.go_on(sink::Error::retry(error.reason(), error.to_string())).map(drop);
            }
        };
        if disk.backlog.set_stuck(false) {
            self.destination.health.clear(&unreadable(&self.destination));
        }
        for (position, record) in batch {
            let is_old = disk.backlog.is_old(position);
            self.old += usize::from(is_old);
            // There are no older ones behind.
            self.is_old_read |= !is_old;
            self.window.add(Waiting { position, record });
        }
        self.check_old(disk);
        Ok(())
    }

    /// Something failed. Whoever waits for the end hears of it when that happens again and again.
    fn go_on(&mut self, error: sink::Error) -> Result<sink::Error, sink::Error> {
        self.pace.failures += 1;
        let is_enough = self.until == Until::Empty && self.pace.failures >= ATTEMPTS;
        if is_enough { Err(error) } else { Ok(error) }
    }

    fn check_old(&mut self, disk: &OnDisk) {
        if self.old == 0 && (self.is_old_read || disk.backlog.is_empty()) {
            disk.backlog.old_is_over();
        }
    }

    /// An attempt ended.
    async fn settle(
        &mut self,
        disk: &OnDisk,
        (waiting, began, result): Sent,
    ) -> Result<(), sink::Error> {
        self.bytes -= waiting.size();
        let error = match result {
            Ok(()) => {
                self.destination.metrics.published(self.destination.text(), began.elapsed());
                self.destination.works();
                self.pace.go_on();
                self.tally.published.fetch_add(1, Ordering::Relaxed);
                self.done(disk, waiting);
                return Ok(());
            }
            Err(error) => error,
        };
        self.destination.metrics.publish_failed(self.destination.text(), error.reason);
        self.destination.fails(&waiting.record.event, &error);
        if error.class == Class::Reject {
            let record = waiting.record.clone();
            if disk.shelf.park_surely(self.destination.text(), record, &error).await.is_ok() {
                self.tally.parked.fetch_add(1, Ordering::Relaxed);
                self.done(disk, waiting);
                return Ok(());
            }
        }
        self.pace.failing = Some(waiting.record.name.clone());
        self.window.again(waiting);
        let error = self.go_on(error)?;
        self.pace.slow_down(&self.destination, disk, error, self.until);
        Ok(())
    }

    fn done(&mut self, disk: &OnDisk, waiting: Waiting) {
        self.window.done(&waiting);
        disk.backlog.done(waiting.position, waiting.key());
        if disk.backlog.is_old(waiting.position) {
            self.old -= 1;
            self.check_old(disk);
        }
        if self.pace.has_failed && disk.backlog.is_empty() {
            self.pace.has_failed = false;
            info!(destination = %self.destination.text(), "all that was queued on disk is published");
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if let Some(disk) = &self.destination.disk {
            disk.in_flight.store(0, Ordering::Relaxed);
        }
    }
}

/// How fast it goes.
struct Pace {
    /// How many records may be in flight.
    most: usize,
    pause: Option<Pause>,
    /// The length of the next pause.
    next: Duration,
    /// Since the queue was empty.
    has_failed: bool,
    /// When the log said last that it fails.
    said: Instant,
    /// Attempts in a row that failed.
    failures: u32,
    /// The topic or subject of the last of them.
    failing: Option<Arc<str>>,
}

impl Pace {
    fn go_on(&mut self) {
        self.most = RECORDS;
        self.next = SHORTEST;
        self.failures = 0;
        self.failing = None;
    }

    fn slow_down(
        &mut self,
        destination: &Arc<Destination>,
        disk: &OnDisk,
        error: sink::Error,
        until: Until,
    ) {
        if self.most > 1 {
            self.said = Instant::now();
        } else if self.said.elapsed() >= SAY {
            self.said = Instant::now();
            let queue = &disk.backlog;
            let waiting =
                queue.oldest().and_then(|time| SystemTime::now().duration_since(time).ok());
            let seconds = waiting.unwrap_or_default().as_secs();
            warn!(destination = %destination.text(), %error, records = queue.len(), seconds, "events still queue on disk");
        }
        (self.most, self.has_failed) = (1, true);
        if self.pause.is_some() {
            return;
        }
        let (destination, time) = (destination.clone(), self.next);
        self.next = (self.next * 2).min(LONGEST);
        self.pause = Some(Box::pin(async move {
            tokio::time::sleep(time).await;
            if error.class == Class::Blip {
                recovered(destination, until).await;
            }
        }));
    }
}

/// Wait until it is worth trying again; for long only if nobody waits for the end.
async fn recovered(destination: Arc<Destination>, until: Until) {
    match until {
        // So long that the log says it again from time to time.
        Until::Stopped => drop(timeout(SAY, destination.sink.recovered()).await),
        // The next attempt says what is wrong.
        Until::Empty => drop(timeout(PATIENCE, destination.sink.recovered()).await),
    }
}

/// The subject in `/readyz` of a queue that can't be read.
fn unreadable(destination: &Destination) -> String {
    format!("queue of {}", destination.text())
}

/// What comes of something that may not have begun.
async fn ready<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Wait to be told to stop; whoever could may be gone.
async fn told(stop: &mut Option<oneshot::Receiver<()>>) {
    match stop {
        Some(waiting) => {
            let _ = waiting.await;
            *stop = None;
        }
        None => std::future::pending().await,
    }
}

async fn send(destination: Arc<Destination>, waiting: Waiting) -> Sent {
    let began = Instant::now();
    let deadline = began + destination.ack_timeout;
    let Record { name, event } = &waiting.record;
    let result = destination.sink.send(name, event, deadline).await;
    (waiting, began, result)
}

/// The next records, as soon as there are some.
fn read(mut reader: Reader<Record>, (records, bytes): (usize, usize)) -> Reading {
    Box::pin(async move {
        reader.ready().await;
        let batch = reader.read(records, bytes).await;
        if batch.is_err() {
            tokio::time::sleep(READ_AGAIN).await;
        }
        (reader, batch)
    })
}
