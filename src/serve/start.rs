//! Building every part from the configuration.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use super::Error;
use super::brokers::{Brokers, Connect};
use crate::answer_cache::AnswerCache;
use crate::auth::{self, Auth, Issuers, Seen, SeenDeliveries};
use crate::bridge::{BodyTimeout, Bridge, Diagnoses, Endpoint};
use crate::config::{self, Config};
use crate::limit::{EndpointLimits, Limits};
use crate::live_tail::LiveTail;
use crate::nats::Connection;
use crate::nats::streams::RequiredStreams;
use crate::publish::dead_letters::SpoolTasks;
use crate::publish::{Destinations, Draft};
use crate::receive::{EndpointTable, Endpoints};
use crate::route::Routes;
use crate::sink::kafka::{self, Kafka};
use crate::source;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::{EndpointMetrics, Metrics};
use crate::tls;
use crate::trace::Tracer;

/// Everything that runs in one process.
pub(super) struct Components {
    pub(super) bridge: Arc<Bridge>,
    pub(super) table: Arc<EndpointTable>,
    pub(super) destinations: Arc<Destinations>,
    pub(super) spool_tasks: Arc<SpoolTasks>,
    pub(super) health: Arc<Health>,
    pub(super) required_streams: ArcSwap<RequiredStreams>,
    /// The connection that events are stored over.
    pub(super) events: Option<Arc<Connection>>,
    kafka: Option<Arc<Kafka>>,
    issuers: Issuers,
}

impl Components {
    /// Build all components; what they do by themselves is spawned into `background`.
    pub(super) fn build(
        config: &Config,
        metrics: Arc<Metrics>,
        tracer: Option<Arc<Tracer>>,
        background: &mut JoinSet<()>,
    ) -> Result<Arc<Self>, Error> {
        let health = Arc::new(Health::default());
        let mut questions = None;
        if let Some(settings) = &config.nats {
            let connect = Connect { settings, health: &health, metrics: &metrics };
            questions = Some(connect.questions(background)?);
        }
        if let Some(settings) = &config.kafka {
            background.spawn(create_topics(settings.clone(), health.clone()));
        }
        let Brokers { destinations, events, kafka } =
            Brokers::build(config, &health, &metrics, background)?;
        let spool_tasks = Arc::new(SpoolTasks::new(destinations.clone()));
        let bridge = Arc::new(Bridge {
            limits: Arc::new(Limits::new(&config.http)),
            questions,
            answers: AnswerCache::default(),
            deliveries: SeenDeliveries::default(),
            turns: Arc::default(),
            diagnoses: Diagnoses::default(),
            metrics,
            live_tail: LiveTail::default(),
            tracer,
        });
        bridge.live_tail.configure(&config.tail);
        let components = Self {
            bridge,
            table: Arc::default(),
            destinations,
            spool_tasks,
            health,
            required_streams: ArcSwap::from_pointee(RequiredStreams::new(config)),
            events,
            kafka,
            issuers: Issuers::default(),
        };
        let draft = components.destinations.draft();
        let endpoints = components.endpoints(config, None, &draft)?;
        components.destinations.adopt(draft, config.http.max_events);
        components.bridge.diagnoses.configure(&config.endpoints);
        components.serve(endpoints, &config.http, background);
        components.destinations.drain(background);
        Ok(Arc::new(components))
    }

    /// The endpoints of a configuration. What those `before` know of their senders is kept where it still holds.
    pub(super) fn endpoints(
        &self,
        config: &Config,
        before: Option<&Config>,
        destinations: &Draft<'_>,
    ) -> Result<Endpoints, Error> {
        let table = self.table.now();
        let known = config.http.body_timeout.get();
        let body_timeout =
            BodyTimeout { known, unknown: known.min(config.http.unverified_timeout.get()) };
        let mut endpoints = Endpoints::new();
        for endpoint in &config.endpoints {
            let name: Arc<str> = endpoint.name.as_str().into();
            let (event, job) = config.default_destinations();
            let routes = Routes::new(endpoint, event, job, destinations)
                .map_err(|error| Error::Config(format!("endpoint `{name}`: {error}")))?;
            let old = table.values().find(|old| old.name == name);
            let is_the_same = before.is_some_and(|before| same_auth(before, config, &name));
            let auth = old.filter(|_| is_the_same).map(|old| old.auth.clone());
            let limits = old.map(|old| old.limits.clone());
            let max_seen = endpoint.max_seen();
            let seen = self.bridge.deliveries.of(&name);
            let source = source::of(endpoint);
            let metrics = self.bridge.metrics.clone();
            let metrics =
                EndpointMetrics::deferred(metrics, endpoint, source.types(), &auth::REASONS);
            let built = Endpoint {
                name,
                source,
                metrics,
                auth: auth.unwrap_or_else(|| {
                    let proxies = &config.http.trusted_proxies;
                    Arc::new(Auth::new(endpoint, proxies, &self.issuers))
                }),
                limits: limits.unwrap_or_else(|| {
                    Arc::new(EndpointLimits::new(self.bridge.limits.clone(), endpoint))
                }),
                seen: seen.unwrap_or_else(|| Arc::new(Seen::new(max_seen))),
                max_body: config.http.max_body.get(),
                body_timeout,
                routes,
                source_name: endpoint.source.as_str().into(),
                auth_kinds: endpoint.auth.iter().map(|auth| auth.secrets().0).collect(),
                dedupe: endpoint.dedupe,
                answer_window: endpoint.answer_window.get(),
            };
            endpoints.insert(endpoint.path.clone(), Arc::new(built));
        }
        Ok(endpoints)
    }

