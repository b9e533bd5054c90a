//! Bounded queues on disk: what is appended is synced, and stays until it is done.
//!
//! It knows no broker and no order of publishing: it gives back what was appended, in that order, and forgets what is
//! called done. What it promises:
//!
//! - An append that was acknowledged is on disk. A crash at any byte loses none of them.
//! - Records of one queue are stored in the order in which [`Queue::begin`] was called.
//! - A file whose write or sync failed is never written or synced again: what waited gets an error, and the next append
//!   begins a new segment, so that it works again as soon as the disk does.
//! - Damage never stops it. What is no whole record is copied to a file named `*.corrupt`, counted and said, and reading
//!   goes on with the next whole record.
//! - A file that somebody else removed, moved away or cut off is not written to any more: what was synced into it just
//!   then is written again. What was lost with it is counted and said.
//! - Memory is bounded by what waits to be written and by the number of segments, not by the number of records.
//!
//! What it leaves out: a crash may bring back some records that were done a moment before (the cursor is written once a
//! second), and some whose append was answered with an error.
//!
//! ```text
//! DIR/lock                              held while a process has the spool open
//! DIR/format                            "hookbus spool 2"
//! DIR/probe                             there for a moment, to see whether the disk is well again
//! DIR/queues/NAME/                      one for each destination; NAME is its text, made readable, and its hash
//! DIR/queues/NAME/destination           the configured text
//! DIR/queues/NAME/SEQUENCE.segment      a segment, named after its first record: see `segment`
//! DIR/queues/NAME/cursor                what is done: see `cursor`
//! DIR/queues/NAME/SEQUENCE….corrupt     what was set aside
//! DIR/dead-letters/                     the same for records that no destination takes
//! ```

mod cursor;
pub mod disk;
mod entry;
mod error;
mod directory_lock;
mod log;
mod queue;
mod ranges;
mod record;
mod segment;
#[cfg(test)]
mod tests;
mod volume;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::directory_lock::DirectoryLock;
use self::disk::{Disk, Join};
pub use self::entry::{Appending, OnSynced};
use self::error::is_of_device;
pub use self::error::{Damage, Error};
use self::log::Log;
pub use self::queue::{DeadLetters, Queue, Reader};
pub use self::record::{DeadLetter, Record};
use self::volume::Volume;
use self::writer::{AbandonOnDrop, Writer};
use crate::config;

/// What stands in the file `format`, without the version.
const FORMAT: &str = "hookbus spool ";
const VERSION: u32 = 2;

/// Which record it is, in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    sequence: u64,
    stored: u64,
}

impl Position {
    /// Its number; later records have higher ones.
    pub fn sequence(self) -> u64 {
        self.sequence
    }

    /// When it was put into the spool.
    pub fn stored(self) -> SystemTime {
        time(self.stored)
    }
}

#[cfg(test)]
impl Position {
    /// That of a record with this number.
    pub(crate) fn of(sequence: u64) -> Self {
        Self { sequence, stored: 0 }
    }
}

/// A spool, held by this process. Dropping it finishes what was begun: it blocks until that is on disk.
pub struct Spool {
    directory: PathBuf,
    volume: Arc<Volume>,
    logs: Logs,
    dead_letters: Arc<Log>,
    writer: Arc<Writer>,
    /// Waits for the writer's thread.
    join: Mutex<Option<Join>>,
    /// Last, so that the directory is given up last.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is held"))]
    directory_lock: Arc<DirectoryLock>,
}

/// The queues by the names of their directories.
type Logs = Arc<Mutex<BTreeMap<String, Arc<Log>>>>;

/// Where the dead letters are, and the name of their log among the queues; no destination has it.
const DEAD_LETTERS: &str = "dead-letters";

/// Where the queues are.
const QUEUES: &str = "queues";

impl Spool {
    /// Open the directory, or make it. What is damaged is set aside and said, and never an error; what only can't be read
    /// now is one.
    pub fn open(settings: &config::Spool) -> Result<(Self, Vec<Damage>), Error> {
        Self::open_on(Arc::new(disk::System), settings)
    }

