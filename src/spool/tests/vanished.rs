//! Somebody takes files away while they are in use.

use super::*;

fn open_here(directory: &Path) -> Spool {
    let volume = Volume::new(Arc::new(System), 100 * MIB, 16 << 10, Duration::from_secs(30));
    Spool::open_with(directory, volume).unwrap().0
}

/// The queue of the tests, and the dead letters.
fn directories(directory: &Path) -> Vec<PathBuf> {
    let queues = fs::read_dir(directory.join("queues")).unwrap();
    queues.map(|entry| entry.unwrap().path()).chain([directory.join("dead-letters")]).collect()
}

fn only_segment(directory: &Path) -> PathBuf {
    let segments = files(directory, ".segment");
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.into_iter().next().unwrap()
}

/// Something that somebody does to a segment, or to the directories around it.
type Mischief = fn(&Path, &Path);

/// Each, and what can be read afterwards of five records in that segment.
const MISCHIEF: [(&str, Mischief, &[usize]); 8] = [
    ("removed", |_, segment| fs::remove_file(segment).unwrap(), &[]),
    ("moved away", |_, segment| fs::rename(segment, segment.with_extension("old")).unwrap(), &[]),
    ("emptied", |_, segment| drop(File::create(segment).unwrap()), &[]),
    (
        "cut off",
        |_, segment| {
            let file = File::options().write(true).open(segment).unwrap();
            file.set_len(file.metadata().unwrap().len() - 10).unwrap();
        },
        &[0, 1, 2, 3],
    ),
    (
        "copied and put back",
        |_, segment| {
            let copy = segment.with_extension("copy");
            fs::copy(segment, &copy).unwrap();
            fs::rename(copy, segment).unwrap();
        },
        &[0, 1, 2, 3, 4],
    ),
    (
        "removed with its queue",
        |_, segment| fs::remove_dir_all(segment.parent().unwrap()).unwrap(),
        &[],
    ),
    ("removed with everything", |directory, _| fs::remove_dir_all(directory).unwrap(), &[]),
    (
        "moved away with everything",
        |directory, _| fs::rename(directory, directory.with_extension("old")).unwrap(),
        &[],
    ),
];

#[tokio::test]
async fn what_is_kept_afterwards_is_found_again() {
    for (what, mischief, left) in MISCHIEF {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("spool");
        let spool = open_here(&directory);
        let queue = spool.queue(NAME);
        fill(&queue, 0..5).await;
        mischief(&directory, &only_segment(&directory));
        fill(&queue, 5..8).await;
        let expected = [left, &[5, 6, 7][..]].concat();
        assert_eq!(ids(&queue).await, expected, "{what}");
        assert_eq!(queue.len() as usize, expected.len(), "{what}");
        let is_lost = left.len() < 5;
        assert_eq!(spool.lost().is_some(), is_lost, "{what}");
        assert_eq!(spool.damaged() > 0, is_lost, "{what}");
        // Nobody else gets in.
        until(|| spool.directory_lock.holds()).await;
        let again = Spool::open_with(&directory, volume(MIB));
        assert!(matches!(again, Err(Error::InUse(_))), "{what}");
        drop((queue, spool));

        let spool = open_here(&directory);
        let found = ids(&spool.queue(NAME)).await;
        assert!(found.ends_with(&expected), "{what}: {found:?}");
    }
}

#[tokio::test]
async fn what_vanished_is_counted_though_nobody_reads() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    let queue = spool.queue(NAME);
    let positions = fill(&queue, 0..20).await;
    queue.done(positions[3]);
    let segment = only_segment(directory.path());
    fs::rename(&segment, directory.path().join("away")).unwrap();
    until(|| spool.damaged() == 19).await;
    until(|| spool.bytes() == 0).await;
    assert!(queue.is_empty() && queue.oldest().is_none());
    let lost = spool.lost().unwrap();
    let expected =
        format!("19 events that were kept on disk are lost: {} is gone", segment.display());
    assert_eq!(lost, expected);
    fill(&queue, 20..22).await;
    assert_eq!(ids(&queue).await, [20, 21]);
    assert_eq!(spool.damaged(), 19, "once");

    // What comes back is left alone, and read at the next start.
    fs::rename(directory.path().join("away"), &segment).unwrap();
    let last = all(&queue).await;
    queue.done(last[0].0);
    until(|| files(directory.path(), "cursor").len() == 1).await;
    drop((queue, spool));
    let spool = open_here(directory.path());
    let found = ids(&spool.queue(NAME)).await;
    assert!(found.starts_with(&[0, 1, 2]) && found.ends_with(&[19, 21]), "{found:?}");
}

