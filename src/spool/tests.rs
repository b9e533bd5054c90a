//! The spool against a disk that fails, and after crashes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod accounts;
mod opened;
mod vanished;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::disk::{self, Disk, Job, Join, Lock, System, Task};
use super::segment;
use super::volume::Volume;
use super::{Damage, DeadLetter, Error, Position, Queue, Record, Spool};
use crate::message::Event;
use crate::trace::Trace;

/// A disk of this machine, and what is wrong with it.
#[derive(Debug, Clone, Default)]
struct Faults(Arc<Wrong>);

#[derive(Debug, Default)]
struct Wrong {
    /// Nothing can be created, and half of what is written arrives.
    full: AtomicBool,
    syncs_fail: AtomicBool,
    sync_takes: Mutex<Duration>,
    /// Files whose paths end so can't be opened, for this reason.
    opens_fail: Mutex<Option<(&'static str, i32)>>,
    /// Tests crash processes, not machines: they need no platter, only the answer.
    syncs_are_real: AtomicBool,
    /// Files whose content a crash of the machine would lose.
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl Faults {
    fn full(&self, full: bool) {
        self.0.full.store(full, Ordering::Relaxed);
    }

    fn syncs_fail(&self, fail: bool) {
        self.0.syncs_fail.store(fail, Ordering::Relaxed);
    }

    fn syncs_take(&self, time: Duration) {
        *self.0.sync_takes.lock() = time;
    }

    fn check(&self) -> io::Result<()> {
        match self.0.full.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn wrap(&self, path: &Path, file: Arc<dyn disk::File>) -> Arc<dyn disk::File> {
        Arc::new(Opened { file, path: path.to_owned(), faults: self.clone() })
    }

    #[expect(clippy::disallowed_methods, reason = "the writer has a thread of its own")]
    fn sync(&self, real: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let takes = *self.0.sync_takes.lock();
        std::thread::sleep(takes);
        match self.0.syncs_fail.load(Ordering::Relaxed) {
            true => Err(io::Error::other("lost")),
            false if self.0.syncs_are_real.load(Ordering::Relaxed) => real(),
            false => Ok(()),
        }
    }
}

impl Disk for Faults {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        System.create_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        System.list(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        System.is_directory(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn disk::File>> {
        self.check()?;
        Ok(self.wrap(path, System.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn disk::File>> {
        let fails = *self.0.opens_fail.lock();
        if let Some((_, code)) = fails.filter(|(name, _)| path.to_string_lossy().ends_with(name)) {
            return Err(io::Error::from_raw_os_error(code));
        }
        System.open(path)
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn disk::File>> {
        Ok(self.wrap(path, System.append(path)?))
    }

    /// A name may be safe before the content is: what wasn't synced is lost in the crash that a test plays.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0.unsynced.lock().remove(from) {
            File::create(from)?;
        }
        System.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        System.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.sync(|| System.sync_directory(path))
    }

    fn lock(&self, path: &Path) -> Result<Lock, TryLockError> {
        System.lock(path)
    }

    fn run(&self, job: Job) -> Task {
        System.run(job)
    }

    fn start(&self, writer: Task) -> io::Result<Join> {
        System.start(writer)
    }
}

struct Opened {
    file: Arc<dyn disk::File>,
    path: PathBuf,
    faults: Faults,
}

impl disk::File for Opened {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let checked = self.faults.check();
        let length = if checked.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.faults.0.unsynced.lock().insert(self.path.clone());
        self.file.write(&bytes[..length])?;
        checked
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }

    fn identity(&self) -> Option<(u64, u64)> {
        self.file.identity()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.sync(|| self.file.sync())?;
        self.faults.0.unsynced.lock().remove(&self.path);
        Ok(())
    }
}

const MIB: u64 = 1 << 20;
const NAME: &str = "nats:vapi.events.{type}";

fn volume(limit: u64) -> Volume {
    shared_on(&Faults::default(), limit)
}

fn shared_on(faults: &Faults, limit: u64) -> Volume {
    Volume::new(Arc::new(faults.clone()), limit, 16 << 10, Duration::from_secs(30))
}

fn open(directory: &Path) -> (Spool, Vec<Damage>) {
    Spool::open_with(directory, volume(100 * MIB)).unwrap()
}

fn faulty(directory: &Path) -> (Spool, Faults) {
    let faults = Faults::default();
    let spool = Spool::open_with(directory, shared_on(&faults, 100 * MIB)).unwrap().0;
    (spool, faults)
}

fn record(id: usize) -> Record {
    sized(id, 50)
}

fn sized(id: usize, payload: usize) -> Record {
    Record {
        name: "vapi.events.a".into(),
        event: Event {
            id: id.to_string().into(),
            endpoint: "vapi".into(),
            kind: "a".into(),
            key: None,
            subject: None,
            time: SystemTime::UNIX_EPOCH,
            content_type: "application/json".into(),
            payload: Bytes::from(vec![b'x'; payload]),
            trace: Trace::default(),
            dedupe: true,
        },
    }
}

/// Keep records with these ids; all of them are acknowledged.
async fn fill(queue: &Queue, ids: impl IntoIterator<Item = usize>) -> Vec<Position> {
    let begun: Vec<_> = ids.into_iter().map(|id| queue.begin(&record(id)).unwrap()).collect();
    let stored = join_all(begun.into_iter().map(|appending| appending.finish())).await;
    stored.into_iter().map(Result::unwrap).collect()
}

/// The ids of all that isn't done.
async fn ids(queue: &Queue) -> Vec<usize> {
    all(queue).await.into_iter().map(|(_, id)| id).collect()
}

async fn all(queue: &Queue) -> Vec<(Position, usize)> {
    let mut reader = queue.reader();
    let mut all = Vec::new();
    loop {
        let records = reader.read(7, 1 << 20).await.unwrap();
        if records.is_empty() {
            return all;
        }
        let id = |record: Record| record.event.id.parse().unwrap();
        all.extend(records.into_iter().map(|(position, record)| (position, id(record))));
    }
}

/// What a `kill -9` at this moment leaves behind.
fn crash(directory: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            match entry.path().is_dir() {
                true => copy(&entry.path(), &to),
                false => match fs::copy(entry.path(), to) {
                    // The writer has removed or renamed it since, as if the crash had come then.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    copied => drop(copied.unwrap()),
                },
            }
        }
    }
    let left = tempfile::tempdir().unwrap();
    copy(directory, left.path());
    left
}

/// All files below with this ending, sorted.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

async fn until(what: impl Fn() -> bool) {
    until_async(async || what()).await;
}

async fn until_async(what: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !what().await {
        assert!(start.elapsed() < Duration::from_secs(20), "it doesn't happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_read_is_what_was_appended() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    faults.0.syncs_are_real.store(true, Ordering::Relaxed);
    let volume = shared_on(&faults, 100 * MIB);
    let (spool, damage) = Spool::open_with(directory.path(), volume).unwrap();
    assert!(damage.is_empty());
    let queue = spool.queue(NAME);
    assert!(queue.is_empty() && queue.oldest().is_none() && queue.bytes() == 0);
    let large = sized(1, 3 << 20);
    let before = SystemTime::now() - Duration::from_secs(1);
    queue.append(&large).await.unwrap();
    queue.append(&record(2)).await.unwrap();
    assert_eq!(queue.len(), 2);
    assert!(queue.oldest().unwrap() > before);
    assert_eq!(spool.bytes(), queue.bytes());
    let read = queue.reader().read(10, usize::MAX).await.unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(format!("{:?}", read[0].1), format!("{large:?}"));
    assert_eq!(format!("{:?}", read[1].1), format!("{:?}", record(2)));
}

#[tokio::test]
async fn a_restart_goes_on_with_the_oldest_that_is_not_done() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let positions = fill(&queue, 0..300).await;
    assert!(positions.is_sorted());
    for (id, position) in positions.iter().enumerate() {
        if id % 3 != 2 || id < 150 {
            queue.done(*position);
            queue.done(*position);
        }
    }
    let left: Vec<usize> = (150..300).filter(|id| id % 3 == 2).collect();
    assert_eq!(queue.len(), 50);
    assert_eq!(ids(&queue).await, left);
    drop(spool);

    let (spool, damage) = open(directory.path());
    assert!(damage.is_empty());
    let queue = spool.queue(NAME);
    assert_eq!((queue.len(), ids(&queue).await), (50, left.clone()));
    fill(&queue, 300..302).await;
    assert_eq!(ids(&queue).await, [&left[..], &[300, 301]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_the_calls_is_the_order_of_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let (queue, other) = (spool.queue(NAME), spool.queue("kafka:b"));
    let count = std::sync::Arc::new(Mutex::new(0));
    let tasks = (0..16).map(|task| {
        let (queue, other, count) = (queue.clone(), other.clone(), count.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                let appending = {
                    let mut next = count.lock();
                    *next += 1;
                    queue.begin(&record(*next)).unwrap()
                };
                appending.finish().await.unwrap();
                other.append(&record(task)).await.unwrap();
            }
        })
    });
    for ended in join_all(tasks).await {
        ended.unwrap();
    }
    assert_eq!(ids(&queue).await, (1..=800).collect::<Vec<_>>());
    assert_eq!(other.len(), 800);
}

#[tokio::test]
async fn those_who_come_together_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, faults) = faulty(directory.path());
    let queue = spool.queue(NAME);
    fill(&queue, 0..1).await;
    let before = spool.syncs();
    faults.syncs_take(Duration::from_millis(50));
    fill(&queue, 1..101).await;
    // One for whoever was first, one for all others.
    let syncs = spool.syncs() - before;
    assert!((1..=3).contains(&syncs), "{syncs}");
}

#[tokio::test]
async fn a_failed_sync_is_an_error_and_the_next_append_works() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, faults) = faulty(directory.path());
    let queue = spool.queue(NAME);
    fill(&queue, 0..3).await;
    let bytes = spool.bytes();
    faults.syncs_fail(true);
    for _ in 0..3 {
        let error = queue.append(&record(9)).await.unwrap_err();
        assert_eq!(error.to_string(), "can't write to the spool: lost");
    }
    faults.syncs_fail(false);
    assert_eq!(files(directory.path(), ".segment").len(), 1);
    assert_eq!((spool.bytes(), queue.len()), (bytes, 3));
    fill(&queue, 3..6).await;
    assert_eq!(files(directory.path(), ".segment").len(), 2, "not the same file");
    assert_eq!(ids(&queue).await, [0, 1, 2, 3, 4, 5]);

    let left = crash(directory.path());
    let (spool, damage) = open(left.path());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(ids(&spool.queue(NAME)).await, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, faults) = faulty(directory.path());
    faults.full(true);
    let queue = spool.queue(NAME);
    for _ in 0..3 {
        let error = queue.append(&record(9)).await.unwrap_err();
        assert_eq!(error.reason(), "spool-error");
    }
    assert_eq!(spool.bytes(), 0);
    faults.full(false);
    fill(&queue, 0..2).await;
    faults.full(true);
    queue.append(&record(9)).await.unwrap_err();
    queue.append(&record(9)).await.unwrap_err();
    // What is kept can be read and called done meanwhile.
    let first = all(&queue).await[0].0;
    queue.done(first);
    faults.full(false);
    fill(&queue, 2..4).await;
    assert_eq!(ids(&queue).await, [1, 2, 3]);
    drop(spool);
    let (spool, damage) = open(directory.path());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(ids(&spool.queue(NAME)).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_slow_disk_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let slow = Volume::new(Arc::new(faults.clone()), MIB, 16 << 10, Duration::from_secs(1));
    let (spool, _) = Spool::open_with(directory.path(), slow).unwrap();
    let queue = spool.queue(NAME);
    queue.append(&record(0)).await.unwrap();
    faults.syncs_take(Duration::from_secs(3));
    let begun = queue.begin(&record(1)).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // It waits behind the first one, and is not written once nobody waits for it.
    let behind = queue.begin(&record(2)).unwrap();
    let start = Instant::now();
    assert!(matches!(begun.finish().await, Err(Error::Slow)));
    assert!(matches!(behind.finish().await, Err(Error::Slow)));
    assert!(start.elapsed() < Duration::from_secs(2));
    faults.syncs_take(Duration::ZERO);
    until(|| queue.len() == 2).await;
    queue.append(&record(3)).await.unwrap();
    assert_eq!(ids(&queue).await, [0, 1, 3]);
}

#[tokio::test]
async fn a_full_spool_takes_more_when_something_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open_with(directory.path(), volume(200 << 10)).unwrap();
    let queue = spool.queue(NAME);
    let mut positions = Vec::new();
    loop {
        match queue.append(&sized(0, 1_000)).await {
            Ok(position) => positions.push(position),
            Err(error) => break assert!(matches!(error, Error::Full)),
        }
    }
    // An eighth is kept free for what is moved.
    assert!(spool.bytes() > 165 << 10 && positions.len() > 150);
    assert!(matches!(spool.queue("kafka:b").begin(&sized(0, 1_000)), Err(Error::Full)));
    for position in &positions[..100] {
        queue.done(*position);
    }
    until(|| spool.bytes() < 120 << 10).await;
    queue.append(&sized(0, 1_000)).await.unwrap();
    assert_eq!(queue.len(), positions.len() as u64 - 99);
    for position in &positions {
        queue.done(*position);
    }
    let last = all(&queue).await;
    assert_eq!(last.len(), 1);
    queue.done(last[0].0);
    until(|| spool.bytes() == 0).await;
    assert!(files(directory.path(), ".segment").is_empty());
    // The numbers go on.
    assert!(queue.append(&record(1)).await.unwrap() > last[0].0);
}

#[tokio::test]
async fn a_crash_at_any_byte_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let mut lengths = Vec::new();
    for id in 0..4 {
        queue.append(&record(id)).await.unwrap();
        let segment = files(directory.path(), ".segment").remove(0);
        lengths.push(fs::metadata(segment).unwrap().len());
    }
    let whole = crash(directory.path());
    drop(spool);
    for length in lengths[2]..=lengths[3] {
        let left = crash(whole.path());
        let segment = files(left.path(), ".segment").remove(0);
        File::options().write(true).open(segment).unwrap().set_len(length).unwrap();
        let acknowledged = lengths.iter().filter(|end| **end <= length).count();
        let is_torn = !lengths.contains(&length);

        let (spool, damage) = open(left.path());
        let queue = spool.queue(NAME);
        assert_eq!(damage.len(), usize::from(is_torn), "{damage:?}");
        assert_eq!(files(left.path(), ".corrupt").len(), usize::from(is_torn));
        assert_eq!(ids(&queue).await, (0..acknowledged).collect::<Vec<_>>(), "{length}");
        fill(&queue, 10..11).await;
        drop(spool);
        // What was set aside is not found again.
        let (spool, damage) = open(left.path());
        assert!(damage.is_empty(), "{damage:?}");
        assert_eq!(spool.queue(NAME).len() as usize, acknowledged + 1);
    }
}

