//! Adding records: the work of the writer's thread.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::debug;

use super::{DESTINATION, Log, Segment};
use crate::spool::disk::File;
use crate::spool::entry::Entry;
use crate::spool::error::is_missing;
use crate::spool::ranges::Ranges;
use crate::spool::segment::{self, Header};
use crate::spool::{Error, Position, now};

/// Bytes that are written at once, unless one payload is larger.
const WRITE_CHUNK: usize = 256 << 10;

/// How many files are begun for the same records, if somebody removes them.
const MAX_WRITE_ATTEMPTS: usize = 3;

/// The segment that is being written.
pub(super) struct Active {
    pub(super) file: Arc<dyn File>,
    pub(super) path: PathBuf,
    id: u64,
    pub(super) first: u64,
    /// Where the last synced record ends.
    end: u64,
}

/// Entries that are synced into the last segment.
struct Written {
    /// The sequence of the first of them.
    first: u64,
    /// Where the last one ends.
    end: u64,
    /// How many bytes they take.
    added: u64,
}

impl Log {
    /// Write entries, sync them together, and say so to those who wait.
    pub(in crate::spool) async fn store(&self, mut entries: Vec<Entry>) {
        entries.retain(|entry| {
            let is_wanted = !entry.stored.is_closed();
            if !is_wanted {
                self.volume.release(entry.size);
            }
            is_wanted
        });
        if entries.is_empty() {
            return;
        }
        let written = self.write(&entries);
        self.volume.disk.settled().await;
        match written {
            Ok(written) => {
                self.written(&written, &entries);
                for (sequence, entry) in (written.first..).zip(entries) {
                    let position = Position { sequence, stored: entry.time };
                    if let Some(on_synced) = entry.on_synced {
                        on_synced();
                    }
                    let _ = entry.stored.send(Ok(position));
                }
            }
            Err(error) => {
                let error = Error::io("can't write to the spool", error);
                for entry in entries {
                    self.volume.release(entry.size);
                    let _ = entry.stored.send(Err(error.clone()));
                }
            }
        }
    }

    /// Write and sync entries; readers see them only once that is announced.
    fn write(&self, entries: &[Entry]) -> io::Result<Written> {
        let mut active = self.active.lock();
        if let Some(full) = active.take_if(|active| active.end >= self.volume.segment) {
            self.seal(full);
        }
        for _ in 0..MAX_WRITE_ATTEMPTS {
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
            let end = match self.write_frames(current, first, entries) {
                Ok(end) => end,
                Err(error) => {
                    if let Some(failed) = active.take() {
                        self.abandon(&failed);
                    }
                    return Err(error);
                }
            };
            // A record that was synced into a file that is gone is not kept.
            if !self.is_intact(current, end) {
                if let Some(lost) = active.take() {
                    self.mark_lost(&lost, end - lost.end);
                }
                continue;
            }
            let added = end - current.end;
            current.end = end;
            return Ok(Written { first, end, added });
        }
        Err(io::Error::other("its files are removed as soon as they are made"))
    }

    /// Let readers have what is synced into the last segment.
    fn written(&self, &Written { first, end, added }: &Written, entries: &[Entry]) {
        let next = first + entries.len() as u64;
        let mut state = self.state.lock();
        if let Some(segment) = state.segments.last_mut() {
            segment.next = next;
            segment.end = end;
            segment.bytes += added;
        }
        if let (0, Some(entry)) = (state.records, entries.first()) {
            state.oldest = entry.time;
        }
        state.records += entries.len() as u64;
        drop(state);
        self.readable.send_replace(next);
    }

    /// Whether a file is still there, under its name and as long as it was written.
    fn is_intact(&self, active: &Active, end: u64) -> bool {
        match self.volume.disk.is_intact(&active.path, &*active.file, end) {
            Ok(is_intact) => is_intact,
            Err(error) => !is_missing(&error),
        }
    }

    fn write_frames(&self, active: &Active, first: u64, entries: &[Entry]) -> io::Result<u64> {
        let mut buffer = Vec::new();
        let mut end = active.end;
        for (sequence, entry) in (first..).zip(entries) {
            let length = entry.head.len() + entry.payload.len();
            buffer.extend(segment::head(active.id, sequence, entry.time, length, entry.checksum));
            buffer.extend(&entry.head);
            if entry.payload.len() < WRITE_CHUNK {
                buffer.extend(&entry.payload);
            } else {
                active.file.write(&buffer)?;
                active.file.write(&entry.payload)?;
                buffer.clear();
            }
            if buffer.len() >= WRITE_CHUNK {
                active.file.write(&buffer)?;
                buffer.clear();
            }
            end += entry.size;
        }
        active.file.write(&buffer)?;
        self.volume.disk.sync(&*active.file)?;
        Ok(end)
    }

    /// Begin a segment, and the directory with it.
    fn create(&self, first: u64) -> io::Result<Active> {
        let disk = &self.volume.disk;
        let text = self.text();
        if self.read_text().ok().flatten().as_deref() != Some(&text) {
            disk.create_directory(&self.directory)?;
            if let Some(parent) = self.directory.parent() {
                disk.sync_names(parent)?;
                // Somebody may have removed that too; one that can't be read was there before.
                let _ = parent.parent().map(|above| disk.sync_names(above));
            }
            disk.replace(&self.directory.join(DESTINATION), text.as_bytes())?;
        }
        let id = uuid::Uuid::new_v4().as_u64_pair().0;
        let header = Header { id, first, time: now() };
        let path = self.segment_path(first);
        let file = disk.create(&path)?;
        let made = file.write(&header.bytes()).and_then(|()| disk.sync_names(&self.directory));
        if let Err(error) = made {
            let _ = disk.discard(&path);
            return Err(error);
        }
        self.volume.used.fetch_add(segment::START, Ordering::Relaxed);
        self.state.lock().segments.push(Segment {
            id,
            first,
            next: first,
            end: segment::START,
            bytes: segment::START,
            time: header.time,
            is_sealed: false,
            is_gone: false,
            done: Ranges::default(),
        });
        Ok(Active { file, path, id, first, end: segment::START })
    }

    /// End a segment in good order.
    pub(super) fn seal(&self, active: Active) {
        let next = self.change(active.first, |segment| {
            segment.is_sealed = true;
            segment.next
        });
        let Some(next) = next else { return };
        let footer = segment::footer(active.id, next);
        let file = &*active.file;
        let written = file.write(&footer).and_then(|()| self.volume.disk.sync(file));
        if let Err(error) = written {
            debug!(segment = %active.path.display(), %error, "a segment stays without its footer");
            // Half a footer would be taken for damage.
            let _ = file.truncate(active.end);
            return;
        }
        self.volume.used.fetch_add(segment::END, Ordering::Relaxed);
        self.change(active.first, |segment| segment.bytes += segment::END);
    }

    /// Leave a segment alone that couldn't be written or synced: it keeps what was synced before.
    fn abandon(&self, failed: &Active) {
        let is_empty = self.change(failed.first, |segment| {
            segment.is_sealed = true;
            segment.next == segment.first
        });
        if is_empty == Some(true) {
            self.volume.tidy_soon();
        } else if let Err(error) = failed.file.truncate(failed.end) {
            debug!(segment = %failed.path.display(), %error, "what could not be synced stays in its segment");
        }
    }
}
