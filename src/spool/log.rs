//! One queue: a directory of segments, what of them is done, and the segment that is being written.
//!
//! The writer's thread alone adds, seals and removes segments. Readers see what is synced, and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::cursor::Cursor;
use super::disk;
use super::ranges::Ranges;
use super::record::Stored;
use super::segment::{self, Found, Frame, Header, Scan};
use super::writer::{Entry, Shared};
use super::{Appending, Damage, Error, Position};

/// The file that says whose queue it is.
const DESTINATION: &str = "destination";
const CURSOR: &str = "cursor";
/// How much is written at once, unless one payload is larger.
const CHUNK: usize = 256 << 10;

pub(super) struct Log {
    directory: PathBuf,
    /// The configured text of the destination, once it is known.
    text: OnceLock<Arc<str>>,
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// The segment that is being written: a matter of the writer's thread.
    active: Mutex<Option<Active>>,
    /// The sequence after the last record that can be read.
    readable: watch::Sender<u64>,
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
    done: Ranges,
}

impl Segment {
    fn is_done(&self) -> bool {
        self.done.len() >= self.next - self.first
    }
}

struct Active {
    file: File,
    path: PathBuf,
    id: u64,
    first: u64,
    /// Where the last synced record ends.
    end: u64,
}

/// Where a reader goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: u64,
    offset: u64,
    /// The sequence that should be there.
    sequence: u64,
}

/// A record as it was read.
pub(super) struct Raw {
    pub(super) position: Position,
    pub(super) body: Bytes,
}

/// A part of a segment that can be read.
struct Part {
    id: u64,
    first: u64,
    sequence: u64,
    next: u64,
    range: Range<u64>,
}

impl Log {
    /// A queue that may have no directory yet; that one is made when it is needed.
    pub(super) fn new(directory: PathBuf, shared: Arc<Shared>) -> Self {
        Self {
            directory,
            text: OnceLock::new(),
            shared,
            state: Mutex::default(),
            active: Mutex::new(None),
            readable: watch::Sender::new(0),
        }
    }