#[tokio::test]
async fn a_flipped_bit_costs_one_record() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    fill(&spool.queue(NAME), 0..40).await;
    let crashed = crash(directory.path());
    drop(spool);
    let closed = crash(directory.path());
    // Steps through all of the file, and all bits of a byte.
    for (whole, step) in [(&crashed, 397), (&closed, 401)] {
        let length = fs::metadata(&files(whole.path(), ".segment")[0]).unwrap().len() as usize;
        for bit in (0..length * 8).step_by(step) {
            let left = crash(whole.path());
            let segment = files(left.path(), ".segment").remove(0);
            let mut bytes = fs::read(&segment).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&segment, bytes).unwrap();
            let (spool, _) = open(left.path());
            let queue = spool.queue(NAME);
            let found = ids(&queue).await;
            assert!(found.len() >= 39 && found.is_sorted(), "{bit}: {found:?}");
            assert_eq!(queue.len() as usize, found.len());
            let is_hit = found.len() < 40;
            assert_eq!(files(left.path(), ".corrupt").len() as u64, spool.damaged());
            assert!(!is_hit || spool.damaged() == 1);
            // Reading on doesn't stumble over it again.
            assert_eq!(ids(&queue).await, found);
            for (position, _) in all(&queue).await {
                queue.done(position);
            }
            assert!(queue.is_empty());
        }
    }
}

