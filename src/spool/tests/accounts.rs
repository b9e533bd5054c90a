//! What is counted, what is kept free, and what is given back.

use tokio::sync::oneshot;

use super::*;
use crate::spool::directory_name;
use crate::spool::entry::Entry;
use crate::spool::log::Log;
use crate::spool::writer::Writer;

/// Fill a queue until the spool is full.
async fn fill_up(queue: &Queue, payload: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    loop {
        match queue.append(&sized(0, payload)).await {
            Ok(position) => positions.push(position),
            Err(Error::Full) => return positions,
            Err(error) => panic!("{error}"),
        }
    }
}

/// How long all segments are.
fn length_of_segments(directory: &Path) -> u64 {
    let lengths =
        files(directory, ".segment").into_iter().map(|path| fs::metadata(path).unwrap().len());
    lengths.sum()
}

#[tokio::test]
async fn an_eighth_or_two_segments_are_kept_free_for_what_is_moved() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open_with(directory.path(), volume(200 << 10)).unwrap();
    let queue = spool.queue(NAME);
    fill_up(&queue, 1_000).await;
    assert!((174 << 10..=175 << 10).contains(&spool.bytes()), "{}", spool.bytes());
    let mut moved = 0;
    while let Ok(appending) = queue.begin_moved(&sized(0, 1_000), Box::new(|| ())) {
        appending.finish().await.unwrap();
        moved += 1;
    }
    assert!(moved > 20 && (199 << 10..=200 << 10).contains(&spool.bytes()), "{}", spool.bytes());
    // Of much room no more than somebody needs who gives back one segment by writing another.
    assert_eq!(volume(100 * MIB).reserve(), 32 << 10);
}

/// There has to be room for a whole segment, or it would be full again at once.
#[tokio::test]
async fn a_spool_works_again_when_there_is_room_for_a_segment() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open_with(directory.path(), volume(200 << 10)).unwrap();
    let queue = spool.queue(NAME);
    let limit = (200 - 25 - 16) << 10;
    while spool.bytes() + 2_000 < limit {
        queue.append(&sized(0, 1_000)).await.unwrap();
        spool.probe().await.unwrap();
    }
    while spool.bytes() <= limit {
        queue.append(&sized(0, 1_000)).await.unwrap();
    }
    assert!(matches!(spool.probe().await, Err(Error::Full)));
    assert!(queue.append(&sized(0, 1_000)).await.is_ok());
}

#[tokio::test]
async fn a_slow_disk_is_found_out_by_trying() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let timeout = Duration::from_millis(50);
    let volume = Volume::new(Arc::new(faults.clone()), 100 * MIB, 16 << 10, timeout);
    let (spool, _) = Spool::open_with(directory.path(), volume).unwrap();
    faults.syncs_take(timeout * 2);
    assert!(matches!(spool.probe().await, Err(Error::Slow)));
    faults.syncs_take(Duration::ZERO);
    until_async(async || spool.probe().await.is_ok()).await;
    assert!(files(directory.path(), "probe").is_empty());
}

/// An entry of this size that nobody waits for.
fn entry(size: u64) -> Entry {
    Entry {
        head: Vec::new(),
        payload: Bytes::new(),
        checksum: 0,
        size,
        time: 0,
        stored: oneshot::channel().0,
        on_synced: None,
    }
}

/// What waits for the disk is bounded; what is larger than that waits alone.
#[test]
fn more_than_the_disk_gets_done_is_refused() {
    let volume = Arc::new(volume(1_000 * MIB));
    let log = Arc::new(Log::new("queue".into(), volume.clone()));
    let writer = Writer::new(volume.clone());
    let enqueue = |size| writer.enqueue(log.clone(), entry(size), false);
    assert!(enqueue(16 * MIB).is_ok());
    assert!(matches!(enqueue(16 * MIB + 1), Err(Error::Slow)));
    assert!(enqueue(16 * MIB).is_ok());
    assert!(matches!(enqueue(1), Err(Error::Slow)));
    assert_eq!(volume.used.load(Ordering::Relaxed), 32 * MIB);
}

#[tokio::test]
async fn what_the_disk_got_done_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let log = spool.queue(NAME).log;
    for size in [40 * MIB, 20 * MIB, 20 * MIB, 40 * MIB] {
        until(|| spool.writer.enqueue(log.clone(), entry(size), false).is_ok()).await;
    }
    until(|| spool.bytes() == 0).await;
}