    /// What a directory holds. Whatever is wrong with it is set aside and said.
    pub(super) fn open(
        directory: PathBuf,
        shared: Arc<Shared>,
        damage: &mut Vec<Damage>,
    ) -> io::Result<Self> {
        let log = Self::new(directory, shared);
        let cursor_path = log.directory.join(CURSOR);
        let mut cursor = match fs::read(&cursor_path) {
            Ok(bytes) => Cursor::read(&bytes).unwrap_or_else(|| {
                damage.push(Damage::new(
                    &cursor_path,
                    "it is not whole: what was published already may be published again",
                    bytes.len() as u64,
                ));
                Cursor::default()
            }),
            Err(_) => Cursor::default(),
        };
        let mut segments = Vec::new();
        for entry in fs::read_dir(&log.directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "segment") {
                match log.recover(&path, damage) {
                    Ok(segment) => segments.extend(segment),
                    Err(error) => {
                        damage.push(Damage::new(&path, format!("it can't be read: {error}"), 0))
                    }
                }
            }
        }
        segments.sort_by_key(|segment: &Segment| segment.first);
        let mut state = log.state.lock();
        state.next = cursor.next;
        for mut segment in segments {
            for range in cursor.done.remove(&segment.id).iter().flat_map(Ranges::iter) {
                let range = range.start.max(segment.first)..range.end.min(segment.next);
                segment.done.insert(range);
            }
            if state.records == 0 {
                state.oldest = segment.time;
            }
            state.records += segment.next - segment.first - segment.done.len();
            state.next = state.next.max(segment.next);
            log.shared.used.fetch_add(segment.bytes, Ordering::Relaxed);
            state.segments.push(segment);
        }
        state.is_stale = !state.segments.is_empty();
        log.readable.send_replace(state.next);
        log.shared.tidy_later();
        drop(state);
        Ok(log)
    }

    /// What a segment holds; nothing if it holds nothing.
    fn recover(&self, path: &Path, damage: &mut Vec<Damage>) -> io::Result<Option<Segment>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let Some(header) = Header::read(&file)? else {
            // Nothing was stored in a segment that never got its header.
            if length == 0 {
                disk::remove(path)?;
                return Ok(None);
            }
            let kept = path.with_extension("corrupt");
            fs::rename(path, &kept)?;
            damage
                .push(Damage { kept: Some(kept), ..Damage::new(path, "it has no header", length) });
            return Ok(None);
        };
        let mut segment = Segment {
            id: header.id,
            first: header.first,
            next: header.first,
            end: length,
            bytes: length,
            time: header.time,
            is_sealed: true,
            done: Ranges::default(),
        };
        if let Some(next) = segment::read_footer(&file, header.id, length)? {
            segment.next = next.max(segment.first);
            segment.end = length - segment::END;
            return Ok(Some(segment));
        }
        let mut scan = Scan::new(file, header.id, segment::START..length);
        let mut end = segment::START;
        let mut is_kept = true;
        while let Some(found) = scan.next()? {
            match found {
                Found::Damage(range) => {
                    let found = self.set_aside(path, &range);
                    is_kept &= found.as_ref().is_none_or(|found| found.kept.is_some());
                    damage.extend(found);
                }
                Found::Frame(frame) => {
                    segment.done.insert(segment.next..frame.sequence);
                    segment.next = segment.next.max(frame.sequence.saturating_add(1));
                    end = frame.end;
                }
            }
        }
        segment.end = end;
        if segment.next == segment.first && is_kept {
            disk::remove(path)?;
            return Ok(None);
        }
        // What couldn't be copied stays where it is.
        if is_kept {
            match self.finish(path, &segment) {
                Ok(()) => segment.bytes = segment.end + segment::END,
                Err(error) => {
                    debug!(segment = %path.display(), %error, "a segment stays without its footer");
                }
            }
        }
        Ok(Some(segment))
    }

    /// Give a segment that was not sealed its footer, so that it isn't searched again.
    fn finish(&self, path: &Path, segment: &Segment) -> io::Result<()> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(segment.end)?;
        self.shared.disk.write(&file, &segment::footer(segment.id, segment.next))?;
        self.shared.disk.sync(&file)
    }

    /// Copy bytes that are no frames to where somebody can look at them; nothing if they are there already.
    fn set_aside(&self, path: &Path, range: &Range<u64>) -> Option<Damage> {
        let kept = path.with_extension(format!("{}.corrupt", range.start));
        if kept.exists() {
            return None;
        }
        let length = range.end - range.start;
        let copy = || {
            let mut from = File::open(path)?;
            io::Seek::seek(&mut from, io::SeekFrom::Start(range.start))?;
            io::copy(&mut io::Read::take(from, length), &mut File::create_new(&kept)?)
        };
        let damage =
            Damage::new(path, format!("there is no whole record at byte {}", range.start), length);
        self.shared.damaged.fetch_add(1, Ordering::Relaxed);
        match copy() {
            Ok(_) => Some(Damage { kept: Some(kept), ..damage }),
            Err(_) => Some(damage),
        }
    }

    /// The text of the destination; the name of its directory if nobody knows it.
    pub(super) fn text(&self) -> Arc<str> {
        let name = || self.directory.file_name().unwrap_or_default().to_string_lossy().into();
        self.text.get().cloned().unwrap_or_else(name)
    }

    /// Say whose queue it is.
    pub(super) fn set_text(&self, text: &str) {
        self.text.get_or_init(|| text.into());
    }

    /// The text that stands in the directory.
    pub(super) fn read_text(&self) -> io::Result<String> {
        fs::read_to_string(self.directory.join(DESTINATION))
    }

    pub(super) fn records(&self) -> u64 {
        self.state.lock().records
    }

    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn oldest(&self) -> Option<SystemTime> {
        let state = self.state.lock();
        (state.records > 0).then(|| time(state.oldest))
    }

    /// The sequence after the last record that can be read.
    pub(super) fn readable(&self) -> watch::Receiver<u64> {
        self.readable.subscribe()
    }

    /// Take a place for a record.
    pub(super) fn begin(self: &Arc<Self>, record: &impl Stored) -> Result<Appending, Error> {
        let head = record.head();
        let payload = record.payload().clone();
        let checksum = crc32c_append(crc32c(&head), &payload);
        let length = head.len() + payload.len();
        if u32::try_from(length).is_err() {
            return Err(Error::Full);
        }
        let (stored, waiting) = tokio::sync::oneshot::channel();
        self.shared.enter(Entry {
            log: self.clone(),
            head,
            payload,
            checksum,
            size: segment::size(length),
            time: now(),
            stored,
        })?;
        Ok(Appending::new(waiting, self.shared.sync_timeout))
    }

    /// Write entries, sync them together, and say so to those who wait.
    pub(super) fn store(&self, mut entries: Vec<Entry>) {
        entries.retain(|entry| {
            let is_wanted = !entry.stored.is_closed();
            if !is_wanted {
                self.shared.release(entry.size);
            }
            is_wanted
        });
        if entries.is_empty() {
            return;
        }
        match self.write(&entries) {
            Ok(first) => {
                for (sequence, entry) in (first..).zip(entries) {
                    let position = Position { sequence, stored: entry.time };
                    let _ = entry.stored.send(Ok(position));
                }
            }
            Err(error) => {
                let error = Error::io("can't write to the spool", error);
                for entry in entries {
                    self.shared.release(entry.size);
                    let _ = entry.stored.send(Err(error.clone()));
                }
            }
        }
    }

    /// The sequence of the first entry.
    fn write(&self, entries: &[Entry]) -> io::Result<u64> {
        let mut active = self.active.lock();
        if let Some(full) = active.take_if(|active| active.end >= self.shared.segment) {
            self.seal(full);
        }
        // Whatever happens, these are used: what a failed write left behind can't be taken for a later record.
        let first = {
            let mut state = self.state.lock();
            let first = state.next;
            state.next += entries.len() as u64;
            first
        };
        let current = match &mut *active {
            Some(current) => current,
            none => none.insert(self.create(first)?),
        };
        match self.write_frames(current, first, entries) {
            Ok(end) => {
                let added = end - current.end;
                current.end = end;
                let mut state = self.state.lock();
                if let Some(segment) = state.segments.last_mut() {
                    segment.next = first + entries.len() as u64;
                    segment.end = end;
                    segment.bytes += added;
                }
                if let (0, Some(entry)) = (state.records, entries.first()) {
                    state.oldest = entry.time;
                }
                state.records += entries.len() as u64;
                drop(state);
                self.readable.send_replace(first + entries.len() as u64);
                Ok(first)
            }
            Err(error) => {
                if let Some(failed) = active.take() {
                    self.abandon(&failed);
                }
                Err(error)
            }
        }
    }

    fn write_frames(&self, active: &Active, first: u64, entries: &[Entry]) -> io::Result<u64> {
        let disk = &self.shared.disk;
        let mut buffer = Vec::new();
        let mut end = active.end;
        for (sequence, entry) in (first..).zip(entries) {
            let length = entry.head.len() + entry.payload.len();
            buffer.extend(segment::head(active.id, sequence, entry.time, length, entry.checksum));
            buffer.extend(&entry.head);
            if entry.payload.len() < CHUNK {
                buffer.extend(&entry.payload);
            } else {
                disk.write(&active.file, &buffer)?;
                disk.write(&active.file, &entry.payload)?;
                buffer.clear();
            }
            if buffer.len() >= CHUNK {
                disk.write(&active.file, &buffer)?;
                buffer.clear();
            }
            end += entry.size;
        }
        disk.write(&active.file, &buffer)?;
        disk.sync(&active.file)?;
        Ok(end)
    }

    /// Begin a segment, and the directory with it.
    fn create(&self, first: u64) -> io::Result<Active> {
        let disk = &self.shared.disk;
        if !self.directory.is_dir() {
            disk.create_directory(&self.directory)?;
            if let Some(parent) = self.directory.parent() {
                disk.sync_directory(parent)?;
            }
        }
        if let Some(text) = self.text.get()
            && self.read_text().ok().as_deref() != Some(text)
        {
            disk.replace(&self.directory.join(DESTINATION), text.as_bytes())?;
        }
        let id = uuid::Uuid::new_v4().as_u64_pair().0;
        let header = Header { id, first, time: now() };
        let path = self.segment_path(first);
        let file = disk.create(&path)?;
        let made =
            disk.write(&file, &header.bytes()).and_then(|()| disk.sync_directory(&self.directory));
        if let Err(error) = made {
            let _ = disk::remove(&path);
            return Err(error);
        }
        self.shared.used.fetch_add(segment::START, Ordering::Relaxed);
        self.state.lock().segments.push(Segment {
            id,
            first,
            next: first,
            end: segment::START,
            bytes: segment::START,
            time: header.time,
            is_sealed: false,
            done: Ranges::default(),
        });
        Ok(Active { file, path, id, first, end: segment::START })
    }

    /// End a segment in good order.
    fn seal(&self, active: Active) {
        let disk = &self.shared.disk;
        let next = self.change(active.first, |segment| {
            segment.is_sealed = true;
            segment.next
        });
        let Some(next) = next else { return };
        let footer = segment::footer(active.id, next);
        let written = disk.write(&active.file, &footer).and_then(|()| disk.sync(&active.file));
        if let Err(error) = written {
            debug!(segment = %active.path.display(), %error, "a segment stays without its footer");
            return;
        }
        self.shared.used.fetch_add(segment::END, Ordering::Relaxed);
        self.change(active.first, |segment| segment.bytes += segment::END);
    }

    /// Leave a segment alone that couldn't be written or synced: it keeps what was synced before.
    fn abandon(&self, failed: &Active) {
        let is_empty = self.change(failed.first, |segment| {
            segment.is_sealed = true;
            segment.next == segment.first
        });
        if is_empty == Some(true) {
            self.shared.tidy_soon();
        } else if let Err(error) = failed.file.set_len(failed.end) {
            debug!(segment = %failed.path.display(), %error, "what could not be synced stays in its segment");
        }
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

    /// Read on from a place: records that are not done, up to so many of them or so many bytes.
    pub(super) fn read(
        &self,
        place: &mut Option<Place>,
        most: usize,
        bytes: usize,
    ) -> io::Result<Vec<Raw>> {
        let mut records = Vec::new();
        let mut size = 0;
        while let Some(part) = self.part(*place) {
            let path = self.segment_path(part.first);
            let mut sequence = part.sequence;
            let mut offset = part.range.end;
            match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    let mut scan = Scan::new(file, part.id, part.range.clone());
                    while let Some(found) = scan.next()? {
                        let frame = match found {
                            Found::Frame(frame) => frame,
                            Found::Damage(range) => {
                                self.report(self.set_aside(&path, &range));
                                continue;
                            }
                        };
                        if frame.sequence < sequence {
                            continue;
                        }
                        self.forget(sequence..frame.sequence, 0);
                        sequence = frame.sequence + 1;
                        if self.is_done(part.first, frame.sequence) {
                            continue;
                        }
                        let body = Bytes::copy_from_slice(scan.body(&frame)?);
                        size += body.len();
                        records.push(Raw { position: position(&frame), body });
                        if records.len() >= most || size >= bytes {
                            offset = frame.end;
                            break;
                        }
                    }
                }
            }
            let is_enough = offset < part.range.end || records.len() >= most || size >= bytes;
            if offset == part.range.end {
                self.forget(sequence..part.next, 0);
                sequence = sequence.max(part.next);
            }
            *place = Some(Place { segment: part.first, offset, sequence });
            if is_enough {
                break;
            }
        }
        Ok(records)
    }

    /// The next part that has something to read.
    fn part(&self, place: Option<Place>) -> Option<Part> {
        let state = self.state.lock();
        let from = place.map_or(0, |place| place.segment);
        let at = state.segments.partition_point(|segment| segment.first < from);
        state.segments[at..].iter().find_map(|segment| {
            let (offset, sequence) = match place {
                Some(place) if place.segment == segment.first => (place.offset, place.sequence),
                _ => (segment::START, segment.first),
            };
            (offset < segment.end).then_some(Part {
                id: segment.id,
                first: segment.first,
                sequence,
                next: segment.next,
                range: offset..segment.end,
            })
        })
    }

    /// Whether something stands after a place.
    pub(super) fn has_more(&self, place: Option<Place>) -> bool {
        self.part(place).is_some()
    }

    fn is_done(&self, first: u64, sequence: u64) -> bool {
        // A segment that is gone was done.
        self.change(first, |segment| segment.done.contains(sequence)).unwrap_or(true)
    }

    /// A record can't be read, though its checksum is right.
    pub(super) fn unreadable(&self, raw: &Raw) {
        let path = self.directory.join(format!("{:020}.corrupt", raw.position.sequence));
        let length = raw.body.len() as u64;
        let kept = fs::write(&path, &raw.body).is_ok().then(|| path.clone());
        self.shared.damaged.fetch_add(1, Ordering::Relaxed);
        self.report(Some(Damage {
            kept,
            ..Damage::new(&self.directory, "a record of another version", length)
        }));
        self.done(raw.position);
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

    /// Records of one segment needn't be kept, or can't be. The last of them was stored at this time.
    fn forget(&self, sequences: Range<u64>, stored: u64) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let segments = &mut state.segments;
        let after = segments.partition_point(|segment| segment.first <= sequences.start);
        let Some(at) = after.checked_sub(1) else {
            return;
        };
        let segment = &mut segments[at];
        let new = segment.done.insert(sequences.start..sequences.end.min(segment.next));
        if new == 0 {
            return;
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
            self.shared.tidy_soon();
        } else {
            self.shared.tidy_later();
        }
    }

    /// Remove what is done with, and write the cursor.
    pub(super) fn tidy(&self) {
        let mut active = self.active.lock();
        let finished: Vec<u64> = {
            let mut state = self.state.lock();
            let segments = state.segments.iter_mut().filter(|segment| segment.is_done());
            segments
                .map(|segment| {
                    segment.is_sealed = true;
                    segment.first
                })
                .collect()
        };
        active.take_if(|active| finished.contains(&active.first));
        drop(active);
        for first in finished {
            // One that can't be removed is tried again; until then it takes its room.
            if let Err(error) = disk::remove(&self.segment_path(first)) {
                debug!(destination = %self.text(), %error, "a finished segment can't be removed");
                self.shared.tidy_later();
                continue;
            }
            let mut state = self.state.lock();
            state.segments.retain(|segment| {
                if segment.first == first {
                    self.shared.release(segment.bytes);
                }
                segment.first != first
            });
        }
        self.save();
    }

    fn save(&self) {
        let cursor = {
            let mut state = self.state.lock();
            if !state.is_stale || !self.directory.is_dir() {
                return;
            }
            state.is_stale = false;
            let done = state.segments.iter().filter(|segment| segment.done.len() > 0);
            Cursor {
                next: state.next,
                done: done.map(|segment| (segment.id, segment.done.clone())).collect(),
            }
        };
        let path = self.directory.join(CURSOR);
        if let Err(error) = self.shared.disk.replace(&path, &cursor.bytes()) {
            debug!(destination = %self.text(), %error, "the cursor can't be written");
            self.state.lock().is_stale = true;
            self.shared.tidy_later();
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

fn position(frame: &Frame) -> Position {
    Position { sequence: frame.sequence, stored: frame.time }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// The time of this many Unix milliseconds.
pub(super) fn time(milliseconds: u64) -> SystemTime {
    let since = std::time::Duration::from_millis(milliseconds);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
