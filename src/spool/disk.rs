//! What the spool asks of a disk: names, files, syncs, and a thread that may wait for them.
//!
//! [`System`] is the machine's own. Tests bring others, which fail, tear, forget, or take their time.

use std::any::Any;
use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Work that waits for the disk.
pub type Job = Box<dyn FnOnce() + Send>;

/// Work that is waited for.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for the end of the writer, as long as that takes.
pub type Join = Box<dyn FnOnce() + Send>;

/// Held as long as the directory is.
pub type Lock = Box<dyn Any + Send + Sync>;

/// A disk. Names are changed by one process at a time, which holds a [`Lock`].
pub trait Disk: Send + Sync + 'static {
    /// Make a directory that others can't look into, and those above it. One that is there already will do.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// What a directory holds, in any order.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether there is such a directory.
    fn is_directory(&self, path: &Path) -> bool;

    /// Make a file that wasn't there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Open a file to read it.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Open a file that is there to write behind its end.
    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Give a file another name, in the place of what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Remove a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Wait until the names in a directory are safe.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Whether this name still stands for this file, and that for so many bytes. Somebody may have removed it, moved it
    /// away, cut it off, or put something else in its place.
    fn is_intact(&self, path: &Path, file: &dyn File, length: u64) -> io::Result<bool> {
        let there = self.open(path)?;
        Ok(there.identity() == file.identity() && there.length()? == length)
    }

    /// Keep other processes out.
    fn lock(&self, path: &Path) -> Result<Lock, TryLockError>;

    /// Whether this lock keeps other processes out: one whose file was removed does not.
    fn holds(&self, path: &Path, lock: &Lock) -> bool {
        let _ = (path, lock);
        true
    }

    /// Do something that waits for the disk, on a thread that may block.
    fn run(&self, job: Job) -> Task;

    /// Wait for what the calls before only seemed to be done with: a simulated disk takes its time here, where the
    /// machine's own takes it in the call itself.
    fn settled(&self) -> Task {
        Box::pin(std::future::ready(()))
    }

    /// Let the writer run: it waits for the disk, whatever else goes on.
    fn start(&self, writer: Task) -> io::Result<Join>;
}

/// An open file.
pub trait File: Send + Sync {
    /// Write all of it behind the end; after an error it is unknown how much of it is there.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Read some bytes from there; none at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// How long it is, in bytes.
    fn length(&self) -> io::Result<u64>;

    /// What tells it from all other files, if anything does.
    fn identity(&self) -> Option<(u64, u64)> {
        None
    }

    /// Cut it off.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Wait until the content is safe. After an error it must not be synced again: the kernel may have forgotten what
    /// it couldn't write, and the next sync would say that all is well.
    fn sync(&self) -> io::Result<()>;
}

/// A disk, with what is made of its parts, and a count of its syncs.
pub(super) struct CountedDisk {
    disk: Arc<dyn Disk>,
    syncs: AtomicU64,
}

impl Deref for CountedDisk {
    type Target = dyn Disk;

    fn deref(&self) -> &Self::Target {
        &*self.disk
    }
}

impl CountedDisk {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, syncs: AtomicU64::new(0) }
    }

    /// The disk itself.
    pub(super) fn shared(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    /// How often something was synced.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Wait until the content of a file is safe.
    pub(super) fn sync(&self, file: &dyn File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        file.sync()
    }

    /// Wait until the names in a directory are safe.
    pub(super) fn sync_names(&self, path: &Path) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.disk.sync_directory(path)
    }

    /// The whole content of a file.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path)?;
        let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
        let read = read_up_to(&*file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Make a file with this content.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.disk.create(path)?.write(bytes)
    }

    /// Write a small file as a whole: after a crash there is the old content or the new one.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = path.with_extension("new");
        self.discard(&new)?;
        let file = self.disk.create(&new)?;
        file.write(bytes)?;
        self.sync(&*file)?;
        self.disk.rename(&new, path)
    }

    /// Remove a file, if it is there.
    pub(super) fn discard(&self, path: &Path) -> io::Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Fill the buffer as far as the file reaches.
pub(super) fn read_up_to(file: &dyn File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Disk for System {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        // Behind whatever its end is then: if somebody cuts it off, no hole takes the place of what was there.
        Ok(Arc::new(OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::File::open(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OpenOptions::new().append(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn is_intact(&self, path: &Path, file: &dyn File, length: u64) -> io::Result<bool> {
        let there = fs::metadata(path)?;
        Ok(Some((there.dev(), there.ino())) == file.identity() && there.len() == length)
    }

    fn lock(&self, path: &Path) -> Result<Lock, TryLockError> {
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).open(path);
        let file = file.map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }

    fn holds(&self, path: &Path, lock: &Lock) -> bool {
        let held = lock.downcast_ref::<fs::File>().and_then(File::identity);
        let there = fs::metadata(path).map(|there| (there.dev(), there.ino()));
        there.ok() == held
    }

    fn run(&self, job: Job) -> Task {
        let running = tokio::task::spawn_blocking(job);
        // What it panicked with was said.
        Box::pin(async move { drop(running.await) })
    }

    /// In a thread of its own, whose only task it is.
    fn start(&self, writer: Task) -> io::Result<Join> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let named = thread::Builder::new().name("spool".to_owned());
        let thread = named.spawn(move || runtime.block_on(writer))?;
        Ok(Box::new(move || drop(thread.join())))
    }
}

impl File for fs::File {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn identity(&self) -> Option<(u64, u64)> {
        let metadata = self.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
