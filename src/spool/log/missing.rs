//! What somebody else does to the files of a queue while it is open: it is noticed, said, and mended where it can be.

use std::collections::BTreeSet;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use tracing::{debug, warn};

use super::write::Active;
use super::{CURSOR, DESTINATION, Log, Segment};
use crate::spool::error::is_missing;

impl Log {
    /// See whether all files are there that should be. The writer's thread alone does that, now and then.
    pub(in crate::spool) fn check_files(&self) {
        let is_wanted = |segment: &&Segment| !segment.is_gone && !segment.is_done();
        let wanted: Vec<u64> = {
            let state = self.state.lock();
            state.segments.iter().filter(is_wanted).map(|segment| segment.first).collect()
        };
        if wanted.is_empty() {
            return;
        }
        let names: BTreeSet<PathBuf> = match self.volume.disk.list(&self.directory) {
            Ok(names) => names.into_iter().collect(),
            Err(error) if is_missing(&error) => BTreeSet::new(),
            // That is unknown.
            Err(_) => return,
        };
        let mut active = self.active.lock();
        let (there, missing): (Vec<u64>, Vec<u64>) =
            wanted.into_iter().partition(|first| names.contains(&self.segment_path(*first)));
        for first in missing {
            active.take_if(|active| active.first == first);
            self.mark_gone(first);
        }
        if !there.is_empty() {
            self.mend(&names);
        }
    }

    /// Write again what is known without its file.
    fn mend(&self, names: &BTreeSet<PathBuf>) {
        let path = self.directory.join(DESTINATION);
        if !names.contains(&path)
            && let Err(error) = self.volume.disk.replace(&path, self.text().as_bytes())
        {
            debug!(destination = %self.text(), %error, "the name of a queue can't be written again");
        }
        let mut state = self.state.lock();
        if state.has_cursor && !names.contains(&self.directory.join(CURSOR)) {
            state.is_stale = true;
            self.volume.tidy_later();
        }
    }

    /// Nothing more is added to a segment that isn't what it was. So many bytes were just written behind its end.
    pub(super) fn mark_lost(&self, lost: &Active, written: u64) {
        match self.volume.disk.open(&lost.path) {
            Err(error) if is_missing(&error) => self.mark_gone(lost.first),
            // What can be read of it, its readers will see.
            _ => {
                warn!(segment = %lost.path.display(), "a file of the spool was changed from outside; a new one is started");
                self.change(lost.first, |segment| segment.is_sealed = true);
                // What was written is written again elsewhere: there it is in its order.
                let length = lost.file.length().ok().and_then(|length| length.checked_sub(written));
                let _ = length.map(|length| lost.file.truncate(length));
            }
        }
        self.volume.tidy_soon();
    }

    /// The file of a segment is gone, and nobody here removed it. What was not done is lost, except for what a reader
    /// has in its hands: that keeps its place until it is done, since others may wait behind it.
    pub(super) fn mark_gone(&self, first: u64) {
        let given = if self.keeps_order { self.state.lock().given } else { 0 };
        let lost = self.change(first, |segment| {
            let lost = segment.undone();
            segment.is_sealed = true;
            if lost > 0 && !mem::replace(&mut segment.is_gone, true) {
                self.volume.release(mem::take(&mut segment.bytes));
                return Some((lost, given.clamp(first, segment.next)..segment.next));
            }
            None
        });
        // Else it was done, and removed.
        if let Some((lost, unread)) = lost.flatten() {
            let path = self.segment_path(first);
            self.volume.lost.add(lost, format_args!("{} is gone", path.display()));
            self.volume.damaged.fetch_add(lost, Ordering::Relaxed);
            warn!(destination = %self.text(), segment = %path.display(), records = lost, "a file of the spool was removed, and with it events that were not published yet");
            self.forget(unread, 0);
        }
    }
}
