//! Building what events leave by: the sinks, their connections, and the spool behind them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Message;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tracing::warn;

use super::Error;
use crate::ask;
use crate::config::{self, Config};
use crate::inbox::{Inbox, OnLoss, Read, Told};
use crate::nats::{self, Link, Release, Settings};
use crate::publish::{Destinations, Shelf, Sinks, Timed};
use crate::sink::jetstream::{self, Acks, JetStream};
use crate::sink::kafka::Kafka;
use crate::sink::nats_core::NatsCore;
use crate::spool::Spool;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// What the two connections are for, as `/readyz` names them.
const STORES: &str = "events";
const ASKS: &str = "questions";

/// Bytes of questions that may be under way at a time: so many can be late when the network stalls.
const QUESTIONS: usize = 512 << 10;

/// Bytes of events that may wait for the socket.
const EVENTS: usize = 4 << 20;

/// What events leave by.
pub(super) struct Outlets {
    pub(super) destinations: Arc<Destinations>,
    /// The connection that events are stored over.
    pub(super) events: Option<Arc<Link>>,
    pub(super) kafka: Option<Arc<Kafka>>,
}

impl Outlets {
    pub(super) fn build(
        config: &Config,
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
        background: &mut JoinSet<()>,
    ) -> Result<Self, Error> {
        // First of all: another process that has it open is a mistake, and nothing else is begun then.
        let shelf = shelf(&config.spool, metrics, health)?;
        let mut sinks = Sinks::default();
        let mut events = None;
        if let Some(settings) = &config.nats {
            let connect = Connect { settings, health, metrics };
            let acks = connect.acks(background)?;
            let link = acks.link().clone();
            let ack_timeout = settings.ack_timeout.get();
            let jetstream = Arc::new(JetStream::new(acks, settings.domain.as_deref()));
            sinks.jetstream = Some(Timed { sink: jetstream, ack_timeout });
            sinks.nats_core =
                Some(Timed { sink: Arc::new(NatsCore::new(link.clone())), ack_timeout });
            events = Some(link);
        }
        let mut kafka = None;
        if let Some(settings) = &config.kafka {
            let sink = Kafka::new(settings, &config.http, health.clone(), metrics.clone())
                .map_err(|error| Error::Config(format!("[kafka] can't be used: {error}")))?;
            let sink = Arc::new(sink);
            sinks.kafka =
                Some(Timed { sink: sink.clone(), ack_timeout: settings.ack_timeout.get() });
            kafka = Some(sink);
        }
        let destinations = Destinations::new(sinks, shelf, metrics.clone(), health.clone());
        Ok(Self { destinations: Arc::new(destinations), events, kafka })
    }
}

/// Open the spool, if there is to be one.
fn shelf(
    settings: &config::Spool,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
) -> Result<Option<Arc<Shelf>>, Error> {
    if !settings.enabled {
        return Ok(None);
    }
    let (spool, damages) = Spool::open(settings)?;
    for damage in damages {
        warn!(%damage, "a part of the spool was set aside");
    }
    Ok(Some(Arc::new(Shelf::new(spool, metrics.clone(), health.clone()))))
}

/// What all NATS connections have in common.
pub(super) struct Connect<'a> {
    pub(super) settings: &'a config::Nats,
    pub(super) health: &'a Arc<Health>,
    pub(super) metrics: &'a Arc<Metrics>,
}

impl Connect<'_> {
    /// A connection that is kept, and the inbox for what is answered over it.
    pub(super) fn inbox<T: Send + 'static>(
        &self,
        role: &'static str,
        room: (usize, Release),
        on_loss: OnLoss,
        (read, told): (Read<T>, Told),
        background: &mut JoinSet<()>,
    ) -> Result<Arc<Inbox<T>>, Error> {
        let settings = Settings::new(self.settings)
            .map_err(|error| Error::Config(format!("nats.servers: {error}")))?;
        let link = Link::new(role, room, self.health.clone());
        self.health.expect(nats::BROKER, role);
        let prefix = &self.settings.inbox_prefix;
        let inbox = Arc::new(Inbox::new(link.clone(), prefix, on_loss, read, told));
        let below = inbox.prefix().to_owned();
        background.spawn(link.maintain(settings, below, inbox.clone(), self.metrics.clone()));
        Ok(inbox)
    }

    /// The connection that events are stored over.
    fn acks(&self, background: &mut JoinSet<()>) -> Result<Arc<Acks>, Error> {
        let (metrics, seldom) = (self.metrics.clone(), Seldom::default());
        let strange = move |subject: &str, _: &Message| {
            metrics.ignored_reply("event");
            if let Some(more) = seldom.now() {
                warn!(
                    subject,
                    more,
                    "a reply to an event is no acknowledgement, and is ignored: something other than JetStream answers on its subject"
                );
            }
        };
        let told = Told { late: Box::new(|_| {}), strange: Box::new(strange) };
        // How late an event arrives doesn't matter; how much memory it takes until then does.
        let room = (EVENTS, Release::Written);
        self.inbox(STORES, room, OnLoss::Fail, (jetstream::read, told), background)
    }

    /// The connection that questions are asked over; `late` is told the tag of those whose answers come too late.
    pub(super) fn questions(
        &self,
        late: impl Fn(u32) + Send + Sync + 'static,
        background: &mut JoinSet<()>,
    ) -> Result<Arc<Inbox>, Error> {
        let (metrics, seldom) = (self.metrics.clone(), Seldom::default());
        let strange = move |subject: &str, _: &Message| {
            metrics.ignored_reply("question");
            if let Some(more) = seldom.now() {
                warn!(
                    subject,
                    more,
                    "a JetStream acknowledgement came in place of an answer, and is ignored: a stream stores this question"
                );
            }
        };
        let told = Told { late: Box::new(late), strange: Box::new(strange) };
        let room = (QUESTIONS, Release::Read);
        // It comes too, and the log waits for both.
        self.health.expect(nats::BROKER, STORES);
        self.inbox(ASKS, room, OnLoss::Wait, (ask::read, told), background)
    }
}

/// Something that the log says once a minute at the most.
#[derive(Default)]
struct Seldom(Mutex<Said>);

#[derive(Default)]
struct Said {
    when: Option<Instant>,
    /// How often it happened since.
    more: u64,
}

impl Seldom {
    /// It happens. Returns whether to say it, and how often it happened in silence.
    fn now(&self) -> Option<u64> {
        const AGAIN: Duration = Duration::from_secs(60);
        let mut said = self.0.lock();
        if said.when.is_some_and(|when| when.elapsed() < AGAIN) {
            said.more += 1;
            return None;
        }
        said.when = Some(Instant::now());
        Some(std::mem::take(&mut said.more))
    }
}
