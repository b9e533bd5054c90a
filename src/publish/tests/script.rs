//! A destination that does as it is told, and a real spool, in paused time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc;
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{advance, timeout_at};

use super::disk::SameThread;
use super::*;
use crate::config;
use crate::config::units::Time;
use crate::publish::disk_queue::FEW_TIMEOUT;
use crate::sink::{self, Acknowledged, MAX_RUN, Pipeline, Pipelining, Sending};
use crate::spool::{Appending, Queue, Record, Spool};
use crate::trace::Trace;

/// What becomes of what a sink is handed.
#[derive(Clone)]
pub(super) enum Mode {
    Takes,
    Hangs,
    Fails(sink::Error),
}

#[derive(Clone)]
struct Rules {
    all: Mode,
    by_name: BTreeMap<String, Mode>,
    by_id: BTreeMap<String, Mode>,
    /// What the broker says when it is asked about a name that fails.
    examined: Option<sink::Error>,
}

/// What was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct DrainGuard {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) id: String,
}

/// Acknowledges, hangs or fails, as its rules say at any time.
pub(super) struct Script {
    rules: watch::Sender<Rules>,
    taken: Mutex<Vec<DrainGuard>>,
    /// How many of each name and key are under way.
    under_way: Mutex<BTreeMap<(String, String), usize>>,
    most_under_way: AtomicUsize,
    attempts: AtomicUsize,
    /// It takes runs of events.
    is_pipelined: AtomicBool,
    /// How long each was.
    runs: Mutex<Vec<usize>>,
}

impl Script {
    fn new() -> Arc<Self> {
        let rules = Rules {
            all: Mode::Takes,
            by_name: BTreeMap::new(),
            by_id: BTreeMap::new(),
            examined: None,
        };
        Arc::new(Self {
            rules: watch::Sender::new(rules),
            taken: Mutex::default(),
            under_way: Mutex::default(),
            most_under_way: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
            is_pipelined: AtomicBool::new(false),
            runs: Mutex::default(),
        })
    }

    /// From now on it takes runs of events.
    pub(super) fn takes_runs(&self) {
        self.is_pipelined.store(true, Ordering::Relaxed);
    }

    /// How long those were that it got since this was asked last.
    pub(super) fn runs(&self) -> Vec<usize> {
        std::mem::take(&mut *self.runs.lock())
    }

    async fn attempt(
        &self,
        name: &str,
        event: &Event,
        deadline: Instant,
    ) -> Result<(), sink::Error> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let mut rules = self.rules.subscribe();
        loop {
            let mode = {
                let rules = rules.borrow_and_update();
                let of_name = rules.by_name.get(name).unwrap_or(&rules.all);
                rules.by_id.get(&*event.id).unwrap_or(of_name).clone()
            };
            match mode {
                Mode::Takes => {
                    let (name, id) = (name.to_owned(), event.id.to_string());
                    let key = event.key.as_deref().unwrap_or_default().to_owned();
                    self.taken.lock().push(DrainGuard { name, key, id });
                    return Ok(());
                }
                Mode::Fails(error) => return Err(error),
                Mode::Hangs => {
                    if timeout_at(deadline, rules.changed()).await.is_err() {
                        return Err(sink::Error::timeout());
                    }
                }
            }
        }
    }

    /// From now on, and for what hangs now too.
    pub(super) fn all(&self, mode: Mode) {
        self.rules.send_modify(|rules| rules.all = mode);
    }

    pub(super) fn one(&self, id: &str, mode: Mode) {
        self.rules.send_modify(|rules| {
            rules.by_id.insert(id.to_owned(), mode);
        });
    }

    /// The same for a subject or topic.
    pub(super) fn name(&self, name: &str, mode: Mode) {
        self.rules.send_modify(|rules| {
            rules.by_name.insert(name.to_owned(), mode);
        });
    }

    /// From now on names have no rules of their own.
    pub(super) fn names_are_like_others(&self) {
        self.rules.send_modify(|rules| rules.by_name.clear());
    }

    /// What the broker says of a name that fails, when it is asked.
    pub(super) fn examined(&self, error: Option<sink::Error>) {
        self.rules.send_modify(|rules| rules.examined = error);
    }

    /// The ids of what was acknowledged.
    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lock().iter().map(|taken| taken.id.clone()).collect()
    }

    pub(super) fn taken_of(&self, key: &str) -> Vec<String> {
        self.taken_if(|taken| taken.key == key)
    }

    pub(super) fn taken_by(&self, name: &str) -> Vec<String> {
        self.taken_if(|taken| taken.name == name)
    }

    pub(super) fn taken_if(&self, is_meant: impl Fn(&DrainGuard) -> bool) -> Vec<String> {
        let taken = self.taken.lock();
        taken.iter().filter(|taken| is_meant(taken)).map(|taken| taken.id.clone()).collect()
    }

    /// What was acknowledged, for the script of the process that follows.
    pub(super) fn take_out(&self) -> Vec<DrainGuard> {
        std::mem::take(&mut *self.taken.lock())
    }

    pub(super) fn put_back(&self, taken: Vec<DrainGuard>) {
        *self.taken.lock() = taken;
    }

    /// The most that were under way at the same time, since this was asked last.
    pub(super) fn most_under_way(&self) -> usize {
        self.most_under_way.swap(0, Ordering::Relaxed)
    }

    pub(super) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.lock().values().sum()
    }
}

