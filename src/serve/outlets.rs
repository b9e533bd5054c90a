//! Building what events leave by: the sinks, their connections, and the spool behind them.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::warn;

use super::Error;
use crate::config::{self, Config};
use crate::inbox::{Inbox, OnLoss};
use crate::nats::{self, Link, Settings};
use crate::publish::{Destinations, Shelf, Sinks, Timed};
use crate::sink::jetstream::JetStream;
use crate::sink::kafka::Kafka;
use crate::sink::nats_core::NatsCore;
use crate::spool::Spool;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

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
            let acks = connect.inbox("events", OnLoss::Fail, |_| {}, background)?;
            let link = acks.link().clone();
            let ack_timeout = settings.ack_timeout.get();
            sinks.jetstream = Some(Timed { sink: Arc::new(JetStream::new(acks)), ack_timeout });
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
    pub(super) fn inbox(
        &self,
        role: &'static str,
        on_loss: OnLoss,
        late: impl Fn(u32) + Send + Sync + 'static,
        background: &mut JoinSet<()>,
    ) -> Result<Arc<Inbox>, Error> {
        let settings = Settings::new(self.settings)
            .map_err(|error| Error::Config(format!("nats.servers: {error}")))?;
        let link = Link::new(role);
        self.health.expect(nats::BROKER, role);
        let inbox = Arc::new(Inbox::new(link.clone(), &self.settings.inbox_prefix, on_loss, late));
        let (deliver, lost) = (inbox.clone(), inbox.clone());
        background.spawn(link.maintain(
            settings,
            inbox.subject(),
            move |message| deliver.deliver(message),
            move || lost.lost(),
            self.health.clone(),
            self.metrics.clone(),
        ));
        Ok(inbox)
    }
}
