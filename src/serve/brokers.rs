//! Building the sinks, their connections, and the spool behind them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Message;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tracing::warn;

use super::Error;
use crate::ask;
use crate::config::{self, Config};
use crate::inbox::{Inbox, Lateness, OnLoss, Read, Told};
use crate::nats::{self, Connection, Release, Settings};
use crate::publish::{Destinations, SinkWithTimeout, Sinks, SpoolHandle};
use crate::sink::jetstream::{self, Acks, JetStream};
use crate::sink::kafka::Kafka;
use crate::sink::nats_core::NatsCore;
use crate::spool::Spool;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// What the two connections are for, as `/readyz` names them.
const EVENTS_ROLE: &str = "events";
const QUESTIONS_ROLE: &str = "questions";

/// Bytes of questions that may be under way at a time: at most these are late when the network stalls.
const MAX_QUESTION_BYTES: usize = 512 << 10;

/// Bytes of events that may wait for the socket.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// The ways by which events leave.
pub(super) struct Brokers {
    pub(super) destinations: Arc<Destinations>,
    /// The connection that events are stored over.
    pub(super) events: Option<Arc<Connection>>,
    pub(super) kafka: Option<Arc<Kafka>>,
}

impl Brokers {
    pub(super) fn build(
        config: &Config,
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
        background: &mut JoinSet<()>,
    ) -> Result<Self, Error> {
        // First of all: another process that has it open is a mistake, and nothing else is begun then.
        let spool = spool(&config.spool, metrics, health)?;
        let mut sinks = Sinks::default();
        let mut events = None;
        if let Some(settings) = &config.nats {
            let connect = Connect { settings, health, metrics };
            let acks = connect.acks(background)?;
            let connection = acks.connection().clone();
            let ack_timeout = settings.ack_timeout.get();
            let jetstream = Arc::new(JetStream::new(acks, settings.domain.as_deref()));
            sinks.jetstream = Some(SinkWithTimeout { sink: jetstream, ack_timeout });
            sinks.nats_core = Some(SinkWithTimeout {
                sink: Arc::new(NatsCore::new(connection.clone())),
                ack_timeout,
            });
            events = Some(connection);
        }
        let mut kafka = None;
        if let Some(settings) = &config.kafka {
            let sink = Kafka::new(settings, &config.http, health.clone(), metrics.clone())
                .map_err(|error| Error::Config(format!("[kafka] can't be used: {error}")))?;
            let sink = Arc::new(sink);
            sinks.kafka = Some(SinkWithTimeout {
                sink: sink.clone(),
                ack_timeout: settings.ack_timeout.get(),
            });
            kafka = Some(sink);
        }
        let destinations = Destinations::new(sinks, spool, metrics.clone(), health.clone());
        Ok(Self { destinations: Arc::new(destinations), events, kafka })
    }
}

/// Open the spool, if there is to be one.
fn spool(
    settings: &config::Spool,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
) -> Result<Option<Arc<SpoolHandle>>, Error> {
    if !settings.enabled {
        return Ok(None);
    }
    let (spool, damages) = Spool::open(settings)?;
    for damage in damages {
        warn!(%damage, "a part of the spool was set aside");
    }
    Ok(Some(Arc::new(SpoolHandle::new(spool, metrics.clone(), health.clone()))))
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
        let connection = Connection::new(role, room, self.health.clone());
        self.health.expect(nats::BROKER, role);
        let prefix = &self.settings.inbox_prefix;
        let inbox = Arc::new(Inbox::new(connection.clone(), prefix, on_loss, read, told));
        let below = inbox.prefix().to_owned();
        background.spawn(connection.maintain(settings, below, inbox.clone(), self.metrics.clone()));
        Ok(inbox)
    }

    /// The connection that events are stored over.
    fn acks(&self, background: &mut JoinSet<()>) -> Result<Arc<Acks>, Error> {
        let (metrics, seldom) = (self.metrics.clone(), LogLimit::default());
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
        let told = Told { late: Box::new(|_, _| {}), strange: Box::new(strange) };
        // How late an event arrives doesn't matter; how much memory it takes until then does.
        let room = (MAX_EVENT_BYTES, Release::Written);
        self.inbox(EVENTS_ROLE, room, OnLoss::Fail, (jetstream::read, told), background)
    }

    /// The connection that questions are asked over.
    pub(super) fn questions(&self, background: &mut JoinSet<()>) -> Result<Arc<Inbox>, Error> {
        let (metrics, seldom) = (self.metrics.clone(), LogLimit::default());
        let late = {
            let metrics = metrics.clone();
            move |number, lateness| match lateness {
                Lateness::TooLate => metrics.late_reply(number),
                Lateness::Extra => metrics.ignored_reply("extra"),
            }
        };
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
        let room = (MAX_QUESTION_BYTES, Release::Read);
        // It comes too, and the log waits for both.
        self.health.expect(nats::BROKER, EVENTS_ROLE);
        self.inbox(QUESTIONS_ROLE, room, OnLoss::Wait, (ask::read, told), background)
    }
}

/// Something that is logged once a minute at most.
#[derive(Default)]
struct LogLimit(Mutex<LastLogged>);

#[derive(Default)]
struct LastLogged {
    when: Option<Instant>,
    /// How often it happened since.
    more: u64,
}

impl LogLimit {
    /// It happened. Returns whether to log it, and how often it happened unlogged.
    fn now(&self) -> Option<u64> {
        const LOG_INTERVAL: Duration = Duration::from_secs(60);
        let mut last = self.0.lock();
        if last.when.is_some_and(|when| when.elapsed() < LOG_INTERVAL) {
            last.more += 1;
            return None;
        }
        last.when = Some(Instant::now());
        Some(std::mem::take(&mut last.more))
    }
}