impl Sink for Script {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            let key = event.key.as_deref().unwrap_or_default();
            let _guard = UnderWay::new(self, name, key);
            // Others get to run between the first byte and the acknowledgement.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            self.attempt(name, event, deadline).await
        })
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(Duration::from_millis(250)))
    }

    fn examine<'a>(&'a self, _: &'a str, error: sink::Error, _: Instant) -> sink::Examining<'a> {
        let examined = self.rules.borrow().examined.clone();
        Box::pin(std::future::ready(examined.unwrap_or(error)))
    }

    fn give_up(&self) {
        self.names_are_like_others();
        self.all(Mode::Fails(sink::Error::transient(sink::DISCONNECTED, "given up")));
    }

    fn pipeline(&self) -> Option<&dyn Pipeline> {
        self.is_pipelined.load(Ordering::Relaxed).then_some(self)
    }
}

impl Pipeline for Script {
    fn max(&self, _: &str) -> usize {
        MAX_RUN.0
    }

    fn send<'a>(
        &'a self,
        name: &'a str,
        events: &'a [&'a Event],
        deadline: Instant,
        acknowledged: Acknowledged<'a>,
    ) -> Pipelining<'a> {
        Box::pin(async move {
            self.runs.lock().push(events.len());
            let key = events[0].key.as_deref().unwrap_or_default();
            let _guard = UnderWay::new(self, name, key);
            for (stored, event) in events.iter().enumerate() {
                tokio::task::yield_now().await;
                if self.attempt(name, event, deadline).await.is_err() {
                    return stored;
                }
                acknowledged();
            }
            events.len()
        })
    }
}

struct UnderWay<'a>(&'a Script, (String, String));

impl<'a> UnderWay<'a> {
    fn new(script: &'a Script, name: &str, key: &str) -> Self {
        let mut under_way = script.under_way.lock();
        let of = (name.to_owned(), key.to_owned());
        let count = under_way.entry(of.clone()).or_default();
        *count += 1;
        assert!(*count == 1 || key.is_empty(), "two of {of:?} are under way");
        script.most_under_way.fetch_max(under_way.values().sum(), Ordering::Relaxed);
        Self(script, of)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.under_way.lock().entry(self.1.clone()).or_default() -= 1;
    }
}

/// A process with two brokers and a disk. Time stands still unless a test moves it, however long the disk takes.
pub(super) struct Paths {
    pub(super) nats: Arc<Script>,
    pub(super) kafka: Arc<Script>,
    pub(super) all: Arc<Destinations>,
    max: usize,
    pub(super) health: Arc<Health>,
    pub(super) spool: Arc<SpoolHandle>,
    background: JoinSet<()>,
    /// Paused time goes on by itself when nobody has anything to do, except for work like this.
    _still: mpsc::Sender<()>,
}

