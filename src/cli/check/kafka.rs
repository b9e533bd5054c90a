//! Asking Kafka: is it there, does it have the topics, how many copies does it keep, how large may a record be.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};

use super::connect::Report;
use super::event_destinations;
use crate::config::{self, Config, librdkafka};
use crate::sink::kafka::BROKER;
use crate::template::{Destination, Variable, Vars};

/// Time for each request to the cluster.
const TIMEOUT: Duration = Duration::from_secs(4);

/// What the configured Kafka says; nothing where there is none.
pub(super) async fn ask(config: &Config) -> Option<Report> {
    let kafka = config.kafka.as_ref()?;
    let mut report = Report::new(BROKER);
    if let Err(error) = look(config, kafka, &mut report).await {
        report.unreachable(
            error.to_string(),
            "compare `brokers` and `[kafka.properties]` with what the cluster expects",
        );
    }
    Some(report)
}

async fn look(
    config: &Config,
    kafka: &config::Kafka,
    report: &mut Report,
) -> Result<(), anyhow::Error> {
    let settings = librdkafka::client(kafka);
    let producer = settings.create_with_context(Listener::default())?;
    let cluster = tokio::task::spawn_blocking(move || fetch(&producer)).await??;
    report.reached(cluster.name());

    let wanted = Wanted::new(config);
    let existing: Vec<&str> = wanted
        .topics
        .keys()
        .filter(|topic| cluster.copies.contains_key(*topic))
        .map(String::as_str)
        .collect();
    let broker = cluster.brokers.first();
    let resources: Vec<_> = existing
        .iter()
        .map(|topic| ResourceSpecifier::Topic(topic))
        .chain(broker.map(|(id, _)| ResourceSpecifier::Broker(*id)))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let admin: AdminClient<DefaultClientContext> = settings.create()?;
    let mut settings = Settings::default();
    for described in admin.describe_configs(&resources, &options).await? {
        match described {
            Ok(resource) => settings.add(resource),
            Err(code) => report.warn(
                format!("some settings can't be read: {code}"),
                "let this user describe the settings of topics and cluster, to have them checked",
            ),
        }
    }
    let judge = Judge { config, declared: &kafka.topics, cluster: &cluster, settings: &settings };
    judge.all(&wanted, report);
    // Its end waits for a thread.
    tokio::task::spawn_blocking(move || drop(admin)).await?;
    Ok(())
}

/// The topics that the configuration writes to.
struct Wanted {
    /// Those whose names are certain, and whether they are for jobs only.
    topics: BTreeMap<String, bool>,
    /// There are others, whose names depend on the webhook.
    has_more: bool,
}

impl Wanted {
    fn new(config: &Config) -> Self {
        let mut wanted = Self { topics: BTreeMap::new(), has_more: false };
        for endpoint in &config.endpoints {
            wanted.add(&endpoint.name, config.job_destination(), true);
            for text in event_destinations(config, endpoint) {
                wanted.add(&endpoint.name, text, false);
            }
        }
        wanted
    }

    fn add(&mut self, endpoint: &str, text: &str, is_for_jobs: bool) {
        let Ok(Destination::Kafka(template)) = Destination::parse(text) else {
            return;
        };
        let open = [Variable::Type, Variable::Key, Variable::Function];
        if open.into_iter().any(|variable| template.uses(variable)) {
            self.has_more = true;
            return;
        }
        let vars = Vars { endpoint, kind: "", key: None, function: None };
        let only_jobs = self.topics.entry(template.render_topic(&vars)).or_insert(true);
        *only_jobs &= is_for_jobs;
    }
}

/// What the cluster says of its topics and of one broker.
#[derive(Default)]
struct Settings {
    topics: BTreeMap<String, ConfigResource>,
    broker: Option<ConfigResource>,
}

impl Settings {
    fn add(&mut self, resource: ConfigResource) {
        match &resource.specifier {
            OwnedResourceSpecifier::Topic(name) => {
                self.topics.insert(name.clone(), resource);
            }
            _ => self.broker = Some(resource),
        }
    }

    fn topic<T: FromStr>(&self, topic: &str, name: &str) -> Option<T> {
        value(self.topics.get(topic)?, name)
    }

    fn broker<T: FromStr>(&self, name: &str) -> Option<T> {
        value(self.broker.as_ref()?, name)
    }
}

fn value<T: FromStr>(resource: &ConfigResource, name: &str) -> Option<T> {
    resource.get(name)?.value.as_ref()?.parse().ok()
}

/// Remembers the last thing that went wrong.
#[derive(Default)]
struct Listener(Mutex<Option<String>>);

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down follows from what was reported before.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.0.lock() = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// What the cluster is made of.
struct Cluster {
    id: Option<String>,
    brokers: Vec<(i32, String)>,
    /// The fewest replicas of a partition, by topic.
    copies: BTreeMap<String, usize>,
}