/// Its thread may panic. Whoever waits for it is told, and nothing stays behind.
#[tokio::test]
async fn a_writer_that_is_gone_keeps_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let panics = move || {
        wait.recv().unwrap();
        panic!("the end of the writer");
    };
    let last = queue.begin_with(&record(0), Box::new(panics)).unwrap();
    until(|| spool.bytes() > 0 && queue.len() == 1).await;
    let bytes = spool.bytes();
    let waiting = queue.begin(&record(1)).unwrap();
    go_on.send(()).unwrap();
    assert!(matches!(last.finish().await, Err(Error::Closed)));
    assert!(matches!(waiting.finish().await, Err(Error::Closed)));
    assert!(matches!(queue.begin(&record(2)), Err(Error::Closed)));
    assert_eq!(spool.bytes(), bytes);
    let log = Arc::downgrade(&queue.log);
    drop((queue, spool));
    assert!(log.upgrade().is_none());
}

#[tokio::test]
async fn a_segment_is_removed_with_its_last_record() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let mut positions = Vec::new();
    while files(directory.path(), ".segment").len() < 3 {
        positions.extend(fill(&queue, 0..20).await);
    }
    let segments = files(directory.path(), ".segment");
    let begins_at =
        |segment: &Path| segment.file_stem().unwrap().to_string_lossy().parse().unwrap();
    let second: u64 = begins_at(&segments[1]);
    let (first, others) = positions.split_at(second as usize);
    let (last, before) = first.split_last().unwrap();
    before.iter().for_each(|position| queue.done(*position));
    let cursor = || files(directory.path(), "cursor");
    until(|| cursor().len() == 1).await;
    assert_eq!(files(directory.path(), ".segment"), segments);
    queue.done(*last);
    until(|| files(directory.path(), ".segment") == segments[1..]).await;
    // What is being written goes on being written.
    fill(&queue, 0..1).await;
    assert_eq!(files(directory.path(), ".segment"), segments[1..]);
    assert_eq!(queue.len() as usize, others.len() + 1);
    until(|| spool.bytes() == length_of_segments(directory.path())).await;
}

/// With a footer a segment isn't searched at the next start.
#[tokio::test]
async fn a_spool_that_is_closed_leaves_all_in_good_order() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    while files(directory.path(), ".segment").len() < 2 {
        fill(&queue, 0..20).await;
    }
    let crashed = crash(directory.path());
    let bytes = spool.bytes();
    assert_eq!(bytes, length_of_segments(directory.path()));
    spool.close();
    assert_eq!(length_of_segments(directory.path()), bytes + segment::END);
    // The next start makes up for what a crash left out.
    let (spool, _) = open(crashed.path());
    assert_eq!(length_of_segments(crashed.path()), bytes + segment::END);
    assert_eq!(spool.bytes(), bytes + segment::END);
}

#[tokio::test]
async fn the_oldest_is_what_waits_longest() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    let mut positions: Vec<Position> = Vec::new();
    // Each at a time of its own, and the last two in another segment.
    for payload in [50, 50, 20_000, 50, 50] {
        let last = positions.last().map(|last| last.stored());
        until(|| last.is_none_or(|last| SystemTime::now() > last + Duration::from_millis(2))).await;
        positions.push(queue.append(&sized(0, payload)).await.unwrap());
    }
    let [a, b, c, d, e] = positions[..] else { panic!("five") };
    let second = files(directory.path(), ".segment").len();
    assert_eq!(second, 2);
    let oldest = || queue.oldest().unwrap();
    let first = oldest();
    assert_eq!(first, a.stored());
    // Behind one that isn't done.
    queue.done(b);
    assert_eq!(oldest(), first);
    queue.done(d);
    assert_eq!(oldest(), first);
    // In its place, and a little earlier than what is left.
    queue.done(a);
    assert!((a.stored()..=c.stored()).contains(&oldest()));
    // The last of its segment.
    queue.done(c);
    assert!(oldest() > c.stored() && oldest() <= e.stored(), "{:?}", oldest());
    let before = oldest();
    drop((queue, spool));
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    assert_eq!(queue.oldest(), Some(before));
    queue.done(e);
    assert_eq!(queue.oldest(), None);
    let f = queue.append(&record(0)).await.unwrap();
    assert_eq!(queue.oldest(), Some(f.stored()));
    let g = queue.append(&record(0)).await.unwrap();
    queue.done(f);
    assert!((f.stored()..=g.stored()).contains(&queue.oldest().unwrap()));
}

