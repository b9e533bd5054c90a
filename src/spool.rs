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
//! - Memory is bounded by what waits to be written and by the number of segments, not by the number of records.
//!
//! What it leaves out: a crash may bring back some records that were done a moment before (the cursor is written once a
//! second), and some whose append was answered with an error.
//!
//! ```text
//! DIR/lock                              held while a process has the spool open
//! DIR/format                            "hookbus spool 1"
//! DIR/queues/NAME/                      one for each destination; NAME is its text, made readable, and its hash
//! DIR/queues/NAME/destination           the configured text
//! DIR/queues/NAME/SEQUENCE.segment      a segment, named after its first record: see `segment`
//! DIR/queues/NAME/cursor                what is done: see `cursor`
//! DIR/queues/NAME/SEQUENCE….corrupt     what was set aside
//! DIR/parked/                           the same for records that no destination takes
//! ```

mod cursor;
mod disk;
mod log;
mod ranges;
mod record;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use self::log::{Log, Place};
use self::record::Stored;
pub use self::record::{Parked, Record};
use self::writer::Shared;
use crate::config;

/// What stands in the file `format`, without the version.
const FORMAT: &str = "hookbus spool ";
const VERSION: u32 = 1;

/// Why something isn't kept, or can't be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The queues take `max_bytes`.
    #[error("the spool is full")]
    Full,
    /// It wasn't synced within `sync_timeout`, or too much waits for it. It may be kept nevertheless.
    #[error("the disk of the spool is too slow")]
    Slow,
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
    /// The disk said no.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: Cow<'static, str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another process has the directory open.
    #[error("the spool directory {} is used by another process\nhint: stop that one, or give each its own `spool.dir`", .0.display())]
    InUse(PathBuf),
    /// It was written by a version with another format.
    #[error("the spool directory {} has the format {found:?}, and this version reads {VERSION}\nhint: let the version that wrote it drain it, or set another `spool.dir`", .directory.display())]
    Format {
        /// The directory.
        directory: PathBuf,
        /// Its format.
        found: String,
    },
}

impl Error {
    fn io(doing: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source: Arc::new(source) }
    }

    /// The metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full => "spool-full",
            Self::Slow => "spool-slow",
            Self::Closed => "spool-closed",
            Self::Io { .. } => "spool-error",
            Self::InUse(_) => "spool-in-use",
            Self::Format { .. } => "spool-format",
        }
    }
}

/// Something that was no whole record, or no whole file.
#[derive(Debug, Clone)]
pub struct Damage {
    /// The file that it was found in.
    pub file: PathBuf,
    /// What is wrong.
    pub what: Cow<'static, str>,
    /// How much of it.
    pub bytes: u64,
    /// Where it can be looked at.
    pub kept: Option<PathBuf>,
}

impl Damage {
    fn new(file: &Path, what: impl Into<Cow<'static, str>>, bytes: u64) -> Self {
        Self { file: file.to_owned(), what: what.into(), bytes, kept: None }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({} bytes", self.file.display(), self.what, self.bytes)?;
        match &self.kept {
            Some(kept) => write!(f, ", kept in {})", kept.display()),
            None => f.write_str(")"),
        }
    }
}

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
        log::time(self.stored)
    }
}

/// A spool, held by this process. Dropping it finishes what was begun: it blocks until that is on disk.
pub struct Spool {
    directory: PathBuf,
    shared: Arc<Shared>,
    logs: Logs,
    parked: Arc<Log>,
    writer: Option<JoinHandle<()>>,
    /// Last, so that the directory is given up last.
    _lock: File,
}

/// The queues by the names of their directories.
type Logs = Arc<Mutex<BTreeMap<String, Arc<Log>>>>;

/// The name under which the parked records stand among the queues; no destination has it.
const PARKED: &str = "parked";

impl Spool {
    /// Open the directory, or make it. What is damaged is set aside and said, and never an error.
    pub fn open(settings: &config::Spool) -> Result<(Self, Vec<Damage>), Error> {
        let limit = settings.max_bytes.get() as u64;
        // Room is given back by the segment: there must be several, and not thousands.
        let segment = (limit / 16).clamp(64 << 10, 16 << 20);
        let shared = Shared::new(limit, segment, settings.sync_timeout.get());
        Self::open_with(&settings.dir, shared)
    }

