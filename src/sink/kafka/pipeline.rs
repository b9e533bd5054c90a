//! Sending events of one key one behind the other, by a third producer.
//!
//! An idempotent producer keeps the order of a partition by itself, but not if it gives up an event while those behind it
//! go on: for want of time, or because the broker refused it. So this one gives up nothing (`enable.gapless.guarantee`, no
//! timeout). What goes wrong ends it: its queue is purged, nothing more is handed to it, and events are sent one by one by
//! the first producer until there is a new one. Since their number is all that a run says, it is the first event of the
//! rest that finds out what is wrong.
//!
//! A broker takes any sequence number of a producer that it doesn't know yet. While a partition moves, librdkafka may have
//! a request at the old leader and one at the new, which would take the second without the first. So the first event of each
//! run is acknowledged before the others are sent: from then on a gap is refused.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer as _, PurgeConfig, ThreadedProducer};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::cluster::{Cluster, Context};
use super::record;
use crate::message::Event;
use crate::sink::{Acknowledged, MAX_RUN};

/// How long events are sent one by one after something went wrong: producers that follow each other quickly would cost more
/// than they bring.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a new producer may take to reach a broker.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The third producer, while there is one.
pub(super) struct Pipeline {
    config: ClientConfig,
    cluster: Arc<Cluster>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Generation>>,
    is_making: bool,
    /// When the next one may be made.
    next: Option<Instant>,
}

/// A producer until something goes wrong.
struct Generation(Option<ThreadedProducer<Context>>);

/// What became of a run.
pub(super) struct Sent {
    /// How many were acknowledged, from the first one on.
    pub(super) stored: usize,
    /// What was said of the next one, if anything.
    pub(super) error: Option<KafkaError>,
}

impl Pipeline {
    pub(super) fn new(config: ClientConfig, cluster: Arc<Cluster>) -> Self {
        Self { config, cluster, state: Mutex::default() }
    }

    /// How many events may be sent in a run. Where there is no producer for it, one is being made.
    pub(super) fn max(self: &Arc<Self>, topic: &str) -> usize {
        let mut state = self.state.lock();
        if state.current.is_some() {
            return MAX_RUN.0;
        }
        let is_time = state.next.is_none_or(|next| Instant::now() >= next);
        if is_time && !state.is_making && Handle::try_current().is_ok() {
            state.is_making = true;
            let (pipeline, topic) = (self.clone(), topic.to_owned());
            // It reads files, starts threads and connects.
            spawn_blocking(move || pipeline.make(&topic));
        }
        1
    }

    fn make(&self, topic: &str) {
        let context = Context(self.cluster.clone());
        let made = self.config.create_with_context(context).and_then(
            |producer: ThreadedProducer<Context>| {
                // Events wait for no connection.
                producer.client().fetch_metadata(Some(topic), CONNECT_TIMEOUT)?;
                Ok(Generation(Some(producer)))
            },
        );
        let mut state = self.state.lock();
        (state.is_making, state.next) = (false, Some(Instant::now() + PAUSE));
        match made {
            Ok(generation) => state.current = Some(Arc::new(generation)),
            Err(error) => debug!(%error, "there is no producer for events of one key for now"),
        }
    }

    /// Send these in their order.
    pub(super) async fn send(
        &self,
        topic: &str,
        events: &[&Event],
        deadline: Instant,
        acknowledged: Acknowledged<'_>,
    ) -> Sent {
        let mut sent = Sent { stored: 0, error: None };
        let Some(generation) = self.state.lock().current.clone() else { return sent };
        for part in [&events[..events.len().min(1)], &events[events.len().min(1)..]] {
            let begun = generation.begin(topic, part);
            for report in begun.reports {
                let failed = match timeout_at(deadline, report).await {
                    Ok(Ok(Ok(()))) => {
                        sent.stored += 1;
                        acknowledged();
                        continue;
                    }
                    Ok(Ok(Err(error))) => Some(error),
                    Ok(Err(_)) | Err(_) => None,
                };
                sent.error = failed;
                self.end(&generation).await;
                return sent;
            }
            if let Some(error) = begun.error {
                // All that it took was acknowledged; it may be full, or has ended already.
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    self.end(&generation).await;
                }
                return sent;
            }
        }
        sent
    }

    /// Something went wrong. When this returns, nothing is sent any more of what wasn't on its way.
    async fn end(&self, generation: &Arc<Generation>) {
        let ended = {
            let mut state = self.state.lock();
            let is_current = |current: &mut Arc<_>| Arc::ptr_eq(current, generation);
            let ended = state.current.take_if(is_current);
            if ended.is_some() {
                state.next = Some(Instant::now() + PAUSE);
            }
            ended
        };
        if ended.is_some() {
            debug!("the producer for events of one key has ended");
        }
        // What other runs have on its way is acknowledged or given up by themselves: the last of them drops it.
        let generation = generation.clone();
        let purged = spawn_blocking(move || generation.purge(PurgeConfig::default().queue()));
        // It is cancelled when the process ends.
        let _ = purged.await;
    }

    /// Let all that waits fail now, for good.
    pub(super) fn give_up(&self) {
        let mut state = self.state.lock();
        // There is no time left for another one.
        state.is_making = true;
        if let Some(generation) = state.current.take() {
            generation.purge(PurgeConfig::default().queue().inflight());
        }
    }
}

/// What a producer took.
struct Begun {
    reports: Vec<oneshot::Receiver<Result<(), KafkaError>>>,
    /// Why it didn't take all.
    error: Option<KafkaError>,
}

impl Generation {
    fn begin(&self, topic: &str, events: &[&Event]) -> Begun {
        let mut begun = Begun { reports: Vec::with_capacity(events.len()), error: None };
        let Some(producer) = &self.0 else { return begun };
        for event in events {
            let (delivery, report) = oneshot::channel();
            if let Err((error, _)) = producer.send(record(topic, event, delivery)) {
                begun.error = Some(error);
                break;
            }
            begun.reports.push(report);
        }
        begun
    }

    fn purge(&self, what: PurgeConfig) {
        if let Some(producer) = &self.0 {
            producer.purge(what);
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let producer = self.0.take();
        // It purges all there is, and waits for its threads.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(producer));
        }
    }
}
