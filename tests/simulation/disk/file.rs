//! A file: what was written, and how much of it is safe.

use std::io;
use std::ops::Range;

use hookbus::spool::disk::File;

use super::{Disk, dead};
use crate::world::{Step, World};

#[derive(Default)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// So many bytes are safe.
    safe: usize,
    /// What was safe before it was cut off: that may come back.
    cut: Option<Vec<u8>>,
    /// What a failed sync forgot: it can be read until the power fails.
    forgotten: Vec<Range<usize>>,
}

impl Content {
    /// A sync is over.
    pub(super) fn is_safe(&mut self, length: usize) {
        self.safe = self.safe.max(length.min(self.bytes.len()));
        self.cut = None;
    }

    /// A sync failed: the kernel takes its pages for clean, and they are not on the disk.
    pub(super) fn forget(&mut self) {
        let length = self.bytes.len();
        self.forgotten.push(self.safe.min(length)..length);
        self.safe = length;
    }

    /// What is left without power: some of what was not synced, and of that perhaps only the length. Returns whether
    /// something is gone that a failed sync had left for clean.
    pub(super) fn lose_power(&mut self, world: &World) -> bool {
        let has_holes = self.forgotten.iter().any(|range| !range.is_empty());
        if let Some(bytes) = self.cut.take().filter(|_| world.percent(50)) {
            self.safe = bytes.len();
            self.bytes = bytes;
        }
        let length = self.bytes.len();
        if !self.forgotten.is_empty() || self.safe < length {
            let Self { safe, forgotten, .. } = &*self;
            world.note(format_args!("{safe} bytes of {length} are safe, without {forgotten:?}"));
        }
        for range in self.forgotten.drain(..) {
            self.bytes[range.start.min(length)..range.end.min(length)].fill(0);
        }
        if length > self.safe {
            let kept = self.safe + world.below(length - self.safe + 1);
            self.bytes.truncate(kept);
            if world.percent(30) {
                let from = self.safe + world.below(kept - self.safe + 1);
                self.bytes[from..].fill(0);
            }
        }
        self.safe = self.bytes.len();
        has_holes
    }

    fn truncate(&mut self, length: usize) {
        if length < self.safe {
            self.cut.get_or_insert_with(|| self.bytes[..self.safe].to_vec());
            self.safe = length;
        }
        self.bytes.truncate(length);
        self.forgotten.retain_mut(|range| {
            range.end = range.end.min(length);
            range.start < range.end
        });
    }
}

/// An open file.
pub(super) struct Handle {
    pub(super) disk: Disk,
    pub(super) file: usize,
}

impl Handle {
    fn with<T>(&self, look: impl FnOnce(&mut Content) -> T) -> T {
        look(&mut self.disk.state.lock().files[self.file])
    }
}

impl File for Handle {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let result = match self.disk.world.step() {
            Step::Alive => self.disk.may_grow(),
            Step::Dies => Err(dead()),
            Step::Dead => return Err(dead()),
        };
        // What fails, or is cut short by the end, is there in part.
        let all = bytes.len();
        let written = if result.is_ok() { all } else { self.disk.world.below(all + 1) };
        self.with(|content| content.bytes.extend(&bytes[..written]));
        result
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.step()?;
        Ok(self.with(|content| {
            let rest = content.bytes.get(at as usize..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            read
        }))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.with(|content| content.bytes.len() as u64))
    }

    fn identity(&self) -> Option<(u64, u64)> {
        Some((1, self.file as u64))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.step()?;
        self.with(|content| content.truncate(length as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(Some(self.file))
    }
}