#[tokio::test]
async fn what_a_reader_has_keeps_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    let queue = spool.queue(NAME);
    fill(&queue, 0..20).await;
    let mut reader = queue.reader();
    let first = reader.read(7, usize::MAX).await.unwrap();
    assert_eq!(first.len(), 7);
    fs::remove_file(only_segment(directory.path())).unwrap();
    until(|| spool.damaged() == 20).await;
    until(|| queue.len() == 7).await;
    fill(&queue, 20..21).await;
    let next = reader.read(7, usize::MAX).await.unwrap();
    assert_eq!(next.iter().map(|(_, record)| &*record.event.id).collect::<Vec<_>>(), ["20"]);
    for (position, _) in first.iter().chain(&next) {
        assert!(!queue.is_empty());
        queue.done(*position);
    }
    assert!(queue.is_empty());
    until(|| spool.bytes() == 0).await;
}

#[tokio::test]
async fn dead_letters_vanish_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    let letters = spool.dead_letters();
    let letter = |id| DeadLetter {
        destination: NAME.into(),
        reason: "too-large".into(),
        detail: "large".into(),
        record: record(id),
    };
    for id in 0..3 {
        letters.append(&letter(id)).await.unwrap();
    }
    assert_eq!(letters.reader().read(10, usize::MAX).await.unwrap().len(), 3);
    fs::remove_file(only_segment(directory.path())).unwrap();
    until(|| letters.is_empty()).await;
    assert_eq!(spool.damaged(), 3);
    letters.append(&letter(3)).await.unwrap();
    assert_eq!(letters.reader().read(10, usize::MAX).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_files_beside_them_are_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    let queue = spool.queue(NAME);
    let positions = fill(&queue, 0..5).await;
    queue.done(positions[0]);
    let place = directories(directory.path()).remove(0);
    let (cursor, destination) = (place.join("cursor"), place.join("destination"));
    until(|| cursor.exists()).await;
    for file in [&cursor, &destination] {
        fs::remove_file(file).unwrap();
    }
    until(|| cursor.exists() && destination.exists()).await;
    let left = crash(directory.path());
    let (spool, damage) = open(left.path());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(&**spool.queues()[0].destination(), NAME);
    assert_eq!(ids(&spool.queue(NAME)).await, [1, 2, 3, 4]);
}

/// Only what was there once is written again.
#[tokio::test]
async fn a_queue_of_which_nothing_is_done_has_no_cursor() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    let queue = spool.queue(NAME);
    fill(&queue, 0..2).await;
    queue.log.check_files();
    queue.log.tidy();
    assert!(files(directory.path(), "cursor").is_empty());
}

/// What is published is not published again, but for what was done in the last moment before a crash.
#[tokio::test]
async fn what_is_done_is_soon_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    let queue = spool.queue(NAME);
    let positions = fill(&queue, 0..9).await;
    let cursor = directories(directory.path()).remove(0).join("cursor");
    for (done, position) in (1..).zip(&positions[..3]) {
        let (before, start) = (fs::read(&cursor).ok(), Instant::now());
        queue.done(*position);
        until(|| fs::read(&cursor).ok() != before).await;
        // It is written once a second.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let left = crash(directory.path());
        let (spool, damage) = open(left.path());
        assert!(damage.is_empty(), "{damage:?}");
        assert_eq!(ids(&spool.queue(NAME)).await, (done..9).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn two_processes_never_write_into_one_directory() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    let queue = spool.queue(NAME);
    let lock = directory.path().join("lock");
    // Somebody is faster than we are.
    let other = directory.path().join("other");
    let others = System.lock(&other).unwrap();
    fs::rename(&other, &lock).unwrap();
    let refused = async || queue.append(&record(0)).await.err();
    let start = Instant::now();
    while !matches!(refused().await, Some(Error::InUse(_))) {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(spool.probe().await, Err(Error::InUse(_))));
    drop(others);
    let start = Instant::now();
    while refused().await.is_some() {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(spool.probe().await.is_ok() && spool.directory_lock.holds());
    let again = Spool::open_with(directory.path(), volume(MIB));
    assert!(matches!(again, Err(Error::InUse(_))));
}

/// A busy spool gives room back many times a second; its files are looked at all the same.
#[tokio::test]
async fn giving_room_back_puts_off_no_look_at_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open_here(directory.path());
    fs::remove_file(directory.path().join("lock")).unwrap();
    until(|| {
        spool.volume.tidy_soon();
        spool.directory_lock.holds()
    })
    .await;
}
