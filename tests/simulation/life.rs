//! One process: the real spool and the real destinations, on the disk and with the brokers of the run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hookbus::config;
use hookbus::config::units::Time;
use hookbus::message::{Event, Refusal};
use hookbus::publish::dead_letters::{Line, SpoolTasks, Summary, Task};
use hookbus::publish::{self, Destinations, SinkWithTimeout, Sinks, SpoolHandle};
use hookbus::spool::Spool;
use hookbus::telemetry::health::Health;
use hookbus::telemetry::metrics::Metrics;
use hookbus::trace::Trace;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::broker::Broker;
use crate::climate::Climate;
use crate::disk::Disk;
use crate::history::{Answer, DESTINATIONS, History, Sent, id};
use crate::world::World;

pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a sender in a hurry waits for the broker.
const HURRIED: Duration = Duration::from_millis(500);
pub(crate) const SYNC_TIMEOUT: Duration = Duration::from_secs(1);

/// An answer comes within both of these, and some milliseconds for what the clock rounds.
pub(crate) const ANSWER: Duration = Duration::from_millis(3_050);

/// Within this time a spool sees what was done to its files, and writes down what is done: once a second.
pub(crate) const WATCH: Duration = Duration::from_millis(1_200);

/// After this time in fair weather all that failed was tried again.
pub(crate) const CALM: Duration = Duration::from_secs(3);

/// What outlives a process.
pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    pub(crate) history: Arc<History>,
    pub(crate) disk: Disk,
    /// Of `nats:` and of `kafka:`.
    pub(crate) brokers: [Broker; 2],
    pub(crate) climate: Climate,
}

impl Stage {
    /// The broker of a destination.
    pub(crate) fn broker(&self, destination: usize) -> &Broker {
        &self.brokers[usize::from(DESTINATIONS[destination].starts_with("kafka:"))]
    }
}

/// A running process.
pub(crate) struct Life<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) all: Arc<Destinations>,
    pub(crate) spool: Arc<SpoolHandle>,
    pub(crate) spool_tasks: SpoolTasks,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    /// The destinations that are routed to.
    pub(crate) configured: BTreeSet<usize>,
    senders: JoinSet<()>,
    background: JoinSet<()>,
}

impl<'a> Life<'a> {
    /// Open what is on the disk, and begin to publish it.
    pub(crate) fn begin(
        stage: &'a Stage,
        configured: BTreeSet<usize>,
    ) -> Result<Self, hookbus::spool::Error> {
        let settings = config::Spool {
            dir: "/spool".into(),
            max_bytes: stage.climate.max_bytes,
            sync_timeout: Time::milliseconds(SYNC_TIMEOUT.as_millis() as u64),
            ..config::Spool::default()
        };
        let (spool, damage) = Spool::open_on(Arc::new(stage.disk.clone()), &settings)?;
        for damage in damage {
            stage.world.note(format_args!("{damage}"));
        }
        let (metrics, health) = (Arc::<Metrics>::default(), Arc::<Health>::default());
        let spool = Arc::new(SpoolHandle::new(spool, metrics.clone(), health.clone()));
        let timed = |broker: &Broker| {
            broker.connect();
            Some(SinkWithTimeout { sink: Arc::new(broker.clone()), ack_timeout: ACK_TIMEOUT })
        };
        let [nats, kafka] = &stage.brokers;
        let sinks = Sinks { jetstream: timed(nats), kafka: timed(kafka), nats_core: None };
        let destinations =
            Destinations::new(sinks, Some(spool.clone()), metrics.clone(), health.clone());
        let all = Arc::new(destinations);
        let mut life = Self {
            stage,
            spool_tasks: SpoolTasks::new(all.clone()),
            all,
            spool,
            metrics,
            health,
            configured: BTreeSet::new(),
            senders: JoinSet::new(),
            background: JoinSet::new(),
        };
        life.configure(configured);
        life.all.drain(&mut life.background);
        Ok(life)
    }

    fn configure(&mut self, configured: BTreeSet<usize>) {
        self.stage.world.note(format_args!("configured are {configured:?}"));
        let draft = self.all.draft();
        for destination in &configured {
            draft.get(DESTINATIONS[*destination]).expect("a destination");
        }
        self.all.adopt(draft, self.stage.climate.share * configured.len());
        self.configured = configured;
    }

    /// Another configuration.
    pub(crate) fn reload(&mut self, configured: BTreeSet<usize>) {
        self.configure(configured);
        self.all.drain_new(&mut self.background);
    }

