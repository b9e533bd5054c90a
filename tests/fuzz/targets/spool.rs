//! Any damage to a spool's files: it opens, gives back the records that aren't damaged, in their order and once, gives
//! back no others, and takes new ones.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use hookbus::config;
use hookbus::message::Event;
use hookbus::spool::{DeadLetter, Error, Queue, Record, Spool};
use hookbus::trace::Trace;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

const DESTINATION: &str = "nats:vapi.events.{type}";
/// Bytes of the two copies of a segment's header.
const START: usize = 72;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    payloads: Vec<&'a [u8]>,
    done: Vec<u8>,
    rejects: bool,
    damage: Vec<(u8, Damage<'a>)>,
}

/// What happens to a file.
#[derive(Arbitrary, Debug)]
enum Damage<'a> {
    Flip {
        bit: u32,
    },
    Cut {
        at: u16,
    },
    Insert {
        at: u16,
        bytes: &'a [u8],
    },
    Copy {
        from: u16,
        length: u8,
        to: u16,
    },
    Remove,
    /// A frame that is right, with a body of another version.
    Frame {
        body: &'a [u8],
    },
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

fuzz_target!(|input: Input<'_>| {
    // In memory, where there is such a place: what counts is what is written, not that it is written to a disk.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let directory = tempfile::tempdir_in(place).expect("a directory");
    RUNTIME.block_on(run(&input, directory.path()));
});

