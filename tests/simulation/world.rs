//! What all parts of a run share: chance, the clock, whether the process still lives, and what went wrong.

use std::fmt;
use std::hash::Hasher;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::random::Random;

/// One run.
pub(crate) struct World {
    inner: Mutex<Inner>,
}

struct Inner {
    random: Random,
    /// Which process it is.
    life: usize,
    /// When that began, on the clock of the run and on that of its runtime.
    began: (Duration, Option<Instant>),
    /// The time that was seen last.
    now: Duration,
    /// The process dies at this operation of the disk.
    fuse: Option<usize>,
    is_dead: bool,
    died: Arc<Notify>,
    failure: Option<String>,
    trace: Trace,
}

/// What is done with the notes of a run.
pub(crate) enum Trace {
    Forget,
    /// To compare two runs.
    Hash(std::hash::DefaultHasher),
    Print,
}

/// How the process is at an operation of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Alive,
    /// It dies here: this operation may be done in part.
    Dies,
    Dead,
}

impl World {
    pub(crate) fn new(seed: u64, trace: Trace) -> Arc<Self> {
        let inner = Inner {
            random: Random::new(seed),
            life: 0,
            began: (Duration::ZERO, None),
            now: Duration::ZERO,
            fuse: None,
            is_dead: true,
            died: Arc::default(),
            failure: None,
            trace,
        };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// A process begins, which dies at this operation of the disk.
    pub(crate) fn begin_life(&self, fuse: Option<usize>) {
        let mut inner = self.inner.lock();
        inner.life += 1;
        inner.began = (inner.now + Duration::from_secs(1), Some(Instant::now()));
        (inner.fuse, inner.is_dead) = (fuse, false);
        inner.died = Arc::default();
    }

    /// Which process it is.
    pub(crate) fn life(&self) -> usize {
        self.inner.lock().life
    }

    /// The time since the beginning of the run.
    pub(crate) fn now(&self) -> Duration {
        self.inner.lock().time()
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        self.inner.lock().random.below(end)
    }

    pub(crate) fn percent(&self, percent: usize) -> bool {
        self.inner.lock().random.percent(percent)
    }

    pub(crate) fn milliseconds(&self, range: Range<usize>) -> Duration {
        self.inner.lock().random.milliseconds(range)
    }

    /// One operation of the disk.
    pub(crate) fn step(&self) -> Step {
        let mut inner = self.inner.lock();
        if inner.is_dead {
            return Step::Dead;
        }
        let Some(left) = &mut inner.fuse else { return Step::Alive };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return Step::Alive;
        }
        inner.note(format_args!("the fuse is burnt"));
        inner.is_dead = true;
        inner.died.notify_one();
        Step::Dies
    }

    /// The process ends here, whatever it is doing.
    pub(crate) fn die(&self) {
        let mut inner = self.inner.lock();
        inner.is_dead = true;
        inner.died.notify_one();
    }

    /// Nothing that a dead process does is seen by anybody.
    pub(crate) fn is_dead(&self) -> bool {
        self.inner.lock().is_dead
    }

    /// Wait for the end of the process.
    pub(crate) async fn died(&self) {
        let died = self.inner.lock().died.clone();
        died.notified().await;
    }

    /// A promise is broken: the run ends here.
    pub(crate) fn fail(&self, what: impl fmt::Display) {
        let mut inner = self.inner.lock();
        let (life, time) = (inner.life, inner.time());
        inner.note(format_args!("FAILED: {what}"));
        inner.failure.get_or_insert_with(|| format!("life {life}, {time:?}: {what}"));
        drop(inner);
        self.die();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.inner.lock().failure.is_some()
    }

    /// Something happened.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.inner.lock().note(what);
    }

    /// What went wrong, and the hash of all notes.
    pub(crate) fn end(&self) -> (Option<String>, u64) {
        let inner = self.inner.lock();
        let hash = match &inner.trace {
            Trace::Hash(hasher) => hasher.finish(),
            Trace::Forget | Trace::Print => 0,
        };
        (inner.failure.clone(), hash)
    }
}

impl Inner {
    fn time(&mut self) -> Duration {
        let (base, began) = self.began;
        // A runtime that is being dropped has no clock any more.
        if let (Some(began), Ok(_)) = (began, tokio::runtime::Handle::try_current()) {
            self.now = base + began.elapsed();
        }
        self.now
    }

    fn note(&mut self, what: fmt::Arguments<'_>) {
        if let Trace::Forget = self.trace {
            return;
        }
        let (life, time) = (self.life, self.time());
        let line = format!("{life} {:>9.3} {what}", time.as_secs_f64());
        match &mut self.trace {
            Trace::Forget => {}
            Trace::Hash(hasher) => hasher.write(line.as_bytes()),
            Trace::Print => println!("{line}"),
        }
    }
}