    /// An event takes its places; it is told later what became of it, unless it is dropped after some time. Returns its
    /// number.
    pub(crate) fn send(
        &mut self,
        key: Option<usize>,
        to: Vec<(usize, &'static str)>,
        is_dropped_after: Option<Duration>,
    ) -> usize {
        let Stage { world, history, climate, .. } = self.stage;
        let (life, began) = (world.life(), world.now());
        let is_poison = world.percent(climate.poison);
        let answer = Answer::Waits;
        let number = history.add(Sent { key, to: to.clone(), is_poison, life, began, answer });
        let key_text: Option<Arc<str>> = key.map(|key| format!("key-{key}").into());
        let event = Event {
            id: id(number).into(),
            endpoint: "endpoint".into(),
            kind: "type".into(),
            subject: key_text.clone(),
            key: key_text,
            time: SystemTime::UNIX_EPOCH + began,
            content_type: "application/json".into(),
            payload: Bytes::from(vec![b'.'; world.below(climate.payload)]),
            trace: Trace::default(),
            dedupe: true,
        };
        world.note(format_args!("{number} of {key:?} goes to {to:?}"));
        let draft = self.all.draft();
        let to = to.into_iter().map(|(to, name)| {
            (draft.get(DESTINATIONS[to]).expect("a destination"), name.to_owned())
        });
        let (world, history) = (world.clone(), history.clone());
        let publishing = match publish::begin(to, event) {
            Ok(publishing) => publishing,
            Err(refusal) => {
                answered(&world, &history, number, Answer::Refused(refusal));
                return number;
            }
        };
        // Some senders don't wait as long as a broker may take.
        let within = number.is_multiple_of(4).then_some(HURRIED);
        self.senders.spawn(async move {
            let dropped = async {
                match is_dropped_after {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            let answer = tokio::select! {
                // It may be dropped at the very moment at which it could go on.
                biased;
                () = dropped => Answer::Dropped,
                result = publishing.finish_within(within) => match result {
                    Ok(receipt) => Answer::Given(receipt),
                    Err(refusal) => Answer::Refused(refusal),
                },
            };
            answered(&world, &history, number, answer);
        });
        number
    }

    /// Begin something with dead letters or a queue, if that can be begun; somebody listens for so long.
    pub(crate) fn replay(&mut self, task: Task, listens: Duration) {
        let world = self.stage.world.clone();
        match self.spool_tasks.begin(task) {
            Err(refused) => world.note(format_args!("no replay: {refused}")),
            Ok(mut lines) => {
                self.background.spawn(async move {
                    let end =
                        timeout(listens, async move { while lines.recv().await.is_some() {} });
                    world.note(format_args!("a replay ended: {}", end.await.is_ok()));
                });
            }
        }
    }

    /// The same, to its end.
    pub(crate) async fn replay_to_its_end(&mut self, task: Task) -> Option<Summary> {
        let mut lines = self.spool_tasks.begin(task).ok()?;
        let mut end = None;
        while let Some(line) = lines.recv().await {
            if let Line::Summary(summary) = line {
                end = Some(summary);
            }
        }
        end
    }

    /// Wait until all senders have their answers.
    pub(crate) async fn answer_all(&mut self, limit: Duration) -> bool {
        timeout(limit, async { while self.senders.join_next().await.is_some() {} }).await.is_ok()
    }

    /// End in order. Says whether everything that was begun was ended.
    pub(crate) async fn end(mut self) -> bool {
        self.stage.world.note(format_args!("it is told to stop"));
        let Stage { world, disk, .. } = self.stage;
        let unlocked = disk.unlocked().map(|since| world.now() - since);
        if unlocked.is_some_and(|time| time > WATCH && disk.fair_for() > CALM) {
            world.fail(format_args!("nobody else has been kept out for {unlocked:?}"));
        }
        self.spool_tasks.stop();
        if !self.answer_all(Duration::from_secs(1)).await {
            self.all.give_up();
            if !self.answer_all(ANSWER).await {
                self.stage.world.fail("senders wait though everything was given up");
            }
        }
        self.all.pause();
        let mut is_settled = timeout(Duration::from_secs(1), self.all.settled()).await.is_ok();
        if !is_settled {
            self.all.give_up();
            is_settled = timeout(SYNC_TIMEOUT, self.all.settled()).await.is_ok();
        }
        let is_idle = timeout(ACK_TIMEOUT, self.spool_tasks.idle()).await.is_ok();
        self.spool.close();
        let is_written = self.stage.disk.written().await;
        self.background.shutdown().await;
        is_settled && is_idle && is_written
    }
}

/// A sender hears what became of its event.
fn answered(world: &World, history: &History, number: usize, answer: Answer) {
    if world.is_dead() {
        return;
    }
    world.note(format_args!("{number} is told: {answer:?}"));
    let took = history.with(|history| {
        let sent = &mut history.sent[number];
        sent.answer = answer.clone();
        world.now() - sent.began
    });
    if took > ANSWER {
        world.fail(format_args!("event {number} waited {took:?} for its answer"));
    }
    if let Answer::Refused(refusal) = &answer
        && !matches!(refusal, Refusal::NotStored(_) | Refusal::Overloaded(_))
    {
        world.fail(format_args!("event {number} is refused: {refusal:?}"));
    }
}
