//! One queue: a directory of segments, what of them is done, and the segment that is being written.
//!
//! The writer's thread alone adds, seals and removes segments. Readers see what is synced, and nothing else.

mod missing;
mod read;
mod recover;
mod write;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, warn};

pub(super) use self::read::ReadPosition;
use self::write::Active;
use super::cursor::Cursor;
use super::disk::CountedDisk;
use super::error::{is_missing, is_of_device};
use super::ranges::Ranges;
use super::volume::Volume;
use super::{Damage, Error, Position, time};

/// The file that says whose queue it is.
const DESTINATION: &str = "destination";
const CURSOR: &str = "cursor";

/// Bytes that are copied at once of what is set aside.
const COPY_CHUNK: u64 = 256 << 10;

pub(super) struct Log {
    directory: PathBuf,
    /// The configured text of the destination, once it is known.
    text: OnceLock<Arc<str>>,
    volume: Arc<Volume>,
    state: Mutex<State>,
    /// The segment that is being written: a matter of the writer's thread.
    active: Mutex<Option<Active>>,
    /// The sequence after the last record that can be read.
    readable: watch::Sender<u64>,
    /// Whether its readers hand on what they read in order.
    keeps_order: bool,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    segments: Vec<Segment>,
    /// The sequence of the record that comes next; none is used twice.
    next: u64,
    /// Records that are not done.
    records: u64,
    /// When the oldest of them was stored, or a little earlier.
    oldest: u64,
    /// Something is done that the cursor file doesn't say.
    is_stale: bool,
    /// There is a cursor file, or there should be.
    has_cursor: bool,
    /// The sequence after the last record that a reader was given.
    given: u64,
}

struct Segment {
    id: u64,
    first: u64,
    /// The sequence after its last record.
    next: u64,
    /// Where its last record ends.
    end: u64,
    /// What it counts for.
    bytes: u64,
    time: u64,
    /// Nothing more is added.
    is_sealed: bool,
    /// Somebody took its file away.
    is_gone: bool,
    done: Ranges,
}

impl Segment {
    fn is_done(&self) -> bool {
        self.undone() == 0
    }

    /// What it holds from this sequence on was never kept: a write failed, and a later process didn't find it and gave its
    /// numbers to others. What was cut off then may come back when the power fails.
    fn end_before(&mut self, sequence: u64) {
        if self.next <= sequence {
            return;
        }
        self.next = sequence;
        let mut done = Ranges::default();
        for range in self.done.iter() {
            done.insert(range.start..range.end.min(sequence));
        }
        self.done = done;
    }

    /// How many of its records are not done.
    fn undone(&self) -> u64 {
        (self.next - self.first).saturating_sub(self.done.len())
    }
}

impl Log {
    /// A queue that may have no directory yet; that one is made when it is needed.
    pub(super) fn new(directory: PathBuf, volume: Arc<Volume>) -> Self {
        Self {
            directory,
            text: OnceLock::new(),
            volume,
            state: Mutex::default(),
            active: Mutex::new(None),
            readable: watch::Sender::new(0),
            keeps_order: true,
        }
    }

    /// What its readers read has no order.
    pub(super) fn without_order(self) -> Self {
        Self { keeps_order: false, ..self }
    }

    /// The disk that it is on.
    pub(super) fn disk(&self) -> &CountedDisk {
        &self.volume.disk
    }

    /// Copy bytes that are no frames to where somebody can look at them; nothing if they are there already.
    fn set_aside(&self, path: &Path, range: &Range<u64>) -> Option<Damage> {
        let target = path.with_extension(format!("{}.corrupt", range.start));
        let disk = &self.volume.disk;
        if disk.open(&target).is_ok() {
            return None;
        }
        let length = range.end - range.start;
        let what = format!("there is no whole record at byte {}", range.start);
        let damage = Damage::new(path, what, length);
        let copy = || -> io::Result<()> {
            let (from, to) = (disk.open(path)?, disk.create(&target)?);
            let mut buffer = vec![0; length.min(COPY_CHUNK) as usize];
            let mut at = range.start;
            while at < range.end {
                let max = (range.end - at).min(COPY_CHUNK) as usize;
                let read = from.read_at(&mut buffer[..max], at)?;
                if read == 0 {
                    break;
                }
                to.write(&buffer[..read])?;
                at += read as u64;
            }
            Ok(())
        };
        self.volume.damaged.fetch_add(1, Ordering::Relaxed);
        match copy() {
            Ok(()) => Some(Damage { copy: Some(target), ..damage }),
            Err(_) => Some(damage),
        }
    }

    /// The text of the destination; the name of its directory if that is unknown.
    pub(super) fn text(&self) -> Arc<str> {
        let known = self.text.get().cloned();
        known.unwrap_or_else(|| {
            let name = self.directory.file_name().unwrap_or_default();
            name.to_string_lossy().into()
        })
    }

    /// Say whose queue it is.
    pub(super) fn set_text(&self, text: &str) {
        self.text.get_or_init(|| text.into());
    }

