#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use std::sync::atomic::AtomicUsize;

use tokio::time::sleep;

use super::*;

const WINDOW: Duration = Duration::from_secs(120);

/// A worker that takes its time, and whoever asks it.
#[derive(Default)]
struct Bench {
    answers: AnswerCache,
    executions: AtomicUsize,
}

impl Bench {
    fn within(entries: usize, bytes: usize) -> Self {
        Self { answers: AnswerCache::within(entries, bytes), ..Self::default() }
    }

    /// Ask within a second for what takes `takes` milliseconds.
    async fn ask(&self, call: &str, takes: u64, answered: Answered) -> CachedAnswer {
        self.ask_within(1_000, call, takes, answered).await
    }

    async fn ask_within(
        &self,
        limit: u64,
        call: &str,
        takes: u64,
        answered: Answered,
    ) -> CachedAnswer {
        let deadline = Instant::now() + Duration::from_millis(limit);
        let worker = async || {
            self.executions.fetch_add(1, Ordering::Relaxed);
            let work = sleep(Duration::from_millis(takes));
            match timeout_at(deadline, work).await {
                Ok(()) => answered,
                Err(_) => failed(Outcome::Timeout),
            }
        };
        let key = Key::new(&[call.as_bytes()]);
        self.answers.once(key, WINDOW, deadline, worker).await
    }

    fn executions(&self) -> usize {
        self.executions.load(Ordering::Relaxed)
    }

    /// Calls that are known, calls that are kept, and bytes.
    fn size(&self) -> (usize, usize, usize) {
        let state = self.answers.state.lock();
        (state.calls.len(), state.kept.len(), state.bytes)
    }
}

fn reply(text: &'static str) -> Answered {
    Ok(Bytes::from_static(text.as_bytes()).into())
}

fn failed(outcome: Outcome) -> Answered {
    Err((outcome, None))
}

fn reused(answered: Answered) -> CachedAnswer {
    CachedAnswer { answered, reused: true }
}

#[test]
fn parts_are_told_apart() {
    let keys = [
        Key::new(&[b"ab", b"c"]),
        Key::new(&[b"a", b"bc"]),
        Key::new(&[b"abc"]),
        Key::new(&[b"abc", b""]),
    ];
    for (place, key) in keys.iter().enumerate() {
        assert_eq!(keys.iter().position(|other| other == key), Some(place));
    }
    assert_eq!(keys[0], Key::new(&[b"ab", b"c"]));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_gets_the_stored_answer_until_the_window_ends() {
    let bench = Bench::default();
    assert_eq!(bench.ask("a", 100, reply("1")).await, CachedAnswer::asked(reply("1")));
    sleep(WINDOW - Duration::from_millis(1)).await;
    assert_eq!(bench.ask("a", 100, reply("2")).await, reused(reply("1")));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.ask("a", 100, reply("2")).await, CachedAnswer::asked(reply("2")));
    assert_eq!(bench.executions(), 2);
    assert_eq!(bench.size(), (1, 1, ENTRY_OVERHEAD + 1));
}