/// A file system may show a block where another one should be.
#[tokio::test]
async fn a_frame_that_stands_twice_is_one_record() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    fill(&spool.queue(NAME), 0..4).await;
    let crashed = crash(directory.path());
    drop(spool);
    let closed = crash(directory.path());
    let length = fs::metadata(&files(crashed.path(), ".segment")[0]).unwrap().len() as usize;
    let (start, size) = (segment::START as usize, (length - segment::START as usize) / 4);
    for whole in [&crashed, &closed] {
        for (from, to) in (0..4).flat_map(|from| (0..=4).map(move |to| (from, to))) {
            let left = crash(whole.path());
            let segment = files(left.path(), ".segment").remove(0);
            let mut bytes = fs::read(&segment).unwrap();
            let at = |number: usize| start + number * size;
            let copy = bytes[at(from)..at(from + 1)].to_vec();
            bytes.splice(at(to)..at(to), copy);
            fs::write(&segment, bytes).unwrap();
            let (spool, _) = open(left.path());
            let queue = spool.queue(NAME);
            let found = ids(&queue).await;
            // Nobody can tell that one is to come which stands behind a later one.
            let expected: Vec<_> = (0..4).filter(|id| *id < to || *id >= from).collect();
            assert_eq!(found, expected, "{from} to {to}");
            assert_eq!(queue.len() as usize, found.len(), "{from} to {to}");
        }
    }
}

