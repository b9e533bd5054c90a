//! A broker that does to events whatever brokers do, and remembers what it stored.

mod mode;
mod under_way;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hookbus::message::Event;
use hookbus::sink::{
    Acknowledged, DISCONNECTED, Error, Examining, MAX_RUN, Pipeline, Pipelining, Sending, Sink,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

pub(crate) use self::mode::{Mode, NameFault};
use self::under_way::UnderWay;
use crate::history::{History, destination_of, number};
use crate::world::World;

/// A name that failed alone for so long may have been given up: its events wait apart from then on.
const UNSURE: Duration = Duration::from_millis(14_900);

/// What is stored of an event, in the order of storage.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) name: &'static str,
    pub(crate) number: usize,
    pub(crate) life: usize,
    pub(crate) time: Duration,
    /// Whether the bridge was told, and when.
    pub(crate) is_acknowledged: bool,
    pub(crate) told: Duration,
}

/// One broker, as its sink sees it; it lives longer than the process that sends.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Inner>);

struct Inner {
    world: Arc<World>,
    history: Arc<History>,
    state: Mutex<State>,
    given_up: Notify,
    /// It keeps the order of events that are sent together.
    is_pipelined: bool,
}

#[derive(Default)]
struct State {
    mode: Mode,
    /// Names that fail alone.
    faults: BTreeMap<&'static str, NameFault>,
    /// The next so many events are refused.
    batch: usize,
    takes_poison: bool,
    has_given_up: bool,
    stored: Vec<Copy>,
    under_way: BTreeMap<u64, (usize, &'static str)>,
    next: u64,
    /// Since when a name has failed without anything stored between.
    failing: BTreeMap<&'static str, Duration>,
}

/// What is to become of one attempt.
enum Plan {
    Refuse(Error, Duration),
    /// It arrives after this time, if ever: the deadline comes first.
    Late(Option<Duration>),
    Store {
        before: Duration,
        after: Option<Duration>,
    },
}

impl Broker {
    pub(crate) fn new(world: Arc<World>, history: Arc<History>, is_pipelined: bool) -> Self {
        let (state, given_up) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { world, history, state, given_up, is_pipelined }))
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.0.state.lock().mode = mode;
    }

    pub(crate) fn set_fault(&self, name: &'static str, fault: Option<NameFault>) {
        let faults = &mut self.0.state.lock().faults;
        match fault {
            Some(fault) => drop(faults.insert(name, fault)),
            None => drop(faults.remove(name)),
        }
    }

    pub(crate) fn refuse_next(&self, events: usize) {
        self.0.state.lock().batch = events;
    }

    /// Everything works from now on.
    pub(crate) fn heal(&self, takes_poison: bool) {
        let mut state = self.0.state.lock();
        (state.mode, state.batch) = (Mode::Fine, 0);
        state.faults.clear();
        state.takes_poison |= takes_poison;
    }

    /// Another process connects.
    pub(crate) fn connect(&self) {
        let mut state = self.0.state.lock();
        state.has_given_up = false;
        state.failing.clear();
        state.under_way.clear();
    }

    /// What it stored, in its order.
    pub(crate) fn with_stored<T>(&self, look: impl FnOnce(&[Copy]) -> T) -> T {
        look(&self.0.state.lock().stored)
    }
}

