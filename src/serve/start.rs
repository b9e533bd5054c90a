//! Building every part from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use super::Error;
use crate::answers::Answers;
use crate::auth::Auth;
use crate::bridge::{Bridge, Endpoint};
use crate::config::{self, Config};
use crate::inbox::{Inbox, OnLoss};
use crate::limit::Limits;
use crate::nats::streams::Needs;
use crate::nats::{self, Link, Settings};
use crate::publish::{Destinations, Shelf, Sinks, Timed};
use crate::route::Routes;
use crate::sink::jetstream::JetStream;
use crate::sink::kafka::{self, Kafka};
use crate::sink::nats_core::NatsCore;
use crate::source;
use crate::spool::Spool;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Everything that runs.
pub(super) struct Parts {
    pub(super) bridge: Arc<Bridge>,
    pub(super) endpoints: BTreeMap<String, Arc<Endpoint>>,
    pub(super) destinations: Arc<Destinations>,
    pub(super) health: Arc<Health>,
    pub(super) needs: Needs,
    /// The connection that events are stored over.
    pub(super) events: Option<Arc<Link>>,
    kafka: Option<Arc<Kafka>>,
}

impl Parts {
    /// Build all parts; what they do by themselves is spawned into `background`.
    pub(super) fn build(config: &Config, background: &mut JoinSet<()>) -> Result<Arc<Self>, Error> {
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::default());
        let names: Vec<Arc<str>> =
            config.endpoints.iter().map(|endpoint| endpoint.name.as_str().into()).collect();

        let mut sinks = Sinks::default();
        let mut questions = None;
        let mut events = None;
        if let Some(settings) = &config.nats {
            let late = {
                let (names, metrics) = (names.clone(), metrics.clone());
                move |tag: u32| {
                    if let Some(name) = names.get(tag as usize) {
                        metrics.late_reply(name);
                    }
                }
            };
            let connect = Connect { settings, health: &health, metrics: &metrics };
            questions = Some(connect.inbox("questions", OnLoss::Wait, late, background)?);
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
            let max_in_flight = config.http.max_in_flight_bytes.get();
            let sink = Kafka::new(
                settings,
                config.http.max_body.get(),
                max_in_flight,
                health.clone(),
                metrics.clone(),
            )
            .map_err(|error| Error::Config(format!("[kafka] can't be used: {error}")))?;
            let sink = Arc::new(sink);
            sinks.kafka =
                Some(Timed { sink: sink.clone(), ack_timeout: settings.ack_timeout.get() });
            kafka = Some(sink);
            background.spawn(create_topics(settings.clone(), health.clone()));
        }

        let shelf = shelf(&config.spool, &metrics, &health)?;
        let destinations = Arc::new(Destinations::new(
            sinks,
            shelf,
            config.http.max_events,
            metrics.clone(),
            health.clone(),
        ));
        let mut endpoints = BTreeMap::new();
        for (tag, (endpoint, name)) in (0..).zip(config.endpoints.iter().zip(&names)) {
            let routes = Routes::new(
                endpoint,
                config.event_destination(),
                config.job_destination(),
                &destinations,
            )
            .map_err(|error| Error::Config(format!("endpoint `{name}`: {error}")))?;
            if routes.has_fallback() {
                health.set_can_fall_back(true);
            }
            let built = Endpoint {
                name: name.clone(),
                tag,
                source: source::of(endpoint.source),
                auth: Auth::new(&endpoint.auth),
                routes,
                dedupe: endpoint.dedupe,
                answer_window: endpoint.answer_window.get(),
            };
            endpoints.insert(endpoint.path.clone(), Arc::new(built));
        }
        let bridge = Arc::new(Bridge {
            http: config.http.clone(),
            limits: Limits::new(&config.http),
            questions,
            answers: Answers::default(),
            metrics,
        });
        destinations.drain(background);
        let needs = Needs::new(config);
        Ok(Arc::new(Self { bridge, endpoints, destinations, health, needs, events, kafka }))
    }

    /// Wait until there was an attempt to connect for events. Returns whether it succeeded.
    pub(super) async fn events_attempted(&self) -> bool {
        match &self.events {
            Some(link) => link.attempted().await,
            None => false,
        }
    }

    /// Wait until events can be sent to NATS; for ever where it isn't configured.
    pub(super) async fn events_connected(&self) {
        match &self.events {
            Some(link) => link.connected().await,
            None => std::future::pending().await,
        }
    }

    /// Wait until events can't be sent to NATS.
    pub(super) async fn events_lost(&self) {
        match &self.events {
            Some(link) => link.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Let the brokers' clients send what they still hold.
    pub(super) async fn flush(&self, deadline: Instant) {
        let left =
            || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(500));
        for link in self.bridge.questions.iter().map(|inbox| inbox.link()).chain(&self.events) {
            link.flush(left()).await;
        }
        if let Some(kafka) = self.kafka.clone() {
            let left = left();
            // It blocks its thread; a panic in there would have nothing left to lose.
            let _ = tokio::task::spawn_blocking(move || kafka.flush(left)).await;
        }
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
struct Connect<'a> {
    settings: &'a config::Nats,
    health: &'a Arc<Health>,
    metrics: &'a Arc<Metrics>,
}

impl Connect<'_> {
    /// A connection that is kept, and the inbox for what is answered over it.
    fn inbox(
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

/// Create the declared topics, and try until the cluster could be asked.
async fn create_topics(settings: config::Kafka, health: Arc<Health>) {
    const AGAIN: Duration = Duration::from_secs(2);
    const LIMIT: Duration = Duration::from_secs(10);
    let mut complained = false;
    loop {
        match kafka::ensure(&settings, LIMIT).await {
            Ok(failed) if failed.is_empty() => return,
            Ok(failed) => {
                for text in &failed {
                    tracing::error!("{text}");
                }
                health.report("topics", failed.join("; "));
                return;
            }
            Err(error) if !complained => {
                warn!(%error, "the declared topics could not be created yet; trying on");
                complained = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}
