//! What is counted of one endpoint. Everything that every webhook needs is looked up once, when the endpoint is built;
//! from then on counting is an index and an addition.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::{
    AuthenticationLabels, Latency, Metrics, OTHER, QuestionMetrics, RefusalLabels, Shared,
    WalkLabels, WebhookLabels,
};
use crate::config::Endpoint;
use crate::message::{KnownType, Outcome, Receipt, Refusal, WebhookOutcome};
use crate::trace::Ids;

/// The metrics of one endpoint.
pub struct EndpointMetrics {
    metrics: Arc<Metrics>,
    endpoint: Arc<str>,
    /// Types by their numbers; the last one stands for all others.
    types: Vec<Arc<str>>,
    /// By type, and by outcome.
    webhooks: Vec<[OnceLock<Counter>; WebhookOutcome::COUNT]>,
    event_seconds: Latency,
    question_seconds: Latency,
    /// By type, for questions that are asked as a whole.
    questions: Vec<Arc<QuestionMetrics>>,
    /// By rule, and by pattern in it.
    functions: Vec<Vec<Arc<QuestionMetrics>>>,
    /// By the number of the table in the configuration, and of the secret in it.
    authenticated: Vec<Vec<Counter>>,
}

/// The metrics of an endpoint of a configuration that may never be in use: until the first use nothing of them exists.
pub type DeferredMetrics =
    LazyLock<EndpointMetrics, Box<dyn FnOnce() -> EndpointMetrics + Send + 'static>>;

impl EndpointMetrics {
    /// Those of an endpoint, once they are needed. Senders may be refused for these reasons.
    pub fn deferred(
        metrics: Arc<Metrics>,
        settings: &Endpoint,
        types: Vec<KnownType>,
        unauthorized: &'static [&'static str],
    ) -> DeferredMetrics {
        let settings = settings.clone();
        LazyLock::new(Box::new(move || {
            metrics.unauthorized_reasons(&settings.name.as_str().into(), unauthorized);
            Self::new(&metrics, &settings, types)
        }))
    }

    /// Those of an endpoint whose source knows these types. What can be expected of it exists from now on, as zero: a
    /// rate can't see the first of a counter that wasn't there before.
    fn new(metrics: &Arc<Metrics>, settings: &Endpoint, types: Vec<KnownType>) -> Self {
        let endpoint: &Arc<str> = &settings.name.as_str().into();
        let seconds = |kind| {
            let labels = WalkLabels { endpoint: Shared(endpoint.clone()), kind };
            metrics.webhook_seconds.get_or_create_owned(&labels)
        };
        let other = KnownType { name: OTHER.clone(), asks: false };
        let types: Vec<_> = types.into_iter().chain([other]).collect();
        let questions = types.iter().map(|known| metrics.question_of_type(endpoint, &known.name));
        let authenticated = (1..).zip(&settings.auth).map(|(auth, accepted)| {
            let (kind, count) = accepted.secrets();
            let counter = |secret| {
                let endpoint = Shared(endpoint.clone());
                let labels = AuthenticationLabels { endpoint, auth, kind, secret };
                metrics.authentications.get_or_create_owned(&labels)
            };
            match count {
                0 => vec![counter(None)],
                _ => (1..=count).map(|secret| counter(Some(secret))).collect(),
            }
        });
        let functions = settings
            .tools
            .iter()
            .map(|rule| rule.names.iter().map(|name| metrics.function(endpoint, name)).collect());
        let endpoint_metrics = Self {
            metrics: metrics.clone(),
            endpoint: endpoint.clone(),
            webhooks: types
                .iter()
                .map(|_| [const { OnceLock::new() }; WebhookOutcome::COUNT])
                .collect(),
            event_seconds: seconds("event"),
            question_seconds: seconds("question"),
            questions: questions.collect(),
            functions: functions.collect(),
            authenticated: authenticated.collect(),
            types: types.iter().map(|known| known.name.clone()).collect(),
        };
        endpoint_metrics.begin(&types);
        endpoint_metrics
    }

    /// Counters of what usually becomes of webhooks of each type, and of all refusals.
    fn begin(&self, types: &[KnownType]) {
        use WebhookOutcome::{Event, Fallback, Handshake, Question, Refused, Repeated};
        for (number, known) in types.iter().enumerate() {
            let is_other = number + 1 == types.len();
            let asked = Outcome::ALL.map(Question).into_iter().chain([Fallback]);
            let told = [Receipt::Stored, Receipt::Spooled, Receipt::DeadLettered, Receipt::Dropped];
            let told = told.map(Event);
            let both = [Refused].into_iter().chain(asked.filter(|_| known.asks));
            let both = both.chain(told.into_iter().filter(|_| !known.asks));
            let other = [Repeated, Handshake].into_iter().filter(|_| is_other);
            for outcome in both.chain(other) {
                self.counter(number, outcome);
            }
        }
        for reason in Refusal::REASONS {
            self.metrics.refusals.get_or_create_owned(&self.refusal(reason));
        }
    }

    fn counter(&self, number: usize, outcome: WebhookOutcome) -> &Counter {
        let number = number.min(self.types.len() - 1);
        self.webhooks[number][outcome.index()].get_or_init(|| {
            let endpoint = Shared(self.endpoint.clone());
            let r#type = Shared(self.types[number].clone());
            let labels = WebhookLabels { endpoint, r#type, outcome: outcome.as_str() };
            self.metrics.webhooks.get(&labels)
        })
    }

    fn refusal(&self, reason: &'static str) -> RefusalLabels {
        RefusalLabels { endpoint: Shared(self.endpoint.clone()), reason }
    }

    /// The number of whatever type isn't known.
    pub fn other(&self) -> usize {
        self.types.len() - 1
    }

    /// The name of a type, as in the labels.
    pub fn type_name(&self, number: usize) -> &str {
        self.types.get(number).map_or("", |name| name)
    }

    /// A webhook of this type ended.
    pub fn webhook(&self, number: usize, outcome: WebhookOutcome) {
        self.counter(number, outcome).inc();
    }

    /// How long an event took.
    pub fn event_took(&self, took: Duration, span: Option<Ids>) {
        self.event_seconds.observe(took, span);
    }

    /// How long a webhook with questions took.
    pub fn question_took(&self, took: Duration, span: Option<Ids>) {
        self.question_seconds.observe(took, span);
    }

    /// A webhook got another answer than the sender wants; `reason` says which.
    pub fn refused(&self, reason: &'static str, took: Duration, span: Option<Ids>) {
        self.metrics.refused(&self.endpoint, reason, took, span);
    }

    /// A sender was accepted by the secret with this number in the table with that one.
    pub fn authenticated(&self, auth: usize, secret: usize) {
        if let Some(counter) = self.authenticated.get(auth).and_then(|all| all.get(secret)) {
            counter.inc();
        }
    }

    /// What is counted of the questions of this type, where they are asked as a whole.
    pub fn question(&self, number: usize) -> &Arc<QuestionMetrics> {
        &self.questions[number.min(self.questions.len() - 1)]
    }

    /// What is counted of a function: by the rule and the pattern in it that fit, else by its name.
    pub fn function(
        &self,
        (rule, pattern): (usize, usize),
        name: &Arc<str>,
    ) -> Arc<QuestionMetrics> {
        let ruled = self.functions.get(rule).and_then(|patterns| patterns.get(pattern));
        ruled.cloned().unwrap_or_else(|| self.metrics.unruled_function(&self.endpoint, name))
    }
}