impl Paths {
    pub(super) async fn new(directory: &Path, max: usize) -> Self {
        Self::on(SameThread { writes_beside: false }, directory, max, Time::seconds(3)).await
    }

    /// With a writer that can be stalled, and a limit for it.
    pub(super) async fn with_writer(directory: &Path, max: usize, sync_timeout: Time) -> Self {
        Self::on(SameThread { writes_beside: true }, directory, max, sync_timeout).await
    }

    async fn on(disk: SameThread, directory: &Path, max: usize, sync_timeout: Time) -> Self {
        let (still, wait) = mpsc::channel();
        tokio::task::spawn_blocking(move || wait.recv());
        let settings =
            config::Spool { dir: directory.to_owned(), sync_timeout, ..config::Spool::default() };
        let disk = Arc::new(disk);
        let mut opened = Spool::open_on(disk.clone(), &settings);
        // What an earlier one was doing may just be ending.
        until("the directory", || {
            if opened.is_err() {
                opened = Spool::open_on(disk.clone(), &settings);
            }
            opened.is_ok()
        })
        .await;
        let (spool, damage) = opened.unwrap();
        assert!(damage.is_empty());
        let (nats, kafka) = (Script::new(), Script::new());
        let sinks = Sinks {
            jetstream: Some(SinkWithTimeout { sink: nats.clone(), ack_timeout: BUDGET }),
            kafka: Some(SinkWithTimeout { sink: kafka.clone(), ack_timeout: BUDGET }),
            ..Sinks::default()
        };
        let (metrics, health) = (Arc::<Metrics>::default(), Arc::<Health>::default());
        let spool = Arc::new(SpoolHandle::new(spool, metrics.clone(), health.clone()));
        let all = Destinations::new(sinks, Some(spool.clone()), metrics, health.clone());
        configured(&all, "nats:events", max);
        let all = Arc::new(all);
        let background = JoinSet::new();
        Self { nats, kafka, all, max, health, spool, background, _still: still }
    }

    pub(super) fn drain(&mut self) {
        self.all.drain(&mut self.background);
    }

    /// Begins to store an event; it goes on by itself.
    pub(super) fn begin(
        &self,
        to: &[&str],
        key: &str,
        id: &str,
    ) -> JoinHandle<Result<Receipt, Refusal>> {
        self.begin_as("name", to, key, id)
    }

    /// The same under this subject or topic.
    pub(super) fn begin_as(
        &self,
        name: &str,
        to: &[&str],
        key: &str,
        id: &str,
    ) -> JoinHandle<Result<Receipt, Refusal>> {
        self.begin_event(name, to, event("t", key, id))
    }

    /// The same with this event.
    pub(super) fn begin_event(
        &self,
        name: &str,
        to: &[&str],
        event: Event,
    ) -> JoinHandle<Result<Receipt, Refusal>> {
        let to = to.iter().map(|to| (configured(&self.all, to, self.max), name.to_owned()));
        let begun = begin(to, event);
        tokio::spawn(async move { begun?.finish().await })
    }

    /// The same for a sender that waits no longer than this.
    pub(super) fn begin_within(
        &self,
        within: Duration,
        key: &str,
        id: &str,
    ) -> JoinHandle<Result<Receipt, Refusal>> {
        let to = configured(&self.all, "nats:events", self.max);
        let begun = begin([(to, "name".to_owned())], event("t", key, id));
        tokio::spawn(async move { begun?.finish_within(Some(within)).await })
    }

    /// Stores an event, without any time passing.
    pub(super) async fn store(&self, key: &str, id: &str) -> Result<Receipt, Refusal> {
        let began = Instant::now();
        let storing = self.begin(&["nats:events"], key, id);
        until(id, || storing.is_finished()).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        storing.await.unwrap()
    }