#[tokio::test]
async fn damaged_side_files_cost_nothing_but_repetitions() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let positions = fill(&queue, 0..5).await;
    queue.done(positions[0]);
    drop(spool);
    for name in ["cursor", "destination", "format"] {
        let left = crash(directory.path());
        let file = files(left.path(), name).remove(0);
        fs::write(file, b"\xff\0garbage").unwrap();
        let (spool, damage) = open(left.path());
        assert_eq!(damage.len(), 1, "{damage:?}");
        let first = usize::from(name != "cursor");
        assert_eq!(ids(&spool.queue(NAME)).await, (first..5).collect::<Vec<_>>());
        fill(&spool.queue(NAME), 5..6).await;
        drop(spool);
        let (spool, damage) = open(left.path());
        assert!(damage.is_empty(), "{damage:?}");
        assert_eq!(&**spool.queues()[0].destination(), NAME);
    }
    // A whole segment that isn't one.
    let left = crash(directory.path());
    let segment = files(left.path(), ".segment").remove(0);
    fs::write(&segment, vec![0; 5_000]).unwrap();
    let (spool, damage) = open(left.path());
    assert_eq!(damage[0].copy.as_ref(), files(left.path(), ".corrupt").first());
    let queue = spool.queue(NAME);
    assert!(queue.is_empty());
    assert!(fill(&queue, 0..1).await[0] > positions[4]);
}