/// All of it, and nothing else, where somebody can look at it.
#[tokio::test]
async fn what_is_set_aside_is_kept_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    queue.append(&record(0)).await.unwrap();
    let start = length_of_segments(directory.path()) as usize;
    queue.append(&sized(1, 270_000)).await.unwrap();
    let end = length_of_segments(directory.path()) as usize;
    // In the same segment, as long as nothing has been written since.
    let segment = files(directory.path(), ".segment").remove(0);
    let crashed = crash(directory.path());
    let segment = crashed.path().join(segment.strip_prefix(directory.path()).unwrap());
    let mut bytes = fs::read(&segment).unwrap();
    bytes[start + 265_000] ^= 1;
    // Bytes after it, that are a whole record.
    let first = bytes[segment::START as usize..start].to_vec();
    bytes.extend(&first);
    fs::write(&segment, &bytes).unwrap();

    let (spool, damage) = open(crashed.path());
    let kept = files(crashed.path(), ".corrupt").remove(0);
    assert_eq!(damage.len(), 1);
    assert_eq!(damage[0].copy.as_ref(), Some(&kept));
    assert_eq!(damage[0].bytes as usize, end - start);
    assert!(fs::read(kept).unwrap() == bytes[start..end]);
    assert_eq!(ids(&spool.queue(NAME)).await, [0]);
}

#[tokio::test]
async fn a_queue_that_nobody_has_and_nobody_used_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let names =
        || spool.queues().iter().map(|queue| queue.destination().to_string()).collect::<Vec<_>>();
    let held = spool.queue("kafka:held");
    drop(spool.queue("kafka:nobody"));
    let used = spool.queue("kafka:used");
    let position = fill(&used, 0..1).await[0];
    used.done(position);
    until(|| spool.bytes() == 0).await;
    assert!(used.is_used() && !held.is_used());
    drop(used);
    assert_eq!(names(), ["kafka:held", "kafka:used"]);
    drop(held);
    assert_eq!(names(), ["kafka:used"]);
}

#[test]
fn directories_can_be_read_and_are_told_apart() {
    let name = directory_name("nats:vapi.events.{type}");
    assert!(name.starts_with("nats_vapi.events._type_-"), "{name}");
    assert_eq!(name.len(), "nats_vapi.events._type_-".len() + 16);
    assert_ne!(directory_name("nats:a_b"), directory_name("nats:a:b"));
    let long = "x".repeat(200);
    assert!(directory_name(&long).starts_with(&"x".repeat(60)));
    assert_eq!(directory_name(&long).len(), 60 + 1 + 16);
}

#[tokio::test]
async fn no_more_is_read_than_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    let queue = spool.queue(NAME);
    fill(&queue, 0..10).await;
    let mut reader = queue.reader();
    assert_eq!(reader.read(2, usize::MAX).await.unwrap().len(), 2);
    let size = ((queue.bytes() - segment::START) / 10 - segment::size(0)) as usize;
    assert_eq!(reader.read(100, size + 1).await.unwrap().len(), 2);
    assert_eq!(reader.read(100, size).await.unwrap().len(), 1);
    assert_eq!(reader.read(100, usize::MAX).await.unwrap().len(), 5);
}

/// What was not kept there by us is left alone.
#[tokio::test]
async fn a_file_among_the_queues_is_nobodys() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let file = directory.path().join("queues/note");
    fs::write(&file, "do not touch").unwrap();
    let (spool, damage) = open(directory.path());
    assert!(damage.is_empty() && spool.queues().is_empty(), "{damage:?}");
    assert_eq!(fs::read(file).unwrap(), b"do not touch");
}

/// A second file of that name would be removed with the one that holds nothing.
#[tokio::test]
async fn an_empty_segment_that_stays_keeps_its_name() {
    for is_removed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (spool, _) = open(directory.path());
        spool.queue(NAME).append(&record(0)).await.unwrap();
        let crashed = crash(directory.path());
        let segment = files(crashed.path(), ".segment").remove(0);
        let torn = segment::START + 41;
        File::options().write(true).open(&segment).unwrap().set_len(torn).unwrap();
        // What is left of the record can't be copied there.
        let copy = segment.with_extension(format!("{}.corrupt", segment::START));
        std::os::unix::fs::symlink("/nowhere/at/all", copy).unwrap();
        let (spool, damage) = open(crashed.path());
        assert_eq!(damage.iter().map(|damage| &damage.copy).collect::<Vec<_>>(), [&None]);
        assert!(segment.exists());
        if is_removed {
            fs::remove_file(&segment).unwrap();
        }
        let queue = spool.queue(NAME);
        fill(&queue, 1..3).await;
        assert_eq!(ids(&queue).await, [1, 2]);
        drop((queue, spool));
        assert_eq!(ids(&open(crashed.path()).0.queue(NAME)).await, [1, 2], "{is_removed}");
    }
}