    /// Stores an event that waits in vain for the few that are queued before it.
    pub(super) async fn store_behind(&self, key: &str, id: &str) -> Result<Receipt, Refusal> {
        let storing = self.begin(&["nats:events"], key, id);
        rest().await;
        assert!(!storing.is_finished(), "{id} waits for those before");
        pass(FEW_TIMEOUT).await;
        until(id, || storing.is_finished()).await;
        storing.await.unwrap()
    }

    /// A record for this queue at which the thread that writes is held, if there is one: it is on disk then, and so is
    /// what came with it.
    pub(super) fn stall(&self, queue: &str) -> Stalled {
        let record = Record { name: "stalls".into(), event: event("stalls", "", "0") };
        let (release, wait) = mpsc::channel::<()>();
        let is_paused = Arc::new(AtomicBool::new(false));
        let holds = is_paused.clone();
        let pause = Box::new(move || {
            holds.store(true, Ordering::Relaxed);
            // Its end is the sender's.
            let _ = wait.recv();
        });
        let queue = self.spool.queue(queue);
        let appending = queue.begin_with(&record, pause).unwrap();
        Stalled { queue, appending, is_paused, release }
    }

    /// How many records are on their way to the queue of `nats:events`.
    pub(super) fn on_its_way(&self) -> usize {
        let destination = configured(&self.all, "nats:events", self.max);
        destination.disk.as_ref().map_or(0, |disk| disk.disk_queue.appending())
    }

    /// How many records are queued.
    pub(super) fn queued(&self) -> u64 {
        self.spool.queued().iter().map(DestinationQueue::records).sum()
    }

    /// How many of them wait apart.
    pub(super) fn apart(&self) -> u64 {
        self.spool.queued().iter().map(DestinationQueue::apart).sum()
    }

    /// Waits until nothing is queued, while time passes.
    pub(super) async fn drained(&self) {
        in_time("an empty queue", || self.queued() == 0).await;
    }
}

/// The thread that writes, held at a record.
pub(super) struct Stalled {
    queue: Queue,
    appending: Appending,
    is_paused: Arc<AtomicBool>,
    release: mpsc::Sender<()>,
}

impl Stalled {
    pub(super) async fn is_paused(&self) {
        until("a stalled disk", || self.is_paused.load(Ordering::Relaxed)).await;
    }

    /// Lets it go on, and takes the record away.
    pub(super) async fn end(self) {
        drop(self.release);
        self.queue.done(self.appending.resolved().await.unwrap());
    }
}

/// An event; without a key where that is empty.
pub(super) fn event(kind: &str, key: &str, id: &str) -> Event {
    let key = Some(key).filter(|key| !key.is_empty());
    Event {
        id: id.into(),
        endpoint: "e".into(),
        kind: kind.into(),
        key: key.map(Into::into),
        subject: None,
        time: SystemTime::now(),
        content_type: "application/json".into(),
        payload: Bytes::from_static(b"{}"),
        trace: Trace::default(),
        dedupe: true,
    }
}

/// Waits for other threads, such as the one that writes; for at most ten seconds of real time.
pub(super) async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(10), "waited for {what}");
        rest().await;
        std::thread::yield_now();
    }
}

/// Waits while time passes, for a hundred seconds at the most.
pub(super) async fn in_time(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed().as_secs() < 100, "waited for {what}");
        pass(Duration::from_millis(100)).await;
    }
}

/// Lets time pass, and whatever comes of it happen.
pub(super) async fn pass(time: Duration) {
    advance(time).await;
    for _ in 0..20 {
        rest().await;
    }
}

async fn rest() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn retry() -> Mode {
    Mode::Fails(sink::Error::unavailable("store-failed", "full"))
}

/// A name that takes nothing, as the broker says.
pub(super) fn no_topic() -> Mode {
    Mode::Fails(sink::Error::unavailable("unknown-topic", "there is none").of_name())
}

/// A name that takes nothing, perhaps for a moment.
pub(super) fn no_stream() -> Mode {
    Mode::Fails(sink::Error::transient("no-stream", "no stream takes it").of_name())
}

pub(super) fn reject() -> Mode {
    Mode::Fails(sink::Error::permanent("too-large", "it is too large"))
}