    fn open_with(directory: &Path, shared: Shared) -> Result<(Self, Vec<Damage>), Error> {
        let shared = Arc::new(shared);
        let failed = |error| {
            let doing = format!("the spool directory {} can't be used", directory.display());
            Error::io(doing, error)
        };
        let queues = directory.join("queues");
        let place = directory.join(PARKED);
        shared.disk.create_directory(&queues).map_err(failed)?;
        shared.disk.create_directory(&place).map_err(failed)?;
        let lock = lock(directory)?;
        let mut damage = Vec::new();
        check_format(directory, &shared, &mut damage)?;

        let mut logs = BTreeMap::new();
        for entry in fs::read_dir(&queues).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.path().is_dir() {
                continue;
            }
            match Log::open(entry.path(), shared.clone(), &mut damage) {
                Ok(log) => {
                    match log.read_text() {
                        Ok(text) if directory_name(&text) == name => log.set_text(&text),
                        _ => damage.push(Damage::new(
                            &entry.path(),
                            "it doesn't say whose queue it is",
                            0,
                        )),
                    }
                    logs.insert(name, Arc::new(log));
                }
                Err(error) => {
                    damage.push(Damage::new(&entry.path(), format!("it can't be read: {error}"), 0))
                }
            }
        }
        let parked =
            Log::open(place.clone(), shared.clone(), &mut damage).unwrap_or_else(|error| {
                damage.push(Damage::new(&place, format!("it can't be read: {error}"), 0));
                Log::new(place, shared.clone())
            });
        parked.set_text(PARKED);
        let parked = Arc::new(parked);
        logs.insert(PARKED.to_owned(), parked.clone());

        let logs = Arc::new(Mutex::new(logs));
        let writer = {
            let (shared, logs) = (shared.clone(), logs.clone());
            let thread = thread::Builder::new().name("spool".to_owned());
            thread.spawn(move || shared.run(&logs)).map_err(failed)?
        };
        let spool =
            Self { directory: queues, shared, logs, parked, writer: Some(writer), _lock: lock };
        Ok((spool, damage))
    }

    /// The queue of a destination; it takes no room until something is appended.
    pub fn queue(&self, destination: &str) -> Queue {
        let name = directory_name(destination);
        let mut logs = self.logs.lock();
        let log = logs.entry(name).or_insert_with_key(|name| {
            Arc::new(Log::new(self.directory.join(name), self.shared.clone()))
        });
        log.set_text(destination);
        Queue { destination: log.text(), log: log.clone() }
    }

    /// All queues that this spool has seen, also those of destinations that are not configured any more.
    pub fn queues(&self) -> Vec<Queue> {
        let logs = self.logs.lock();
        let queues = logs.iter().filter(|(name, _)| *name != PARKED);
        queues.map(|(_, log)| Queue { destination: log.text(), log: log.clone() }).collect()
    }

    /// The records that no destination takes.
    pub fn parked(&self) -> Parking {
        Parking { log: self.parked.clone() }
    }

    /// Bytes that everything takes, of `max_bytes`.
    pub fn bytes(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// How often something was set aside since it was opened.
    pub fn damaged(&self) -> u64 {
        self.shared.damaged.load(Ordering::Relaxed)
    }

    /// How often something was synced since it was opened.
    pub fn syncs(&self) -> u64 {
        self.shared.disk.syncs()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let failed = |error| Error::io(format!("the file {} can't be locked", path.display()), error);
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(false).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn check_format(directory: &Path, shared: &Shared, damage: &mut Vec<Damage>) -> Result<(), Error> {
    let path = directory.join("format");
    let found = fs::read(&path).unwrap_or_default();
    let text = String::from_utf8_lossy(&found);
    let version = text.strip_prefix(FORMAT).map(|version| version.trim_end().parse::<u32>());
    match version {
        Some(Ok(VERSION)) => return Ok(()),
        Some(Ok(other)) => {
            let found = other.to_string();
            return Err(Error::Format { directory: directory.to_owned(), found });
        }
        // Every segment says its version too.
        _ if found.is_empty() => {}
        _ => damage.push(Damage::new(&path, "it says no version", found.len() as u64)),
    }
    // The directory above may be one that can be entered, but not read.
    if let Some(parent) = directory.canonicalize().ok().as_deref().and_then(Path::parent) {
        let _ = shared.disk.sync_directory(parent);
    }
    let written = shared.disk.replace(&path, format!("{FORMAT}{VERSION}\n").as_bytes());
    written
        .and_then(|()| shared.disk.sync_directory(directory))
        .map_err(|error| Error::io(format!("the file {} can't be written", path.display()), error))
}

/// A name that a person can read and any file system takes, and that no two destinations share.
fn directory_name(destination: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }
    };
    let readable: String = destination.chars().take(60).map(safe).collect();
    let hash = format!("{:x}", Sha256::digest(destination.as_bytes()));
    format!("{readable}-{}", &hash[..16])
}

