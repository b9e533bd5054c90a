//! The directory as a whole: it is ours alone, and is made again if somebody removes it.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use super::disk::{Disk, Lock};
use super::{DEAD_LETTERS, Error, QUEUES};

/// Keeps other processes out.
pub(super) struct DirectoryLock {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    held: Mutex<LockState>,
}

struct LockState {
    lock: Lock,
    /// Somebody else has the one that can be found.
    is_taken: bool,
}

impl DirectoryLock {
    /// Make the directory, and take it.
    pub(super) fn new(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, Error> {
        let failed = |error| {
            let doing = format!("the spool directory {} can't be used", directory.display());
            Error::unusable(doing, error)
        };
        make(&*disk, directory).map_err(failed)?;
        let path = path(directory);
        let lock = disk.lock(&path).map_err(|error| match error {
            TryLockError::WouldBlock => Error::InUse(directory.to_owned()),
            TryLockError::Error(error) => {
                Error::unusable(format!("the file {} can't be locked", path.display()), error)
            }
        })?;
        let held = Mutex::new(LockState { lock, is_taken: false });
        Ok(Self { disk, directory: directory.to_owned(), held })
    }

    /// Whether it keeps others out.
    #[cfg(test)]
    pub(super) fn holds(&self) -> bool {
        self.disk.holds(&path(&self.directory), &self.held.lock().lock)
    }

    /// See whether it still keeps others out, and take the directory again where it doesn't. Says why nothing may be
    /// written there.
    pub(super) fn check(&self) -> Option<Error> {
        let mut held = self.held.lock();
        let path = path(&self.directory);
        if self.disk.holds(&path, &held.lock) {
            return None;
        }
        let taken = make(&*self.disk, &self.directory)
            .map_err(TryLockError::Error)
            .and_then(|()| self.disk.lock(&path));
        match taken {
            Ok(lock) => {
                held.lock = lock;
                held.is_taken = false;
                info!(directory = %self.directory.display(), "the lock file of the spool was removed; it is made again");
                None
            }
            Err(TryLockError::WouldBlock) => {
                let error = Error::InUse(self.directory.clone());
                if !std::mem::replace(&mut held.is_taken, true) {
                    warn!(%error, "another process took over the spool: nothing more is kept here");
                }
                Some(error)
            }
            // The next write reports it.
            Err(TryLockError::Error(_)) => None,
        }
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("lock")
}

/// The directory, and those in it.
fn make(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    disk.create_directory(&directory.join(QUEUES))?;
    disk.create_directory(&directory.join(DEAD_LETTERS))
}
