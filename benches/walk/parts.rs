//! A bridge without brokers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hookbus::answer_cache::AnswerCache;
use hookbus::auth::{Auth, Issuers, Seen, SeenDeliveries};
use hookbus::bridge::{BodyTimeout, Bridge, Diagnoses, Endpoint};
use hookbus::limit::{EndpointLimits, Limits};
use hookbus::live_tail::LiveTail;
use hookbus::message::Event;
use hookbus::publish::{Destinations, SinkWithTimeout, Sinks};
use hookbus::route::Routes;
use hookbus::sink::{self, Sending, Sink};
use hookbus::telemetry::health::Health;
use hookbus::telemetry::metrics::{EndpointMetrics, Metrics};
use hookbus::trace::Tracer;
use hookbus::{settings, source};

/// The endpoint of a configuration: what stores does so at once, and nobody answers. All traces are recorded, or none.
pub(crate) fn parts(config: &str, is_traced: bool) -> (Arc<Bridge>, Arc<Endpoint>) {
    let loaded = settings::parse("bench", config, |_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    let metrics = Arc::new(Metrics::new(is_traced));
    let sinks = Sinks {
        jetstream: Some(SinkWithTimeout {
            sink: Arc::new(AtOnce),
            ack_timeout: Duration::from_secs(5),
        }),
        ..Sinks::default()
    };
    let destinations = Destinations::new(sinks, None, metrics.clone(), Arc::new(Health::default()));
    let endpoint = &config.endpoints[0];
    let draft = destinations.draft();
    let routes = Routes::new(
        endpoint,
        Some(config.event_destination()),
        Some(config.job_destination()),
        &draft,
    );
    destinations.adopt(draft, config.http.max_events);
    let limits = Arc::new(Limits::new(&config.http));
    let source = source::of(endpoint);
    let built = Endpoint {
        metrics: EndpointMetrics::deferred(metrics.clone(), endpoint, source.types(), &[]),
        limits: Arc::new(EndpointLimits::new(limits.clone(), endpoint)),
        max_body: config.http.max_body.get(),
        body_timeout: BodyTimeout {
            known: config.http.body_timeout.get(),
            unknown: config.http.unverified_timeout.get(),
        },
        name: endpoint.name.as_str().into(),
        seen: Arc::new(Seen::new(1)),
        source,
        auth: Arc::new(Auth::new(endpoint, &[], &Issuers::default())),
        routes: routes.unwrap(),
        source_name: "vapi".into(),
        auth_kinds: Vec::new(),
        dedupe: endpoint.dedupe,
        answer_window: endpoint.answer_window.get(),
    };
    let bridge = Bridge {
        limits: limits.clone(),
        questions: None,
        answers: AnswerCache::default(),
        deliveries: SeenDeliveries::default(),
        turns: Arc::default(),
        diagnoses: Diagnoses::default(),
        metrics,
        live_tail: LiveTail::default(),
        tracer: is_traced.then(|| Arc::new(Tracer::new(1.0, drop))),
    };
    (Arc::new(bridge), Arc::new(built))
}

/// Stores everything without doing anything.
struct AtOnce;

impl Sink for AtOnce {
    fn send<'a>(&'a self, _: &'a str, _: &'a Event, _: tokio::time::Instant) -> Sending<'a> {
        Box::pin(std::future::ready(Ok::<(), sink::Error>(())))
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}
