//! The queue of a destination on disk, and which keys it holds.
//!
//! An event may be sent directly only while no event of its key is queued. The keys themselves would need memory
//! without a bound, so their hashes are counted in a table of a fixed size: two keys in one place make an event take
//! the long road without need, and never the short one too early.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::spool::{self, Appending, Position, Queue, Reader, Record};

/// Places of the table; 256 KiB while something is queued.
const PLACES: usize = 1 << 16;

pub(super) struct Backlog {
    queue: Queue,
    /// There may be something in it.
    is_active: AtomicBool,
    /// The drain can't read it.
    is_stuck: AtomicBool,
    /// The drain has nothing that it may send: all that is queued should wait apart, and the disk doesn't take it there.
    is_held_up: AtomicBool,
    /// Records below this sequence are of an earlier process, so that nobody knows their keys.
    ours: u64,
    held: Mutex<Held>,
    hasher: RandomState,
    seat: Arc<Turn<Seat>>,
    /// Somebody publishes it, or waits to, for as long as the process lives.
    is_followed: AtomicBool,
}

/// Who may read the queue and call its records done. There is one for each queue, and only its holder gets a reader: two
/// at a time would publish everything twice, and break the order.
pub(super) struct Seat(());

/// A seat that is taken, until this is dropped.
pub(super) type Taken = OwnedMutexGuard<Seat>;

#[derive(Default)]
struct Held {
    /// How many queued records have a key of this place.
    table: Option<Box<[u32]>>,
    /// Records that took their place, and are not known to be on disk yet.
    appending: usize,
    /// Records of an earlier process may be left.
    is_old: bool,
}

impl Backlog {
    pub(super) fn new(queue: Queue) -> Self {
        let is_old = !queue.is_empty();
        Self {
            is_active: AtomicBool::new(is_old),
            is_stuck: AtomicBool::new(false),
            is_held_up: AtomicBool::new(false),
            ours: queue.next(),
            held: Mutex::new(Held { is_old, ..Held::default() }),
            hasher: RandomState::new(),
            queue,
            seat: Arc::new(Turn::new(Seat(()))),
            is_followed: AtomicBool::new(false),
        }
    }

    /// Take the seat for good, as soon as it is free. Nothing if somebody did so before.
    pub(super) fn follow(&self) -> Option<impl Future<Output = Taken> + use<>> {
        let is_followed = self.is_followed.swap(true, Ordering::Relaxed);
        (!is_followed).then(|| self.seat.clone().lock_owned())
    }

    /// Take the seat for a while, if it is free and nobody wants it for good.
    pub(super) fn sit_down(&self) -> Option<Taken> {
        let is_followed = self.is_followed.load(Ordering::Relaxed);
        self.seat.clone().try_lock_owned().ok().filter(|_| !is_followed)
    }

    /// Read it from its oldest record on.
    pub(super) fn reader(&self, _: &Taken) -> Reader<Record> {
        self.queue.reader()
    }

    /// Records that are not done.
    pub(super) fn len(&self) -> u64 {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Since when the oldest record has been waiting, or a little earlier.
    pub(super) fn oldest(&self) -> Option<SystemTime> {
        self.queue.oldest()
    }

    fn place(&self, key: &str) -> usize {
        self.hasher.hash_one(key) as usize % PLACES
    }

    /// Whether an event of this key has to queue. Whoever asks has the turn of its key.
    pub(super) fn holds(&self, key: Option<&Arc<str>>) -> bool {
        // What made it active left the lane of this key before we entered it.
        let (true, Some(key)) = (self.is_active.load(Ordering::Relaxed), key) else {
            return false;
        };
        let held = self.held.lock();
        held.is_old || held.table.as_ref().is_some_and(|table| table[self.place(key)] > 0)
    }

    /// Whether somebody tries the destination with what is queued.
    pub(super) fn is_tried(&self) -> bool {
        let is_idle =
            self.is_stuck.load(Ordering::Relaxed) || self.is_held_up.load(Ordering::Relaxed);
        !self.queue.is_empty() && !is_idle
    }

    /// Whether the drain has nothing that it may send.
    pub(super) fn set_held_up(&self, is_held_up: bool) {
        self.is_held_up.store(is_held_up, Ordering::Relaxed);
    }

    /// The drain can't read it, or can again. Returns how it was before.
    pub(super) fn set_stuck(&self, is_stuck: bool) -> bool {
        self.is_stuck.swap(is_stuck, Ordering::Relaxed)
    }

    /// Take the next place. From now on later events of its key queue behind it.
    pub(super) fn begin(self: &Arc<Self>, record: &Record) -> Result<Keeping, spool::Error> {
        let place = record.event.key.as_ref().map(|key| self.place(key));
        {
            let mut held = self.held.lock();
            self.is_active.store(true, Ordering::Relaxed);
            held.appending += 1;
            if let Some(place) = place {
                let table = held.table.get_or_insert_with(|| vec![0; PLACES].into());
                table[place] = table[place].saturating_add(1);
            }
        }
        let ticket = Ticket { backlog: self.clone(), place };
        self.queue.begin_with(record, Box::new(|| ticket.kept())).map(Keeping)
    }

    /// A record is published, or a dead letter: its queue needn't keep it.
    pub(super) fn done(&self, position: Position, key: Option<&Arc<str>>) {
        self.queue.done(position);
        let is_ours = position.sequence() >= self.ours;
        let place = key.filter(|_| is_ours).map(|key| self.place(key));
        self.release(place, false);
    }

    /// Whether a record is of an earlier process.
    pub(super) fn is_old(&self, position: Position) -> bool {
        position.sequence() < self.ours
    }

    /// Records that took their place, and are not known to be on disk yet.
    #[cfg(test)]
    pub(super) fn appending(&self) -> usize {
        self.held.lock().appending
    }

    /// All records of earlier processes are done.
    pub(super) fn old_is_over(&self) {
        let mut held = self.held.lock();
        held.is_old = false;
        self.rest(&mut held);
    }

    fn release(&self, place: Option<usize>, is_appended: bool) {
        let mut held = self.held.lock();
        held.appending -= usize::from(is_appended);
        if let (Some(table), Some(place)) = (&mut held.table, place) {
            table[place] = table[place].saturating_sub(1);
        }
        self.rest(&mut held);
    }

    /// With nothing queued and nothing on its way there, nobody has to look at the table.
    fn rest(&self, held: &mut Held) {
        if held.appending == 0 && !held.is_old && self.queue.is_empty() {
            held.table = None;
            self.is_active.store(false, Ordering::Relaxed);
        }
    }
}

/// A record that has its place, and is on its way to the disk.
pub(super) struct Keeping(pub(super) Appending);

impl Keeping {
    /// Wait until it is synced, but not for long. What is given up may be kept all the same.
    pub(super) async fn finish(self) -> Result<(), spool::Error> {
        self.0.finish().await.map(drop)
    }

    /// Wait until it is synced or known not to be, however long that takes.
    pub(super) async fn resolved(self) -> Result<(), spool::Error> {
        self.0.resolved().await.map(drop)
    }
}

/// The place of a record in the counts while it is on its way to the disk. The spool has it, and ends it when the record
/// is there, or when it is certain that it won't be: whoever waits may give up long before.
struct Ticket {
    backlog: Arc<Backlog>,
    place: Option<usize>,
}

impl Ticket {
    /// It is on disk: its key counts as queued until it is done.
    fn kept(mut self) {
        self.place = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.backlog.release(self.place, true);
    }
}

#[cfg(test)]
mod tests;