    /// The same on a certain disk.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        settings: &config::Spool,
    ) -> Result<(Self, Vec<Damage>), Error> {
        let limit = settings.max_bytes.get() as u64;
        // Room is given back by the segment: there must be several, and not thousands.
        let segment = (limit / 16).clamp(64 << 10, 16 << 20);
        let volume = Volume::new(disk, limit, segment, settings.sync_timeout.get());
        Self::open_with(&settings.dir, volume)
    }

    fn open_with(directory: &Path, volume: Volume) -> Result<(Self, Vec<Damage>), Error> {
        let volume = Arc::new(volume);
        let failed = |error| {
            let doing = format!("the spool directory {} can't be used", directory.display());
            Error::unusable(doing, error)
        };
        let (queues, place) = (directory.join(QUEUES), directory.join(DEAD_LETTERS));
        let directory_lock = Arc::new(DirectoryLock::new(volume.disk.shared(), directory)?);
        let mut damage = Vec::new();
        check_format(directory, &volume, &mut damage)?;

        let mut logs = BTreeMap::new();
        for path in volume.disk.list(&queues).map_err(failed)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !volume.disk.is_directory(&path) {
                continue;
            }
            let log = Log::open(path.clone(), volume.clone(), &mut damage)?;
            match log.read_text()? {
                Some(text) if directory_name(&text) == name => log.set_text(&text),
                // A crash came before its first segment.
                _ if log.bytes() == 0 => continue,
                // Nothing in it waits for anybody, but its names are taken.
                _ if log.records() == 0 => {}
                _ => {
                    let what = "it doesn't say whose queue it is";
                    damage.push(Damage::new(&path, what, 0));
                }
            }
            logs.insert(name, Arc::new(log));
        }
        let dead_letters = Log::open(place, volume.clone(), &mut damage)?;
        dead_letters.set_text(DEAD_LETTERS);
        let dead_letters = Arc::new(dead_letters.without_order());
        logs.insert(DEAD_LETTERS.to_owned(), dead_letters.clone());

        let logs = Arc::new(Mutex::new(logs));
        let writer = Arc::new(Writer::new(volume.clone()));
        let join = {
            let (writer, logs, lock) = (writer.clone(), logs.clone(), directory_lock.clone());
            let on_end = AbandonOnDrop(writer.clone());
            let writing = async move {
                let _on_end = on_end;
                writer.run(&logs, &lock).await;
            };
            volume.disk.start(Box::pin(writing)).map_err(failed)?
        };
        let spool = Self {
            directory: queues,
            volume,
            logs,
            dead_letters,
            writer,
            join: Mutex::new(Some(join)),
            directory_lock,
        };
        Ok((spool, damage))
    }

    /// The queue of a destination; it takes no room until something is appended.
    pub fn queue(&self, destination: &str) -> Queue {
        let name = directory_name(destination);
        let mut logs = self.logs.lock();
        let log = logs.entry(name).or_insert_with_key(|name| {
            Arc::new(Log::new(self.directory.join(name), self.volume.clone()))
        });
        log.set_text(destination);
        Queue::new(log.clone(), self.writer.clone())
    }

    /// All queues that this spool has seen, also those of destinations that are not configured any more.
    pub fn queues(&self) -> Vec<Queue> {
        let mut logs = self.logs.lock();
        // While these are locked no caller gets hold of a queue, so that one without users stays so.
        logs.retain(|_, log| Arc::strong_count(log) > 1 || log.is_used());
        let queues = logs.iter().filter(|(name, _)| *name != DEAD_LETTERS);
        queues.map(|(_, log)| Queue::new(log.clone(), self.writer.clone())).collect()
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.dead_letters.clone(), self.writer.clone())
    }

    /// Bytes that everything takes, of `max_bytes`.
    pub fn bytes(&self) -> u64 {
        self.volume.used.load(Ordering::Relaxed)
    }

    /// How often something was set aside since it was opened, and how many records vanished with their files.
    pub fn damaged(&self) -> u64 {
        self.volume.damaged.load(Ordering::Relaxed)
    }

    /// What is lost of that which was kept, since it was opened.
    pub fn lost(&self) -> Option<String> {
        self.volume.lost.text()
    }

    /// Try whether something could be kept now.
    pub async fn probe(&self) -> Result<(), Error> {
        if let Some(taken) = &*self.volume.taken.lock() {
            return Err(taken.clone());
        }
        if self.bytes() + self.volume.segment + self.volume.reserve() > self.volume.limit {
            return Err(Error::Full);
        }
        let (volume, path) = (self.volume.clone(), self.directory.with_file_name("probe"));
        let (sender, tried) = oneshot::channel();
        let try_it = move || {
            let disk = &volume.disk;
            let tried = disk
                .discard(&path)
                .and_then(|()| disk.create(&path))
                .and_then(|file| file.write(&[0; 4_096]).and_then(|()| disk.sync(&*file)));
            let _ = disk.discard(&path);
            tried
        };
        let began = Instant::now();
        // The waiter may be gone.
        self.volume.disk.run(Box::new(move || drop(sender.send(try_it())))).await;
        // It says nothing if it panicked.
        match tried.await.map_err(io::Error::other).and_then(|tried| tried) {
            Ok(()) if began.elapsed() > self.volume.sync_timeout => Err(Error::Slow),
            Ok(()) => Ok(()),
            Err(error) => Err(Error::io("can't write to the spool", error)),
        }
    }

    /// Finish what was begun, and take nothing more. Blocks until that is on disk.
    pub fn close(&self) {
        self.writer.stop();
        let join = self.join.lock().take();
        if let Some(join) = join {
            join();
        }
    }

    /// How often something was synced since it was opened.
    pub fn syncs(&self) -> u64 {
        self.volume.disk.syncs()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}

