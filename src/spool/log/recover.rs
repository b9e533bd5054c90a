//! What a directory holds when it is opened, whatever happened to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::debug;

use super::{CURSOR, Log, Segment};
use crate::spool::cursor::Cursor;
use crate::spool::error::is_of_device;
use crate::spool::ranges::Ranges;
use crate::spool::segment::{self, Header, Scan, Scanned};
use crate::spool::volume::Volume;
use crate::spool::{Damage, Error};

impl Log {
    /// What a directory holds. Whatever is damaged is set aside and said. What only can't be read now is an error: later
    /// records would overtake those in it, and get their numbers.
    pub(in crate::spool) fn open(
        directory: PathBuf,
        volume: Arc<Volume>,
        damage: &mut Vec<Damage>,
    ) -> Result<Self, Error> {
        let log = Self::new(directory, volume);
        let mut segments = Vec::new();
        for path in log.list(damage)? {
            if path.extension().is_some_and(|ending| ending == "segment") {
                match log.recover(&path, damage) {
                    Ok(segment) => segments.extend(segment),
                    Err(error) if is_of_device(&error) => {
                        damage.push(log.set_file_aside(&path, &error));
                    }
                    Err(error) => return Err(Error::unreadable(&path, error)),
                }
            }
        }
        segments.sort_by_key(|segment| segment.first);
        for at in 1..segments.len() {
            let first = segments[at].first;
            segments[at - 1].end_before(first);
        }
        let cursor = log.read_cursor(damage)?;
        let mut state = log.state.lock();
        state.next = cursor.next;
        state.is_stale |= !segments.is_empty();
        for mut segment in segments {
            for range in cursor.done.get(&segment.id).iter().flat_map(|done| done.iter()) {
                let range = range.start.max(segment.first)..range.end.min(segment.next);
                segment.done.insert(range);
            }
            if state.records == 0 {
                state.oldest = segment.time;
            }
            state.records += segment.next - segment.first - segment.done.len();
            // One that holds nothing and stays has taken the name that its number gives it.
            state.next = state.next.max(segment.next).max(segment.first.saturating_add(1));
            log.volume.used.fetch_add(segment.bytes, Ordering::Relaxed);
            state.segments.push(segment);
        }
        log.readable.send_replace(state.next);
        log.volume.tidy_later();
        drop(state);
        Ok(log)
    }

    fn list(&self, damage: &mut Vec<Damage>) -> Result<Vec<PathBuf>, Error> {
        match self.volume.disk.list(&self.directory) {
            Err(error) if is_of_device(&error) => {
                damage.push(Damage::of_device(&self.directory, &error));
                Ok(Vec::new())
            }
            listed => listed.map_err(|error| Error::unreadable(&self.directory, error)),
        }
    }

    fn read_cursor(&self, damage: &mut Vec<Damage>) -> Result<Cursor, Error> {
        let path = self.directory.join(CURSOR);
        let bytes = match self.volume.disk.read(&path) {
            // Without one nothing is done.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Cursor::default()),
            Err(error) if is_of_device(&error) => Vec::new(),
            read => read.map_err(|error| Error::unreadable(&path, error))?,
        };
        Ok(Cursor::read(&bytes).unwrap_or_else(|| {
            let what = "it is not whole: what was published already may be published again";
            damage.push(Damage::new(&path, what, bytes.len() as u64));
            self.state.lock().is_stale = true;
            Cursor::default()
        }))
    }

    /// Put a segment that the device can't read out of the way, so that its name is free.
    fn set_file_aside(&self, path: &Path, error: &io::Error) -> Damage {
        let copy = path.with_extension("corrupt");
        let is_kept = self.volume.disk.rename(path, &copy).is_ok();
        self.volume.damaged.fetch_add(1, Ordering::Relaxed);
        Damage { copy: is_kept.then_some(copy), ..Damage::of_device(path, error) }
    }

    /// What a segment holds; nothing if it holds nothing.
    fn recover(&self, path: &Path, damage: &mut Vec<Damage>) -> io::Result<Option<Segment>> {
        let disk = &self.volume.disk;
        let file = disk.open(path)?;
        let length = file.length()?;
        let Some(header) = Header::read(&*file)? else {
            // Nothing was stored in a segment that never got its header.
            if length == 0 {
                disk.discard(path)?;
                return Ok(None);
            }
            let copy = path.with_extension("corrupt");
            disk.rename(path, &copy)?;
            damage
                .push(Damage { copy: Some(copy), ..Damage::new(path, "it has no header", length) });
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
            is_gone: false,
            done: Ranges::default(),
        };
        if let Some(next) = segment::read_footer(&*file, header.id, length)? {
            segment.next = next.max(segment.first);
            segment.end = length - segment::END;
            return Ok(Some(segment));
        }
        let mut scan = Scan::new(file, header.id, segment::START..length);
        let mut end = segment::START;
        let mut is_kept = true;
        while let Some(found) = scan.next()? {
            match found {
                Scanned::Damage(range) => {
                    let found = self.set_aside(path, &range);
                    is_kept &= found.as_ref().is_none_or(|found| found.copy.is_some());
                    damage.extend(found);
                }
                Scanned::Frame(frame) => {
                    segment.done.insert(segment.next..frame.sequence);
                    segment.next = segment.next.max(frame.sequence.saturating_add(1));
                    end = frame.end;
                }
            }
        }
        segment.end = end;
        if segment.next == segment.first && is_kept {
            disk.discard(path)?;
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
        let file = self.volume.disk.append(path)?;
        file.truncate(segment.end)?;
        file.write(&segment::footer(segment.id, segment.next))?;
        self.volume.disk.sync(&*file)
    }
}