/// A record that has its place, and is on its way to the disk. Dropped early, it may be kept or not.
#[must_use = "it is not stored before it is finished"]
pub struct Appending {
    stored: oneshot::Receiver<Result<Position, Error>>,
    deadline: Instant,
}

impl Appending {
    fn new(stored: oneshot::Receiver<Result<Position, Error>>, timeout: Duration) -> Self {
        Self { stored, deadline: Instant::now() + timeout }
    }

    /// Wait until it is synced.
    pub async fn finish(self) -> Result<Position, Error> {
        match timeout_at(self.deadline, self.stored).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Slow),
        }
    }
}

/// The queue of one destination.
#[derive(Clone)]
pub struct Queue {
    destination: Arc<str>,
    log: Arc<Log>,
}

impl Queue {
    /// The configured text of the destination.
    pub fn destination(&self) -> &Arc<str> {
        &self.destination
    }

    /// Take the next place for a record: the order of the calls is the order of the records.
    pub fn begin(&self, record: &Record) -> Result<Appending, Error> {
        self.log.begin(record)
    }

    /// Keep a record; Ok means that it is synced.
    pub async fn append(&self, record: &Record) -> Result<Position, Error> {
        self.begin(record)?.finish().await
    }

    /// Read from the oldest record on that isn't done.
    pub fn reader(&self) -> Reader<Record> {
        Reader::new(self.log.clone())
    }

    /// A record was published: it needn't be kept. Any order will do.
    pub fn done(&self, position: Position) {
        self.log.done(position);
    }

    /// Records that are not done.
    pub fn len(&self) -> u64 {
        self.log.records()
    }

    /// Whether everything is done.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on disk; those of done records are given back by the segment.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Since when the oldest record that isn't done has been waiting, or a little earlier.
    pub fn oldest(&self) -> Option<SystemTime> {
        self.log.oldest()
    }
}

/// The records that no destination takes.
#[derive(Clone)]
pub struct Parking {
    log: Arc<Log>,
}

impl Parking {
    /// Take a place for a record.
    pub fn begin(&self, parked: &Parked) -> Result<Appending, Error> {
        self.log.begin(parked)
    }

    /// Keep a record; Ok means that it is synced.
    pub async fn park(&self, parked: &Parked) -> Result<Position, Error> {
        self.begin(parked)?.finish().await
    }

    /// Read all of them, oldest first.
    pub fn reader(&self) -> Reader<Parked> {
        Reader::new(self.log.clone())
    }

    /// Keep a record no longer.
    pub fn remove(&self, position: Position) {
        self.log.done(position);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.log.records()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Goes through a queue from its oldest record on, once. Another one begins again with what isn't done by then.
pub struct Reader<T> {
    log: Arc<Log>,
    place: Option<Place>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Stored> Reader<T> {
    fn new(log: Arc<Log>) -> Self {
        Self { log, place: None, kind: PhantomData }
    }

    /// The next records, up to so many, or as soon as they hold so many bytes; none at the end. Nothing is missed when
    /// this is given up halfway.
    pub async fn read(&mut self, most: usize, bytes: usize) -> Result<Vec<(Position, T)>, Error> {
        let (log, mut place) = (self.log.clone(), self.place);
        let reading = tokio::task::spawn_blocking(move || {
            let mut records = Vec::new();
            // Only what can't be read at all may leave a part empty that isn't the last one.
            while records.is_empty() {
                let raw = log.read(&mut place, most.max(1), bytes)?;
                if raw.is_empty() {
                    break;
                }
                for raw in raw {
                    match T::read(raw.body.clone()) {
                        Some(record) => records.push((raw.position, record)),
                        None => log.unreadable(&raw),
                    }
                }
            }
            Ok((place, records))
        });
        let failed = |error| Error::io("can't read the spool", error);
        let (place, records) =
            reading.await.map_err(|error| failed(error.into()))?.map_err(failed)?;
        self.place = place;
        Ok(records)
    }

    /// Wait until there is something that wasn't read.
    pub async fn ready(&self) {
        let mut readable = self.log.readable();
        let is_ready = |_: &u64| self.log.has_more(self.place);
        // The sender lives as long as the log.
        let _ = readable.wait_for(is_ready).await;
    }
}