    /// The text that stands in the directory, if there is one.
    pub(super) fn read_text(&self) -> Result<Option<String>, Error> {
        let path = self.directory.join(DESTINATION);
        match self.volume.disk.read(&path) {
            Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
            Err(error) if is_missing(&error) || is_of_device(&error) => Ok(None),
            Err(error) => Err(Error::unreadable(&path, error)),
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.state.lock().records
    }

    pub(super) fn next(&self) -> u64 {
        self.state.lock().next
    }

    /// Whether it ever held something.
    pub(super) fn is_used(&self) -> bool {
        let state = self.state.lock();
        state.next > 0 || !state.segments.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn oldest(&self) -> Option<SystemTime> {
        let state = self.state.lock();
        (state.records > 0).then(|| time(state.oldest))
    }

    /// The sequence after the last record that can be read.
    pub(super) fn readable(&self) -> watch::Receiver<u64> {
        self.readable.subscribe()
    }

    fn change<T>(&self, first: u64, change: impl FnOnce(&mut Segment) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let at = state.segments.partition_point(|segment| segment.first < first);
        let segment = state.segments.get_mut(at);
        segment.filter(|segment| segment.first == first).map(change)
    }

    fn segment_path(&self, first: u64) -> PathBuf {
        self.directory.join(format!("{first:020}.segment"))
    }

    fn report(&self, damage: Option<Damage>) {
        if let Some(damage) = damage {
            warn!(destination = %self.text(), %damage, "a part of the spool was set aside");
        }
    }

    /// A record needn't be kept any longer.
    pub(super) fn done(&self, position: Position) {
        let sequence = position.sequence;
        self.forget(sequence..sequence.saturating_add(1), position.stored);
    }

    /// Records of one segment needn't be kept, or can't be. The last of them was stored at this time. Returns how many
    /// of them were not done.
    fn forget(&self, sequences: Range<u64>, stored: u64) -> u64 {
        let mut state = self.state.lock();
        let state = &mut *state;
        let segments = &mut state.segments;
        let after = segments.partition_point(|segment| segment.first <= sequences.start);
        let Some(at) = after.checked_sub(1) else {
            return 0;
        };
        let segment = &mut segments[at];
        let new = segment.done.insert(sequences.start..sequences.end.min(segment.next));
        if new == 0 {
            return 0;
        }
        state.records -= new;
        state.is_stale = true;
        let gives_back = segment.is_done() && segment.is_sealed;
        // The oldest one that is left is at least as young as what stood before it.
        if let Some(front) = segments.iter().position(|segment| !segment.is_done()) {
            let segment = &segments[front];
            if front > at {
                state.oldest = state.oldest.max(segment.time);
            } else if front == at && segment.done.first_missing(segment.first) > sequences.start {
                state.oldest = state.oldest.max(stored);
            }
        }
        if gives_back {
            self.volume.tidy_soon();
        } else {
            self.volume.tidy_later();
        }
        new
    }

    /// Remove what is done with, and write the cursor.
    pub(super) fn tidy(&self) {
        let mut active = self.active.lock();
        let mut finished = Vec::new();
        for segment in &mut self.state.lock().segments {
            if segment.is_done() {
                segment.is_sealed = true;
                finished.push((segment.first, segment.is_gone));
            }
        }
        active.take_if(|active| finished.iter().any(|(first, _)| *first == active.first));
        drop(active);
        for (first, is_gone) in finished {
            // A file that was taken away is left alone: it may come back, and is read at the next start then.
            let removed =
                if is_gone { Ok(()) } else { self.volume.disk.discard(&self.segment_path(first)) };
            // One that can't be removed is tried again; until then it takes its room.
            if let Err(error) = removed {
                debug!(destination = %self.text(), %error, "a finished segment can't be removed");
                self.volume.tidy_later();
                continue;
            }
            let mut state = self.state.lock();
            state.segments.retain(|segment| {
                if segment.first == first {
                    self.volume.release(segment.bytes);
                }
                segment.first != first
            });
        }
        self.save();
    }

    fn save(&self) {
        let cursor = {
            let mut state = self.state.lock();
            if !state.is_stale || !self.volume.disk.is_directory(&self.directory) {
                return;
            }
            state.is_stale = false;
            let segments = state.segments.iter();
            let begun = segments.filter(|segment| segment.done.len() > 0);
            Cursor { next: state.next, done: begun.map(|one| (one.id, one.done.clone())).collect() }
        };
        let path = self.directory.join(CURSOR);
        let written = self.volume.disk.replace(&path, &cursor.bytes());
        let mut state = self.state.lock();
        state.has_cursor |= written.is_ok();
        if let Err(error) = written {
            debug!(destination = %self.text(), %error, "the cursor can't be written");
            state.is_stale = true;
            self.volume.tidy_later();
        }
    }

    /// Leave everything so that the next start is quick.
    pub(super) fn close(&self) {
        self.tidy();
        let active = self.active.lock().take();
        if let Some(active) = active {
            self.seal(active);
        }
    }
}
