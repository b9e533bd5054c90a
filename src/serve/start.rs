//! Building every part from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use super::Error;
use super::outlets::{Connect, Outlets};
use crate::answers::Answers;
use crate::auth::{Auth, Deliveries};
use crate::bridge::{Bridge, Endpoint};
use crate::config::{self, Config};
use crate::inbox::OnLoss;
use crate::limit::Limits;
use crate::nats::Link;
use crate::nats::streams::Needs;
use crate::publish::Destinations;
use crate::publish::replay::Replays;
use crate::route::Routes;
use crate::sink::kafka::{self, Kafka};
use crate::source;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::tls;

/// Everything that runs.
pub(super) struct Parts {
    pub(super) bridge: Arc<Bridge>,
    pub(super) endpoints: BTreeMap<String, Arc<Endpoint>>,
    pub(super) destinations: Arc<Destinations>,
    pub(super) replays: Arc<Replays>,
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

        let mut questions = None;
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
        }
        if let Some(settings) = &config.kafka {
            background.spawn(create_topics(settings.clone(), health.clone()));
        }
        let Outlets { destinations, events, kafka } =
            Outlets::build(config, &health, &metrics, background)?;
        let replays = Arc::new(Replays::new(destinations.clone()));
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
                auth: Arc::new(Auth::new(endpoint, &config.http.trusted_proxies)),
                routes,
                dedupe: endpoint.dedupe,
                answer_window: endpoint.answer_window.get(),
            };
            background.spawn(built.auth.prepare());
            endpoints.insert(endpoint.path.clone(), Arc::new(built));
        }
        let bridge = Arc::new(Bridge {
            http: config.http.clone(),
            limits: Limits::new(&config.http),
            questions,
            answers: Answers::default(),
            deliveries: Deliveries::default(),
            metrics,
        });
        destinations.drain(background);
        let needs = Needs::new(config);
        Ok(Arc::new(Self {
            bridge,
            endpoints,
            destinations,
            replays,
            health,
            needs,
            events,
            kafka,
        }))
    }

    /// The TLS of a listener, if it is to have any, and the watch over its files.
    pub(super) fn tls(
        &self,
        name: &'static str,
        settings: Option<&config::Tls>,
        background: &mut JoinSet<()>,
    ) -> Result<Option<Arc<tls::Server>>, Error> {
        let Some(settings) = settings else { return Ok(None) };
        let server = tls::Server::new(name, settings.into()).map_err(|error| {
            Error::Config(format!("{name}: {error}\nhint: {}", error.fault.hint()))
        })?;
        let health = self.health.clone();
        background.spawn(server.clone().follow(move |problem| match problem {
            Some(problem) => health.report(name, problem),
            None => health.clear(name),
        }));
        Ok(Some(server))
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