    /// Serve these endpoints from now on, as `http` says.
    pub(super) fn serve(
        &self,
        endpoints: Endpoints,
        http: &config::Http,
        background: &mut JoinSet<()>,
    ) {
        self.health
            .set_can_fall_back(endpoints.values().any(|endpoint| endpoint.routes.has_fallback()));
        let known = self.table.now();
        for endpoint in endpoints.values() {
            // What is counted of it exists from now on.
            LazyLock::force(&endpoint.metrics);
            if !known.values().any(|old| Arc::ptr_eq(&old.auth, &endpoint.auth)) {
                background.spawn(endpoint.auth.prepare());
            }
            self.bridge.deliveries.keep(endpoint.name.clone(), endpoint.seen.clone());
        }
        self.table.replace(endpoints, http.health.clone());
    }

    /// The TLS of a listener, if it is to have any, and the watch over its files.
    pub(super) fn tls(
        &self,
        name: &'static str,
        settings: Option<&config::Tls>,
        anonymous: tls::Anonymous,
        background: &mut JoinSet<()>,
    ) -> Result<Option<Arc<tls::Server>>, Error> {
        let Some(settings) = settings else { return Ok(None) };
        let server = tls::Server::new(name, settings.into(), anonymous).map_err(|error| {
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
            Some(connection) => connection.attempted().await,
            None => false,
        }
    }

    /// Wait until events can be sent to NATS; for ever where it isn't configured.
    pub(super) async fn events_connected(&self) {
        match &self.events {
            Some(connection) => connection.connected().await,
            None => std::future::pending().await,
        }
    }

    /// Wait until events can't be sent to NATS.
    pub(super) async fn events_lost(&self) {
        match &self.events {
            Some(connection) => connection.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Let the brokers' clients send what they still hold.
    pub(super) async fn flush(&self, deadline: Instant) {
        let left =
            || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(500));
        for connection in
            self.bridge.questions.iter().map(|inbox| inbox.connection()).chain(&self.events)
        {
            connection.flush(left()).await;
        }
        if let Some(kafka) = self.kafka.clone() {
            let left = left();
            // It blocks its thread; a panic in there would have nothing left to lose.
            let _ = tokio::task::spawn_blocking(move || kafka.flush(left)).await;
        }
    }
}

/// Whether who may post to an endpoint of this name is told in the same way.
fn same_auth(before: &Config, now: &Config, name: &str) -> bool {
    fn of<'a>(config: &'a Config, name: &str) -> Option<impl PartialEq + use<'a>> {
        let endpoint = config.endpoints.iter().find(|endpoint| endpoint.name == name)?;
        let config::Endpoint { auth, allow_from, public_url, trust_unsigned, facts, .. } = endpoint;
        let proxies = &config.http.trusted_proxies;
        Some((auth, allow_from, public_url, trust_unsigned, &facts.description, proxies))
    }
    of(before, name) == of(now, name)
}

/// Create the declared topics, and try until the cluster could be asked.
pub(super) async fn create_topics(settings: config::Kafka, health: Arc<Health>) {
    const RETRY_INTERVAL: Duration = Duration::from_secs(2);
    /// Those that the cluster refuses may be created by somebody else.
    const REFUSED_INTERVAL: Duration = Duration::from_secs(60);
    const TOPIC_TIMEOUT: Duration = Duration::from_secs(10);
    let mut known = Vec::new();
    let mut complained = false;
    loop {
        match kafka::ensure(&settings, TOPIC_TIMEOUT).await {
            Ok(failed) if failed.is_empty() => return health.clear(TOPICS_SUBJECT),
            Ok(failed) => {
                if failed != known {
                    for text in &failed {
                        tracing::error!("{text}");
                    }
                    health.report(TOPICS_SUBJECT, failed.join("; "));
                    known = failed;
                }
                tokio::time::sleep(REFUSED_INTERVAL).await;
                continue;
            }
            Err(error) => {
                let names: Vec<_> =
                    settings.topics.iter().map(|topic| format!("`{}`", topic.name)).collect();
                let names = names.join(", ");
                health.report(TOPICS_SUBJECT, format!("{names} could not be created yet: {error}"));
                known.clear();
                if !complained {
                    warn!(%error, topics = names, "the declared topics could not be created yet; retrying");
                    complained = true;
                }
            }
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// The subject of problems with topics.
const TOPICS_SUBJECT: &str = "topics";