#[tokio::test(start_paused = true)]
async fn another_call_is_another_call() {
    let bench = Bench::default();
    bench.ask("a", 0, reply("1")).await;
    assert_eq!(bench.ask("b", 0, reply("2")).await, CachedAnswer::asked(reply("2")));
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_worker_is_an_answer_too() {
    let bench = Bench::default();
    let error = || Err((Outcome::WorkerError, Some("no such city".to_owned())));
    assert_eq!(bench.ask("a", 0, error()).await, CachedAnswer::asked(error()));
    assert_eq!(bench.ask("a", 0, reply("2")).await, reused(error()));
}

#[tokio::test(start_paused = true)]
async fn no_other_end_is_kept() {
    let bench = Bench::default();
    for outcome in [
        Outcome::Timeout,
        Outcome::NoResponders,
        Outcome::BadReply,
        Outcome::TooLarge,
        Outcome::Disconnected,
        Outcome::Overloaded,
    ] {
        assert_eq!(bench.ask("a", 0, failed(outcome)).await, CachedAnswer::asked(failed(outcome)));
        assert_eq!(bench.size(), (0, 0, 0));
    }
    assert_eq!(bench.executions(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_running_call_is_joined() {
    let bench = Bench::default();
    let began = Instant::now();
    let (first, second, third) = tokio::join!(
        bench.ask("a", 500, reply("1")),
        bench.ask("a", 500, reply("2")),
        bench.ask("a", 500, reply("3")),
    );
    assert_eq!(first, CachedAnswer::asked(reply("1")));
    assert_eq!(second, reused(reply("1")));
    assert_eq!(third, reused(reply("1")));
    assert_eq!(began.elapsed(), Duration::from_millis(500));
    assert_eq!(bench.size(), (1, 1, ENTRY_OVERHEAD + 1));
}

#[tokio::test(start_paused = true)]
async fn who_joins_waits_until_its_own_deadline() {
    let bench = Bench::default();
    let began = Instant::now();
    let (first, ()) = tokio::join!(bench.ask("a", 900, reply("1")), async {
        let second = bench.ask_within(200, "a", 0, reply("2")).await;
        assert_eq!(second, CachedAnswer::asked(failed(Outcome::Timeout)));
        assert_eq!(began.elapsed(), Duration::from_millis(200));
        // A later caller still finds the running call.
        assert_eq!(bench.ask("a", 0, reply("3")).await, reused(reply("1")));
    });
    assert_eq!(first, CachedAnswer::asked(reply("1")));
    assert_eq!(bench.executions(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_running_one_fails_the_next_takes_over_and_the_others_wait_on() {
    let bench = Bench::default();
    let (first, second, third) = tokio::join!(
        bench.ask("a", 100, failed(Outcome::NoResponders)),
        bench.ask("a", 100, reply("2")),
        bench.ask("a", 100, reply("3")),
    );
    assert_eq!(first, CachedAnswer::asked(failed(Outcome::NoResponders)));
    assert_eq!(second, CachedAnswer::asked(reply("2")));
    assert_eq!(third, reused(reply("2")));
    assert_eq!(bench.executions(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_keeps_its_own_deadline() {
    let bench = Bench::default();
    let began = Instant::now();
    let (first, second) = tokio::join!(
        bench.ask_within(300, "a", 5_000, reply("1")),
        bench.ask_within(700, "a", 5_000, reply("2")),
    );
    assert_eq!(first, CachedAnswer::asked(failed(Outcome::Timeout)));
    assert_eq!(second, CachedAnswer::asked(failed(Outcome::Timeout)));
    assert_eq!(began.elapsed(), Duration::from_millis(700));
    assert_eq!(bench.size(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_caller_minds_the_time_itself() {
    let answers = AnswerCache::default();
    let limit = Duration::from_millis(100);
    let late = async || {
        sleep(limit * 2).await;
        reply("1")
    };
    let got = answers.once(Key::new(&[b"a"]), WINDOW, Instant::now() + limit, late).await;
    assert_eq!(got, CachedAnswer::asked(reply("1")));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_panics_leaves_nobody_waiting() {
    let bench = Arc::new(Bench::default());
    let other = bench.clone();
    let first = tokio::spawn(async move { other.ask("a", 900, reply("1")).await });
    let (second, ()) = tokio::join!(
        async {
            sleep(Duration::from_millis(10)).await;
            bench.ask("a", 100, reply("2")).await
        },
        async {
            sleep(Duration::from_millis(50)).await;
            first.abort();
        }
    );
    assert_eq!(second, CachedAnswer::asked(reply("2")));

    let other = bench.clone();
    let first = tokio::spawn(async move {
        let panics = async || {
            sleep(Duration::from_millis(50)).await;
            panic!("the test wants it so")
        };
        let deadline = Instant::now() + WINDOW;
        let key = Key::new(&[b"b"]);
        other.answers.once(key, WINDOW, deadline, panics).await
    });
    sleep(Duration::from_millis(10)).await;
    assert_eq!(bench.ask("b", 0, reply("2")).await, CachedAnswer::asked(reply("2")));
    assert!(first.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn entries_are_bounded() {
    let bench = Bench::within(2, 1 << 20);
    for call in ["a", "b", "c"] {
        bench.ask(call, 1, reply("1")).await;
    }
    assert_eq!(bench.size(), (2, 2, 2 * (ENTRY_OVERHEAD + 1)));
    assert!(bench.ask("b", 0, reply("2")).await.reused);
    assert!(bench.ask("c", 0, reply("2")).await.reused);
    assert!(!bench.ask("a", 0, reply("2")).await.reused);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded() {
    let bench = Bench::within(100, 2 * (ENTRY_OVERHEAD + 1_000));
    let text = || Ok(Bytes::from(vec![b'a'; 1_000]).into());
    for call in ["a", "b", "c"] {
        bench.ask(call, 1, text()).await;
    }
    assert_eq!(bench.size(), (2, 2, 2 * (ENTRY_OVERHEAD + 1_000)));
    assert!(!bench.ask("a", 0, text()).await.reused);
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_is_given_to_who_waits_and_not_kept() {
    let bench = Bench::default();
    let large = || Ok(Bytes::from(vec![b'a'; MAX_ANSWER_BYTES + 1]).into());
    let (first, second) = tokio::join!(bench.ask("a", 10, large()), bench.ask("a", 10, large()));
    assert_eq!((first, second), (CachedAnswer::asked(large()), reused(large())));
    assert_eq!(bench.size(), (0, 0, 0));
    assert!(!bench.ask("a", 10, large()).await.reused);
}

/// What is kept must not hold on to the buffer that it was read into; what isn't kept needs no copy.
#[tokio::test(start_paused = true)]
async fn only_what_is_kept_is_copied() {
    let bench = Bench::default();
    for (call, size, is_copied) in
        [("a", MAX_ANSWER_BYTES, true), ("b", MAX_ANSWER_BYTES + 1, false)]
    {
        let read = Bytes::from(vec![b'a'; size]);
        let got = bench.ask(call, 0, Ok(read.clone().into())).await.answered.unwrap();
        assert_eq!(got.body.len(), size);
        assert_eq!(got.body.as_ptr() != read.as_ptr(), is_copied, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_cleared_by_the_calls_that_follow() {
    let bench = Bench::default();
    let names: Vec<_> = (0..100).map(|number| format!("call {number}")).collect();
    for name in &names {
        bench.ask(name, 0, reply("1")).await;
    }
    assert_eq!(bench.size().0, 100);
    sleep(WINDOW).await;
    for _ in 0..13 {
        bench.ask("another", 0, reply("1")).await;
    }
    assert_eq!(bench.size(), (1, 1, ENTRY_OVERHEAD + 1));
}

#[tokio::test(start_paused = true)]
async fn a_short_window_ends_before_a_long_one() {
    let answers = AnswerCache::default();
    let (long, short) = (Key::new(&[b"long"]), Key::new(&[b"short"]));
    let deadline = Instant::now() + WINDOW;
    let second = Duration::from_secs(1);
    let ask = async |key, window| answers.once(key, window, deadline, async || reply("1")).await;
    ask(long, WINDOW).await;
    ask(short, second).await;
    sleep(second).await;
    assert!(ask(long, WINDOW).await.reused);
    assert_eq!(answers.state.lock().calls.len(), 1);
    assert!(!ask(short, second).await.reused);
}
