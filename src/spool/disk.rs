//! What is done to files, in one place: it counts syncs, and tests let it fail.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The disk that the spool is on.
#[derive(Debug, Default)]
pub(super) struct Disk {
    syncs: AtomicU64,
    #[cfg(test)]
    pub(super) faults: super::tests::Faults,
}

impl Disk {
    /// How often something was synced.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Make a directory that others can't look into.
    pub(super) fn create_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Make a file that wasn't there.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        #[cfg(test)]
        self.faults.create()?;
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    /// Write all of it; after an error nobody knows how much of it is there.
    pub(super) fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.faults.write(file, bytes)?;
        file.write_all(bytes)
    }

    /// Wait until the content of a file is safe. After an error the file must not be synced again: the kernel may
    /// have forgotten what it couldn't write, and the next sync would say that all is well.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.synced(|| file.sync_data())
    }

    /// Wait until the names in a directory are safe.
    pub(super) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let directory = File::open(path)?;
        self.synced(|| directory.sync_all())
    }

    /// Tests crash processes, not machines: they need no platter, only the answer.
    fn synced(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        #[cfg(test)]
        let sync = || self.faults.sync(sync);
        sync()
    }

    /// Write a small file as a whole: after a crash there is the old content or the new one.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = path.with_extension("new");
        remove(&new)?;
        let file = self.create(&new)?;
        self.write(&file, bytes)?;
        self.sync(&file)?;
        fs::rename(&new, path)
    }
}

/// Remove a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