fn check_format(directory: &Path, volume: &Volume, damage: &mut Vec<Damage>) -> Result<(), Error> {
    let path = directory.join("format");
    let found = match volume.disk.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_of_device(&error) => Vec::new(),
        read => read.map_err(|error| Error::unreadable(&path, error))?,
    };
    let text = String::from_utf8_lossy(&found);
    let version = text.strip_prefix(FORMAT).map(str::trim_end);
    match version.map(str::parse::<u32>) {
        Some(Ok(VERSION)) => return Ok(()),
        Some(Ok(found)) => {
            let directory = directory.to_owned();
            return Err(Error::Format { directory, found });
        }
        // Every segment says its version too.
        _ if found.is_empty() => {}
        _ => damage.push(Damage::new(&path, "it says no version", found.len() as u64)),
    }
    let disk = &volume.disk;
    // The directory above may be one that can be entered, but not read.
    let full = directory.canonicalize().ok();
    if let Some(parent) = full.as_deref().and_then(Path::parent) {
        let _ = disk.sync_names(parent);
    }
    let content = format!("{FORMAT}{VERSION}\n");
    let written = disk.replace(&path, content.as_bytes());
    let synced = written.and_then(|()| disk.sync_names(directory));
    let doing = format!("the file {} can't be written", path.display());
    synced.map_err(|error| Error::unusable(doing, error))
}

/// A name that a person can read and any file system takes, and that no two destinations share.
fn directory_name(destination: &str) -> String {
    let safe = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => c,
        _ => '_',
    };
    let readable: String = destination.chars().take(60).map(safe).collect();
    let hash = format!("{:x}", Sha256::digest(destination.as_bytes()));
    format!("{readable}-{}", &hash[..16])
}

/// The time in Unix milliseconds.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// The time of this many Unix milliseconds.
fn time(milliseconds: u64) -> SystemTime {
    let since = Duration::from_millis(milliseconds);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