impl Cluster {
    fn new(metadata: &Metadata, id: Option<String>) -> Self {
        let brokers = metadata.brokers().iter();
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Self {
            id,
            brokers: brokers
                .map(|broker| (broker.id(), format!("{}:{}", broker.host(), broker.port())))
                .collect(),
            copies: topics
                .map(|topic| {
                    let copies =
                        topic.partitions().iter().map(|partition| partition.replicas().len());
                    (topic.name().to_owned(), copies.min().unwrap_or_default())
                })
                .collect(),
        }
    }

    fn name(&self) -> String {
        let addresses: Vec<&str> = self.brokers.iter().map(|(_, address)| &**address).collect();
        format!("cluster `{}` ({})", self.id.as_deref().unwrap_or("unknown"), addresses.join(", "))
    }
}

/// Ask for everything. Blocks its thread.
fn fetch(producer: &BaseProducer<Listener>) -> Result<Cluster, anyhow::Error> {
    let client = producer.client();
    match client.fetch_metadata(None, TIMEOUT) {
        Ok(metadata) => Ok(Cluster::new(&metadata, client.fetch_cluster_id(TIMEOUT))),
        Err(error) => {
            // The error says only that it failed; what librdkafka reported meanwhile says why.
            producer.poll(Duration::from_millis(100));
            let reason = client.context().0.lock().take();
            Err(reason.map_or_else(|| error.into(), anyhow::Error::msg))
        }
    }
}

/// Everything that a judgement needs.
struct Judge<'a> {
    config: &'a Config,
    declared: &'a [config::Topic],
    cluster: &'a Cluster,
    settings: &'a Settings,
}

impl Judge<'_> {
    fn all(&self, wanted: &Wanted, report: &mut Report) {
        let mut takes_default = wanted.has_more;
        for (topic, only_jobs) in &wanted.topics {
            if let Some(copies) = self.cluster.copies.get(topic) {
                self.existing(topic, *copies, report);
            } else {
                self.missing(topic, *only_jobs, report);
                takes_default = true;
            }
        }
        let max_body = self.config.http.max_body;
        if takes_default
            && let Some(limit) = self.settings.broker::<usize>("message.max.bytes")
            && limit < max_body.get()
        {
            report.warn(
                format!("the brokers take no record over {limit} bytes (message.max.bytes), but `http.max_body` is {max_body}: larger webhooks are refused"),
                "raise it at the brokers, or max.message.bytes of the topics, or lower `http.max_body`",
            );
        }
    }

    fn missing(&self, topic: &str, only_jobs: bool, report: &mut Report) {
        const CREATE: &str = "create it, or declare it with [[kafka.topic]]";
        if let Some(declared) = self.declared.iter().find(|declared| declared.name == topic) {
            report.note(format!("topic `{topic}` is missing; `serve` will create it"));
            let by_default = || self.settings.broker("default.replication.factor");
            if declared.replication_factor.or_else(by_default) == Some(1) {
                single(topic, report);
            }
        } else if self.settings.broker("auto.create.topics.enable") == Some(true) {
            report.warn(
                format!(
                    "topic `{topic}` is missing; the cluster would make it with its own settings"
                ),
                CREATE,
            );
        } else if only_jobs {
            report.warn(
                format!("topic `{topic}` is missing, where asynchronous tool calls go"),
                CREATE,
            );
        } else {
            report
                .wrong(format!("topic `{topic}` is missing, or this user may not see it"), CREATE);
        }
    }

    fn existing(&self, topic: &str, copies: usize, report: &mut Report) {
        if copies == 1 {
            single(topic, report);
        } else if self.settings.topic(topic, "min.insync.replicas") == Some(1) {
            report.warn(
                format!("topic `{topic}` has {copies} copies, but one is enough for an acknowledgement (min.insync.replicas is 1)"),
                "set min.insync.replicas to 2",
            );
        }
        let max_body = self.config.http.max_body;
        if let Some(limit) = self.settings.topic::<usize>(topic, "max.message.bytes")
            && limit < max_body.get()
        {
            report.warn(
                format!("topic `{topic}` takes no record over {limit} bytes (max.message.bytes), but `http.max_body` is {max_body}: larger webhooks are refused"),
                "raise max.message.bytes, with some room for headers, or lower `http.max_body`",
            );
        }
    }
}

fn single(topic: &str, report: &mut Report) {
    report.warn(
        format!("topic `{topic}` has a single copy (replication factor 1)"),
        "with 3 copies and min.insync.replicas 2 it outlives the loss of a broker",
    );
}
