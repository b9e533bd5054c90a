//! The disk of this machine without threads of its own: however long it takes, the paused clock stands still meanwhile.
//! Nothing is synced, since the tests crash processes and not machines.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spool::disk::{Disk, File, Job, Join, Lock, System, Task};

pub(super) struct SameThread {
    /// Only the writer has a thread, so that a test can hold it.
    pub(super) writes_beside: bool,
}

impl Disk for SameThread {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        System.create_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        System.list(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        System.is_directory(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(Unsynced(System.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        System.open(path)
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(Unsynced(System.append(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        System.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        System.remove(path)
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn is_intact(&self, path: &Path, file: &dyn File, length: u64) -> io::Result<bool> {
        System.is_intact(path, file, length)
    }

    fn lock(&self, path: &Path) -> Result<Lock, TryLockError> {
        System.lock(path)
    }

    fn holds(&self, path: &Path, lock: &Lock) -> bool {
        System.holds(path, lock)
    }

    fn run(&self, job: Job) -> Task {
        job();
        Box::pin(std::future::ready(()))
    }

    fn start(&self, writer: Task) -> io::Result<Join> {
        if self.writes_beside {
            return System.start(writer);
        }
        tokio::spawn(writer);
        Ok(Box::new(|| {}))
    }
}

struct Unsynced(Arc<dyn File>);

impl File for Unsynced {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn identity(&self) -> Option<(u64, u64)> {
        self.0.identity()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