/// Found by fuzzing: its directory was taken for one that never got a segment.
#[tokio::test]
async fn a_segment_of_nobody_that_holds_nothing_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let positions = fill(&spool.queue(NAME), 0..2).await;
    spool.queue(NAME).done(positions[1]);
    drop(spool);
    // One record is done, the other is damaged, and so are the footer and the file beside them.
    let segment = files(directory.path(), ".segment").remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[120] ^= 1;
    bytes.pop();
    fs::write(&segment, bytes).unwrap();
    fs::write(files(directory.path(), "destination").remove(0), b"garbage").unwrap();

    let (spool, damage) = open(directory.path());
    // The damaged record, and a footer that isn't one.
    assert!(damage.iter().all(|damage| damage.copy.is_some()), "{damage:?}");
    let queue = spool.queue(NAME);
    assert!(queue.is_empty());
    fill(&queue, 2..3).await;
    assert_eq!(ids(&queue).await, [2]);
    drop((queue, spool));
    let (spool, damage) = open(directory.path());
    assert!(damage.is_empty(), "{damage:?}");
    let queue = spool.queue(NAME);
    assert_eq!(ids(&queue).await, [2]);
    assert_eq!(queue.bytes(), spool.bytes());
}

#[tokio::test]
async fn the_queue_of_a_destination_that_left_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    fill(&spool.queue(NAME), 0..3).await;
    fill(&spool.queue("kafka:a/b"), 0..1).await;
    fill(&spool.queue("kafka:a_b"), 0..2).await;
    spool.queue("kafka:never-used");
    drop(spool);
    let (spool, _) = open(directory.path());
    let queues = spool.queues();
    let found: Vec<_> = queues.iter().map(|queue| (&**queue.destination(), queue.len())).collect();
    assert_eq!(found.len(), 3);
    for expected in [(NAME, 3), ("kafka:a/b", 1), ("kafka:a_b", 2)] {
        assert!(found.contains(&expected), "{found:?}");
    }
    assert!(queues.iter().all(|queue| queue.bytes() > 0 && queue.oldest().is_some()));
    assert_eq!(queues.iter().map(Queue::bytes).sum::<u64>(), spool.bytes());
}

