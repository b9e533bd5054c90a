#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use tokio::time::advance;

use super::*;
use crate::config;
use crate::publish::read_ahead::tests::queued;
use crate::spool::Spool;

/// What waits apart for a destination, with the queue that it waits in.
struct Bench {
    apart: Arc<ApartQueue>,
    spool: Spool,
    queue: Queue,
    _folder: tempfile::TempDir,
}

fn record(name: &str, key: &str) -> Record {
    queued(0, name, key, 10).record
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = config::Spool { dir: folder.path().to_owned(), ..config::Spool::default() };
        let spool = Spool::open(&settings).unwrap().0;
        let queue = spool.queue("nats:e apart");
        let apart = Arc::new(ApartQueue::new("nats:e".into(), queue.clone(), Arc::default()));
        Self { apart, spool, queue, _folder: folder }
    }

    fn status(&self, name: &str, key: &str) -> NameStatus {
        let key: Option<Arc<str>> = Some(key).filter(|key| !key.is_empty()).map(Into::into);
        self.apart.status(name, key.as_ref())
    }

    async fn keep(&self, name: &str, key: &str) {
        self.apart.begin(&record(name, key), None).unwrap().resolved().await.unwrap();
    }

    /// The oldest of them is published.
    async fn publish(&self) {
        let read = self.queue.reader().read(1, usize::MAX).await.unwrap();
        for (position, record) in read {
            self.apart.done(position, &record);
        }
    }

    /// All names that are known one by one fail.
    fn fill_up(&self) {
        let now = Instant::now();
        for number in 0..MAX_NAMES {
            assert_eq!(self.apart.suspect(&number.to_string(), "no-stream", now), now);
        }
    }

    /// Nobody has to look, and nothing is left.
    fn rests(&self) -> bool {
        let state = self.apart.state.lock();
        let is_empty = state.names.is_empty() && state.table.is_empty() && state.others == 0;
        assert_eq!(state.appending, 0);
        is_empty && !self.apart.is_active.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_name_that_may_fail_queues_and_one_that_does_waits_apart() {
    let bench = Bench::new();
    assert!(bench.rests() && bench.status("a", "k") == NameStatus::Open);
    bench.apart.suspect("a", "no-stream", Instant::now());
    assert_eq!(
        (bench.status("a", "k"), bench.status("b", "k")),
        (NameStatus::Suspect, NameStatus::Open)
    );
    assert_eq!((bench.apart.failing(), bench.apart.is_blocked("a")), (1, false));
    bench.apart.record_success("a");
    assert!(bench.rests() && bench.apart.failing() == 0);

    bench.apart.suspect("a", "no-stream", Instant::now());
    assert!(bench.apart.block(&"a".into(), "no-stream"));
    for key in ["k", "l", ""] {
        assert_eq!(
            (bench.status("a", key), bench.status("b", key)),
            (NameStatus::Apart, NameStatus::Open)
        );
    }
    // Only what waits apart finds out that it works.
    bench.apart.record_success("a");
    assert!(bench.apart.is_blocked("a") && !bench.apart.is_blocked("b"));
    assert_eq!((bench.apart.clear("a"), bench.apart.clear("a")), (true, false));
    assert!(bench.rests());
}

#[tokio::test]
async fn what_is_of_an_older_ones_name_and_key_waits_behind_it() {
    let bench = Bench::new();
    for key in ["k", "l", "", "k"] {
        bench.keep("a", key).await;
    }
    assert_eq!((bench.apart.len(), bench.apart.oldest()), (4, bench.queue.oldest()));
    assert!(bench.apart.oldest().is_some());
    let paths = || ["k", "l", "m", ""].map(|key| bench.status("a", key) == NameStatus::Apart);
    for expected in
        [[true, true, false, false], [true, true, false, false], [true, false, false, false]]
    {
        assert_eq!(paths(), expected);
        assert_eq!(bench.status("b", "k"), NameStatus::Open);
        bench.publish().await;
    }
    assert_eq!(paths(), [true, false, false, false]);
    bench.publish().await;
    assert!(bench.rests() && bench.apart.is_empty() && paths() == [false; 4]);
}

/// Of those that are not known one by one it is only known that there are some.
#[tokio::test]
async fn more_names_than_are_known_are_counted_together() {
    let bench = Bench::new();
    bench.fill_up();
    let since = Instant::now();
    assert_eq!(bench.apart.suspect("x", "no-stream", since), since - UNCERTAIN_TIMEOUT);
    assert_eq!(
        bench.apart.suspect("7", "no-stream", since + LOG_INTERVAL),
        bench.apart.suspect("8", "no-stream", since + LOG_INTERVAL)
    );
    assert!(
        !bench.apart.block(&"x".into(), "no-stream") && bench.apart.block(&"7".into(), "no-stream")
    );
    assert_eq!(bench.apart.failing(), MAX_NAMES);
    bench.keep("x", "k").await;
    bench.keep("y", "k").await;
    assert_eq!(
        (bench.status("x", "k"), bench.status("x", "l")),
        (NameStatus::Apart, NameStatus::Open)
    );
    for others in [2, 1] {
        assert_eq!(bench.apart.state.lock().others, others);
        bench.publish().await;
    }
    assert_eq!(
        (bench.status("x", "k"), bench.status("y", "k")),
        (NameStatus::Open, NameStatus::Open)
    );
    // With nothing there nobody would find out that a name works again that is known to take nothing.
    assert_eq!(
        (bench.status("7", "k"), bench.status("8", "k")),
        (NameStatus::Open, NameStatus::Suspect)
    );
    (0..MAX_NAMES).for_each(|number| bench.apart.record_success(&number.to_string()));
    assert!(bench.rests());
}

#[tokio::test]
async fn what_is_not_kept_holds_up_nothing() {
    let bench = Bench::new();
    bench.keep("a", "k").await;
    bench.spool.close();
    assert!(bench.apart.begin(&record("a", "l"), None).is_err());
    assert_eq!(
        (bench.status("a", "k"), bench.status("a", "l")),
        (NameStatus::Apart, NameStatus::Open)
    );
    bench.publish().await;
    assert!(bench.rests());
}

#[tokio::test]
async fn what_an_earlier_process_left_is_counted_first() {
    let Bench { queue, spool, _folder, .. } = Bench::new();
    for key in ["k", "l"] {
        queue.append(&record("a", key)).await.unwrap();
    }
    let apart = Arc::new(ApartQueue::new("nats:e".into(), queue.clone(), Arc::default()));
    let bench = Bench { apart, spool, queue, _folder };
    assert_eq!(
        (bench.status("a", "k"), bench.status("b", "x")),
        (NameStatus::Suspect, NameStatus::Suspect)
    );
    assert!(bench.apart.begin_counting());
    let old = bench.queue.reader().read(10, usize::MAX).await.unwrap();
    bench.apart.count_old(old.iter().map(|(_, record)| record));
    assert_eq!(bench.status("b", "x"), NameStatus::Suspect);
    // Once more from the beginning.
    assert!(bench.apart.begin_counting());
    bench.apart.count_old(old.iter().map(|(_, record)| record));
    bench.apart.old_are_counted();
    assert!(!bench.apart.begin_counting());
    let paths = || ["k", "l", "m"].map(|key| bench.status("a", key));
    assert_eq!(paths(), [NameStatus::Apart, NameStatus::Apart, NameStatus::Open]);
    bench.publish().await;
    bench.publish().await;
    assert!(bench.rests() && paths() == [NameStatus::Open; 3]);
}

/// For the first of them, and not again before none fails, nor within a minute.
#[tokio::test(start_paused = true)]
async fn names_that_fail_are_news_once() {
    let bench = Bench::new();
    let record_failure = |name| bench.apart.suspect(name, "no-stream", Instant::now());
    record_failure("a");
    record_failure("b");
    assert_eq!((bench.apart.should_log(), bench.apart.should_log()), (true, false));
    bench.apart.record_success("a");
    advance(LOG_INTERVAL).await;
    assert!(!bench.apart.should_log());
    bench.apart.record_success("b");
    record_failure("c");
    assert!(bench.apart.should_log());
    bench.apart.record_success("c");
    record_failure("d");
    advance(LOG_INTERVAL - Duration::from_millis(1)).await;
    assert!(!bench.apart.should_log());
    advance(Duration::from_millis(1)).await;
    assert!(bench.apart.should_log());
}
