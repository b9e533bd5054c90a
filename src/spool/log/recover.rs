//! What a directory holds when it is opened, whatever happened to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::debug;

use super::{CURSOR, Log, Segment};
use crate::spool::Damage;
use crate::spool::cursor::Cursor;
use crate::spool::ranges::Ranges;
use crate::spool::segment::{self, Found, Header, Scan};
use crate::spool::writer::Shared;

impl Log {
    /// What a directory holds. Whatever is wrong with it is set aside and said.
    pub(in crate::spool) fn open(
        directory: PathBuf,
        shared: Arc<Shared>,
        damage: &mut Vec<Damage>,
    ) -> io::Result<Self> {
        let log = Self::new(directory, shared);
        let mut segments = Vec::new();
        for path in log.shared.disk.list(&log.directory)? {
            if path.extension().is_some_and(|ending| ending == "segment") {
                match log.recover(&path, damage) {
                    Ok(segment) => segments.extend(segment),
                    Err(error) => damage.push(Damage::unreadable(&path, &error)),
                }
            }
        }
        segments.sort_by_key(|segment| segment.first);
        let cursor = log.read_cursor(damage);
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
            state.next = state.next.max(segment.next);
            log.shared.used.fetch_add(segment.bytes, Ordering::Relaxed);
            state.segments.push(segment);
        }
        log.readable.send_replace(state.next);
        log.shared.tidy_later();
        drop(state);
        Ok(log)
    }

    fn read_cursor(&self, damage: &mut Vec<Damage>) -> Cursor {
        let path = self.directory.join(CURSOR);
        // Without one nothing is done.
        let Ok(bytes) = self.shared.disk.read(&path) else {
            return Cursor::default();
        };
        Cursor::read(&bytes).unwrap_or_else(|| {
            let what = "it is not whole: what was published already may be published again";
            damage.push(Damage::new(&path, what, bytes.len() as u64));
            self.state.lock().is_stale = true;
            Cursor::default()
        })
    }

    /// What a segment holds; nothing if it holds nothing.
    fn recover(&self, path: &Path, damage: &mut Vec<Damage>) -> io::Result<Option<Segment>> {
        let disk = &self.shared.disk;
        let file = disk.open(path)?;
        let length = file.length()?;
        let Some(header) = Header::read(&*file)? else {
            // Nothing was stored in a segment that never got its header.
            if length == 0 {
                disk.discard(path)?;
                return Ok(None);
            }
            let kept = path.with_extension("corrupt");
            disk.rename(path, &kept)?;
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
        let file = self.shared.disk.append(path)?;
        file.truncate(segment.end)?;
        file.write(&segment::footer(segment.id, segment.next))?;
        self.shared.disk.sync(&*file)
    }
}