#[tokio::test]
async fn dead_letters_stay_until_they_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let letters = spool.dead_letters();
    for id in 0..5 {
        let letter = DeadLetter {
            destination: NAME.into(),
            reason: "too-large".into(),
            detail: "2 MiB are more than 1 MiB".into(),
            record: record(id),
        };
        letters.append(&letter).await.unwrap();
    }
    let all = letters.reader().read(100, usize::MAX).await.unwrap();
    assert_eq!(&*all[3].1.reason, "too-large");
    letters.done(all[1].0);
    letters.done(all[3].0);
    drop(spool);
    let (spool, damage) = open(directory.path());
    assert!(damage.is_empty() && spool.queues().is_empty());
    let letters = spool.dead_letters();
    let all = letters.reader().read(100, usize::MAX).await.unwrap();
    let ids: Vec<_> = all.iter().map(|(_, letter)| &*letter.record.event.id).collect();
    assert_eq!((letters.len(), ids), (3, vec!["0", "2", "4"]));
}

#[tokio::test]
async fn a_directory_has_one_user() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let error = Spool::open_with(directory.path(), volume(MIB)).err().unwrap();
    assert!(matches!(error, Error::InUse(_)));
    assert!(error.to_string().contains("is used by another process\nhint: "));
    drop(spool);
    open(directory.path());
    for other in [1, 3] {
        fs::write(directory.path().join("format"), format!("hookbus spool {other}\n")).unwrap();
        let error = Spool::open_with(directory.path(), volume(MIB)).err().unwrap().to_string();
        assert!(error.contains(&format!("has the format {other}, and this version reads 2")));
    }
}

#[tokio::test]
async fn a_closed_spool_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let begun = queue.begin(&record(0)).unwrap();
    drop(spool);
    begun.finish().await.unwrap();
    assert!(matches!(queue.begin(&record(1)), Err(Error::Closed)));
}