impl Inner {
    fn plan(&self, name: &'static str, number: usize) -> Plan {
        let world = &self.world;
        let mut state = self.state.lock();
        let quick = || world.milliseconds(1..12);
        if state.mode == Mode::Down {
            return Plan::Refuse(Error::transient(DISCONNECTED, "down"), world.milliseconds(0..3));
        }
        if state.mode == Mode::Frozen {
            let arrives = world.percent(50).then(|| world.milliseconds(1..3_000));
            return Plan::Late(arrives);
        }
        if state.mode == Mode::Full {
            return Plan::Refuse(Error::unavailable("full", "full"), quick());
        }
        if state.mode == Mode::Election {
            return Plan::Refuse(Error::transient("no-stream", "election").of_name(), quick());
        }
        if state.batch > 0 {
            state.batch -= 1;
            return Plan::Refuse(Error::unavailable("batch", "refused"), quick());
        }
        match state.faults.get(name) {
            Some(NameFault::Certain) => {
                return Plan::Refuse(Error::unavailable("no-topic", "none").of_name(), quick());
            }
            Some(NameFault::Unsure) => {
                return Plan::Refuse(Error::transient("no-stream", "none").of_name(), quick());
            }
            None => {}
        }
        let is_poison = self.history.with(|history| history.sent[number].is_poison);
        if is_poison && !state.takes_poison {
            return Plan::Refuse(Error::permanent("poison", "poison"), quick());
        }
        match state.mode {
            Mode::Slow => {
                let (before, after) = (world.milliseconds(5..1_500), world.milliseconds(5..1_500));
                Plan::Store { before, after: Some(after) }
            }
            Mode::Mute => Plan::Store { before: quick(), after: None },
            _ if world.percent(1) => Plan::Store { before: quick(), after: None },
            _ => Plan::Store { before: quick(), after: Some(quick()) },
        }
    }

    /// A message arrives. Returns which copy it is.
    fn store(&self, name: &'static str, number: usize) -> usize {
        let (life, time) = (self.world.life(), self.world.now());
        self.world.note(format_args!("{name} stores {number}"));
        let stored = &mut self.state.lock().stored;
        stored.push(Copy { name, number, life, time, is_acknowledged: false, told: time });
        stored.len() - 1
    }

    /// A message that nobody waits for any more arrives all the same.
    fn store_later(self: &Arc<Self>, name: &'static str, number: usize, time: Duration) {
        let broker = self.clone();
        tokio::spawn(async move {
            sleep(time).await;
            broker.store(name, number);
        });
    }

    async fn attempt(
        self: &Arc<Self>,
        name: &'static str,
        number: usize,
        deadline: Instant,
    ) -> Result<(), Error> {
        let (before, after) = match self.plan(name, number) {
            Plan::Refuse(error, time) => {
                if timeout_at(deadline, sleep(time)).await.is_err() {
                    return Err(Error::timeout());
                }
                return Err(error);
            }
            Plan::Late(arrives) => {
                sleep_until(deadline).await;
                if let Some(time) = arrives {
                    self.store_later(name, number, time);
                }
                return Err(Error::timeout());
            }
            Plan::Store { before, after } => (before, after),
        };
        if timeout_at(deadline, sleep(before)).await.is_err() {
            if self.world.percent(50) {
                self.store_later(name, number, before / 2);
            }
            return Err(Error::timeout());
        }
        let copy = self.store(name, number);
        let is_acknowledged = match after {
            Some(after) => timeout_at(deadline, sleep(after)).await.is_ok(),
            None => false,
        };
        if !is_acknowledged {
            sleep_until(deadline).await;
            return Err(Error::timeout());
        }
        let now = self.world.now();
        let copy = &mut self.state.lock().stored[copy];
        (copy.is_acknowledged, copy.told) = (true, now);
        Ok(())
    }

    /// What a name's events are told decides whether they have an order of their own.
    fn told(&self, name: &'static str, result: &Result<(), Error>) {
        let mut state = self.state.lock();
        let Err(error) = result else {
            state.failing.remove(name);
            return;
        };
        if error.scope != hookbus::sink::Scope::Name {
            return;
        }
        let now = self.world.now();
        let since = *state.failing.entry(name).or_insert(now);
        if error.class == hookbus::sink::Class::Unavailable || now - since >= UNSURE {
            self.history.with(|history| history.unsteady.insert(name));
        }
    }

    /// Send an event, unless the process gives it up.
    async fn try_one(
        self: &Arc<Self>,
        name: &'static str,
        number: usize,
        deadline: Instant,
    ) -> Result<(), Error> {
        let result = tokio::select! {
            biased;
            () = self.given_up() => Err(Error::unavailable("given-up", "given up")),
            result = self.attempt(name, number, deadline) => result,
        };
        let told = result.as_ref().map_or_else(|error| error.reason, |()| "acknowledged");
        self.world.note(format_args!("{name} says of {number}: {told}"));
        result
    }

