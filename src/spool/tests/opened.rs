//! What an earlier process left, and what is made of it.

use super::*;

/// Too many files are open.
const EMFILE: i32 = 24;
/// The device failed.
const EIO: i32 = 5;

/// Leaves three records, the first of which is done.
async fn left(directory: &Path) {
    let spool = open(directory).0;
    let queue = spool.queue(NAME);
    let positions = fill(&queue, 0..3).await;
    queue.done(positions[0]);
}

#[tokio::test]
async fn what_only_cant_be_read_now_stops_the_start() {
    for name in [".segment", "cursor", "destination", "format"] {
        let directory = tempfile::tempdir().unwrap();
        left(directory.path()).await;
        let faults = Faults::default();
        *faults.0.opens_fail.lock() = Some((name, EMFILE));
        let error = Spool::open_with(directory.path(), shared_on(&faults, 100 * MIB)).err();
        let is_it = |path: &Path| path.to_string_lossy().ends_with(name);
        let is_said = matches!(&error, Some(Error::Unreadable { path, .. }) if is_it(path));
        assert!(is_said, "{name}: {error:?}");
        *faults.0.opens_fail.lock() = None;
        let volume = shared_on(&faults, 100 * MIB);
        let (spool, damage) = Spool::open_with(directory.path(), volume).unwrap();
        assert!(damage.is_empty(), "{damage:?}");
        assert_eq!(ids(&spool.queue(NAME)).await, [1, 2], "{name}");
    }
}

#[tokio::test]
async fn what_the_device_cant_read_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    left(directory.path()).await;
    let faults = Faults::default();
    *faults.0.opens_fail.lock() = Some((".segment", EIO));
    let (spool, damage) =
        Spool::open_with(directory.path(), shared_on(&faults, 100 * MIB)).unwrap();
    let copy: Vec<_> = damage.iter().map(|damage| damage.copy.clone()).collect();
    assert_eq!(copy, [Some(damage[0].file.with_extension("corrupt"))]);
    assert_eq!(spool.damaged(), 1);
    *faults.0.opens_fail.lock() = None;
    let queue = spool.queue(NAME);
    fill(&queue, 3..5).await;
    assert_eq!(ids(&queue).await, [3, 4]);
}

#[tokio::test]
async fn a_cursor_that_the_device_cant_read_costs_repetitions() {
    let directory = tempfile::tempdir().unwrap();
    left(directory.path()).await;
    let faults = Faults::default();
    *faults.0.opens_fail.lock() = Some(("cursor", EIO));
    let volume = shared_on(&faults, 100 * MIB);
    let (spool, damage) = Spool::open_with(directory.path(), volume).unwrap();
    // That of the dead letters is another one.
    assert!(damage.iter().any(|damage| damage.file.starts_with(directory.path().join("queues"))));
    assert_eq!(ids(&spool.queue(NAME)).await, [0, 1, 2]);
}

#[tokio::test]
async fn what_only_cant_be_read_now_is_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, faults) = faulty(directory.path());
    let queue = spool.queue(NAME);
    fill(&queue, 0..3).await;
    *faults.0.opens_fail.lock() = Some((".segment", EMFILE));
    assert!(queue.reader().read(10, usize::MAX).await.is_err());
    *faults.0.opens_fail.lock() = None;
    assert_eq!(ids(&queue).await, [0, 1, 2]);
    assert_eq!((queue.len(), spool.damaged(), spool.lost()), (3, 0, None));
}

/// A record whose sync failed is cut off; if that isn't safe either, the next process doesn't see it and gives its number
/// to another one, and then the power fails, it is there again.
#[tokio::test]
async fn what_was_cut_off_comes_back_without_a_number() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path());
    fill(&spool.queue(NAME), 0..3).await;
    // The writer is not asked to end: there is no footer.
    let with_all = crash(directory.path());
    let segment = files(with_all.path(), ".segment").remove(0);
    let bytes = fs::read(&segment).unwrap();
    let record = (bytes.len() as u64 - segment::START) / 3;
    File::options()
        .write(true)
        .open(&segment)
        .unwrap()
        .set_len(bytes.len() as u64 - record)
        .unwrap();
    let (next, _) = open(with_all.path());
    let later = fill(&next.queue(NAME), 10..13).await;
    assert_eq!(later[0].sequence(), 2);
    let power = crash(with_all.path());
    let segments = files(power.path(), ".segment");
    assert_eq!(segments.len(), 2);
    fs::write(&segments[0], bytes).unwrap();

    let (spool, damage) = open(power.path());
    assert!(damage.is_empty(), "{damage:?}");
    let queue = spool.queue(NAME);
    let there = all(&queue).await;
    let ids: Vec<_> = there.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids, [0, 1, 10, 11, 12]);
    for (position, _) in there {
        queue.done(position);
    }
    assert!(queue.is_empty());
}