#[tokio::test]
async fn a_reader_is_told_of_more() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let mut reader = queue.reader();
    let waiting = Duration::from_millis(20);
    assert!(tokio::time::timeout(waiting, reader.ready()).await.is_err());
    assert!(reader.read(10, 1_000).await.unwrap().is_empty());
    let (_, positions) = tokio::join!(reader.ready(), fill(&queue, 0..3));
    queue.done(positions[1]);
    let read = reader.read(10, 100_000).await.unwrap();
    assert_eq!(
        read.iter().map(|(position, _)| *position).collect::<Vec<_>>(),
        [positions[0], positions[2]]
    );
    assert!(tokio::time::timeout(waiting, reader.ready()).await.is_err());
    fill(&queue, 3..4).await;
    reader.ready().await;
    assert_eq!(reader.read(10, 1_000).await.unwrap().len(), 1);
}

#[tokio::test]
async fn many_records_open_quickly() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open_with(
        directory.path(),
        Volume::new(Arc::new(Faults::default()), 100 * MIB, MIB, Duration::from_secs(30)),
    )
    .unwrap();
    let queue = spool.queue(NAME);
    for round in 0..20 {
        fill(&queue, round * 1_000..(round + 1) * 1_000).await;
    }
    drop(spool);
    let start = Instant::now();
    let (spool, damage) = open(directory.path());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(damage.is_empty());
    assert_eq!(spool.queue(NAME).len(), 20_000);
}

/// Whatever happens in whatever order: what was acknowledged and isn't done is there, in its order.
#[tokio::test]
async fn anything_goes() {
    for seed in 0..6 {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ (seed << 32);
        let mut pick = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut directory = tempfile::tempdir().unwrap();
        let mut faults = Faults::default();
        let on = |faults: &Faults| shared_on(faults, MIB);
        let (mut spool, _) = Spool::open_with(directory.path(), on(&faults)).unwrap();
        let (mut next, mut kept) = (0, std::collections::BTreeSet::new());
        for step in 0..60 {
            let queue = spool.queue(NAME);
            match pick(8) {
                0..3 => {
                    let sizes: Vec<_> = (0..pick(30)).map(|_| pick(2_000)).collect();
                    let begun: Vec<_> = (next..)
                        .zip(sizes)
                        .map(|(id, size)| (id, queue.begin(&sized(id, size)).unwrap()))
                        .collect();
                    next += begun.len();
                    for (id, appending) in begun {
                        if appending.finish().await.is_ok() {
                            kept.insert(id);
                        }
                    }
                }
                3 => faults.full(pick(2) == 0),
                4 => faults.syncs_fail(pick(2) == 0),
                5 => {
                    for (position, id) in all(&queue).await {
                        if pick(3) > 0 {
                            queue.done(position);
                            kept.remove(&id);
                        }
                    }
                }
                6 => {
                    let left = crash(directory.path());
                    if let Some(last) = files(left.path(), ".segment").last() {
                        let mut last = File::options().append(true).open(last).unwrap();
                        last.write_all(&vec![0xab; pick(300)]).unwrap();
                    }
                    drop(spool);
                    directory = left;
                    faults = Faults::default();
                    spool = Spool::open_with(directory.path(), on(&faults)).unwrap().0;
                }
                _ => {
                    drop(spool);
                    faults = Faults::default();
                    spool = Spool::open_with(directory.path(), on(&faults)).unwrap().0;
                }
            }
            let queue = spool.queue(NAME);
            let found = ids(&queue).await;
            assert!(found.is_sorted(), "seed {seed}, step {step}: {found:?}");
            assert!(
                kept.iter().all(|id| found.binary_search(id).is_ok()),
                "seed {seed}, step {step}"
            );
            assert_eq!(queue.len() as usize, found.len(), "seed {seed}, step {step}");
        }
        faults.full(false);
        faults.syncs_fail(false);
        let queue = spool.queue(NAME);
        for (position, _) in all(&queue).await {
            queue.done(position);
        }
        until(|| spool.bytes() == 0).await;
    }
}