async fn run(input: &Input<'_>, directory: &Path) {
    let records: Vec<_> = input.payloads.iter().take(16).enumerate().map(record).collect();
    write(input, &records, directory).await;
    let files = files(directory);
    let before = Content::of(&files);
    for (file, damage) in input.damage.iter().take(8) {
        apply(damage, &files[usize::from(*file) % files.len()]);
    }
    let after = Content::of(&files);

    let spool = match open(directory) {
        Ok(spool) => spool,
        // The file that says so was damaged to say something else.
        Err(Error::Format { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let queue = spool.queue(DESTINATION);
    let found = read(&queue).await;
    let is_forged = input.damage.iter().any(|(_, damage)| matches!(damage, Damage::Frame { .. }));
    let known: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
    if !is_forged {
        let is_done = |at: &usize| input.done.iter().any(|done| usize::from(*done) == *at);
        // What was taken away altogether when all of it was done is no damage.
        let whole: Vec<_> = before.segment.map_or(Vec::new(), |segment| {
            let whole = after.segment.map(|after| undamaged(&after, &segment));
            whole.unwrap_or_default()
        });
        // What is done comes again if nobody knows that it is done.
        let knows = before.cursor == after.cursor;
        let left: Vec<_> = whole.into_iter().filter(|at| !(knows && is_done(at))).collect();
        assert!(left.iter().map(|at| &known[*at]).eq(&found), "{left:?} {found:?}");
    }
    let mut letters = spool.dead_letters().reader();
    while !letters.read(4, 1 << 20).await.expect("dead letters are read").is_empty() {}

    // It goes on working, and what comes after the damage is kept.
    let last = record((99, &&b"after"[..]));
    queue.append(&last).await.expect("a new record is kept");
    drop((queue, spool));
    let spool = open(directory).expect("what it wrote itself can be opened");
    let found = read(&spool.queue(DESTINATION)).await;
    assert_eq!(found.last(), Some(&format!("{last:?}")));
}

/// The files of the queue that say what is in it.
struct Content {
    segment: Option<Vec<u8>>,
    cursor: Option<Vec<u8>>,
}

impl Content {
    fn of(files: &[PathBuf]) -> Self {
        let read = |ending: &str| {
            let is_it = |path: &&PathBuf| {
                let path = path.to_string_lossy();
                path.contains("/queues/") && path.ends_with(ending)
            };
            fs::read(files.iter().find(is_it)?).ok()
        };
        Self { segment: read(".segment"), cursor: read("/cursor") }
    }
}

/// Which records stand whole in what is left of a segment, behind those that came before them: a second reading of the
/// format, which is written down in `segment`.
fn undamaged(bytes: &[u8], before: &[u8]) -> Vec<usize> {
    let copies = [0, 36].map(|at| bytes.get(at..at + 36) == before.get(at..at + 36));
    if copies == [false; 2] {
        return Vec::new();
    }
    let id = &before[8..16];
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let checksum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let (mut found, mut next, mut at) = (Vec::new(), 0, START);
    while at + 28 <= bytes.len() {
        let length = checksum(at) as usize;
        let is_head = crc32c_append(crc32c(id), &bytes[at..at + 24]) == checksum(at + 24);
        let body = bytes.get(at + 28..).and_then(|rest| rest.get(..length));
        let Some(body) = body.filter(|body| is_head && crc32c(body) == checksum(at + 20)) else {
            at += 1;
            continue;
        };
        let sequence = number(at + 4);
        if sequence == u64::MAX {
            break;
        }
        if sequence >= next {
            found.push(sequence as usize);
            next = sequence + 1;
        }
        at += 28 + body.len();
    }
    found
}

async fn write(input: &Input<'_>, records: &[Record], directory: &Path) {
    let spool = open(directory).expect("an empty directory can be opened");
    let queue = spool.queue(DESTINATION);
    for (at, record) in records.iter().enumerate() {
        let position = queue.append(record).await.expect("a record is kept");
        if input.done.iter().any(|done| usize::from(*done) == at) {
            queue.done(position);
        }
        if input.rejects {
            let letter = DeadLetter {
                destination: DESTINATION.into(),
                reason: "too-large".into(),
                detail: "no".into(),
                record: record.clone(),
            };
            spool.dead_letters().append(&letter).await.expect("a dead letter is kept");
        }
    }
}

fn open(directory: &Path) -> Result<Spool, Error> {
    let settings = config::Spool { dir: directory.to_owned(), ..config::Spool::default() };
    Spool::open(&settings).map(|(spool, _)| spool)
}

fn record((at, payload): (usize, &&[u8])) -> Record {
    let event = Event {
        id: at.to_string().into(),
        endpoint: "vapi".into(),
        kind: "status-update".into(),
        key: (at % 2 == 0).then(|| "call-1".into()),
        subject: None,
        time: SystemTime::UNIX_EPOCH,
        content_type: "application/json".into(),
        payload: Bytes::copy_from_slice(payload),
        trace: Trace::default(),
        dedupe: true,
    };
    Record { name: "vapi.events.status-update".into(), event }
}

async fn read(queue: &Queue) -> Vec<String> {
    let mut reader = queue.reader();
    let mut all = Vec::new();
    loop {
        let some = reader.read(3, 1 << 20).await.expect("records are read");
        if some.is_empty() {
            return all;
        }
        all.extend(some.iter().map(|(_, record)| format!("{record:?}")));
    }
}

/// All files, in an order that doesn't change; segments stand first, so that most damage is theirs.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    let is_segment = |path: &Path| path.extension().is_some_and(|ending| ending == "segment");
    found.retain(|path| !path.ends_with("lock"));
    found.sort_by_key(|path| (!is_segment(path), path.clone()));
    found
}

fn apply(damage: &Damage<'_>, file: &Path) {
    // It may be gone already.
    let Ok(mut bytes) = fs::read(file) else { return };
    let length = bytes.len();
    match *damage {
        Damage::Remove => {
            let _ = fs::remove_file(file);
            return;
        }
        Damage::Flip { bit } if length > 0 => {
            let at = bit as usize / 8 % length;
            bytes[at] ^= 1 << (bit % 8);
        }
        Damage::Cut { at } => bytes.truncate(usize::from(at)),
        Damage::Insert { at, bytes: new } => {
            let at = usize::from(at).min(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Damage::Copy { from, length: count, to } => {
            let from = usize::from(from).min(length);
            let end = (from + usize::from(count)).min(length);
            let part = bytes[from..end].to_vec();
            let to = usize::from(to).min(length);
            bytes.splice(to..to, part);
        }
        Damage::Frame { body } if length >= START => {
            // The format is written down in `segment`: id at 8, and heads of which the checksum begins with it.
            let mut head = (body.len() as u32).to_le_bytes().to_vec();
            head.extend(&bytes[16..24]);
            head.extend(0_u64.to_le_bytes());
            head.extend(crc32c(body).to_le_bytes());
            let own = crc32c_append(crc32c(&bytes[8..16]), &head);
            head.extend(own.to_le_bytes());
            head.extend(body);
            bytes.splice(START..START, head);
        }
        Damage::Flip { .. } | Damage::Frame { .. } => {}
    }
    fs::write(file, bytes).expect("a file can be written");
}