    /// The name under which an event was sent.
    fn name_of(&self, name: &str, number: usize) -> Option<&'static str> {
        let found = self.history.with(|it| it.sent[number].name_at(destination_of(name)));
        if found.is_none_or(|found| found != name) {
            self.world.fail(format_args!("event {number} goes to {name}, where it wasn't sent"));
        }
        found
    }

    /// Some of those behind an event whose acknowledgement was lost may have arrived with it.
    fn store_behind(&self, name: &'static str, lost: usize, behind: &[&Event]) {
        let is_it = |copy: &Copy| copy.number == lost && copy.name == name;
        let is_stored = self.state.lock().stored.last().is_some_and(is_it);
        if is_stored && self.world.percent(50) {
            for event in &behind[..self.world.below(behind.len() + 1)] {
                self.store(name, number(&event.id));
            }
        }
    }

    /// Wait until the process gives up what waits for an acknowledgement.
    async fn given_up(&self) {
        let notified = self.given_up.notified();
        if !self.state.lock().has_given_up {
            notified.await;
        }
    }
}

impl Sink for Broker {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            let number = number(&event.id);
            let Some(name) = self.0.name_of(name, number) else {
                return Err(Error::unavailable("wrong", "wrong"));
            };
            let under_way = UnderWay::begin(&self.0, name, number);
            let result = self.0.try_one(name, number, deadline).await;
            drop(under_way);
            self.0.told(name, &result);
            result
        })
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            sleep(self.0.world.milliseconds(50..250)).await;
            while self.0.state.lock().mode == Mode::Down {
                sleep(Duration::from_millis(100)).await;
            }
        })
    }

    fn examine<'a>(&'a self, name: &'a str, error: Error, deadline: Instant) -> Examining<'a> {
        Box::pin(async move {
            let time = self.0.world.milliseconds(1..20);
            let is_known = timeout_at(deadline, sleep(time)).await.is_ok();
            let state = self.0.state.lock();
            let error = match (state.mode, state.faults.contains_key(name)) {
                (Mode::Down, _) => Error::transient(DISCONNECTED, "down"),
                (Mode::Fine, true) if is_known => Error::unavailable("no-stream", "none").of_name(),
                _ => error,
            };
            drop(state);
            if let Some((name, _)) = crate::history::known(name) {
                self.0.told(name, &Err(error.clone()));
            }
            error
        })
    }

    fn give_up(&self) {
        self.0.state.lock().has_given_up = true;
        self.0.given_up.notify_waiters();
    }

    fn pipeline(&self) -> Option<&dyn Pipeline> {
        self.0.is_pipelined.then_some(self)
    }
}

impl Pipeline for Broker {
    fn max(&self, _: &str) -> usize {
        if self.0.world.percent(80) { MAX_RUN.0 } else { 1 }
    }

    fn send<'a>(
        &'a self,
        name: &'a str,
        events: &'a [&'a Event],
        deadline: Instant,
        acknowledged: Acknowledged<'a>,
    ) -> Pipelining<'a> {
        Box::pin(async move {
            let numbers: Vec<_> = events.iter().map(|event| number(&event.id)).collect();
            let names = numbers.iter().filter_map(|number| self.0.name_of(name, *number));
            let names: Vec<_> = names.collect();
            let Some(name) = names.first() else { return 0 };
            self.0.world.note(format_args!("{name} gets a run: {numbers:?}"));
            let _under_way = UnderWay::begin(&self.0, name, numbers[0]);
            for (stored, number) in numbers.iter().enumerate() {
                if self.0.try_one(name, *number, deadline).await.is_err() {
                    self.0.store_behind(name, *number, &events[stored + 1..]);
                    return stored;
                }
                self.0.told(name, &Ok(()));
                acknowledged();
            }
            numbers.len()
        })
    }
}
