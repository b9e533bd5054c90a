//! Asking Kafka: is it there, are all its brokers, does it have the topics, how many copies does it keep, how large may
//! a record be.
//!
//! What this user may not look at is a warning: it can store events all the same.

mod cluster;
mod judge;
mod settings;
mod wanted;

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;

use self::cluster::{Cluster, Unreachable};
use self::judge::Judge;
use self::settings::Settings;
use self::wanted::Wanted;
use super::report::BrokerFindings;
use crate::config::{self, Config, librdkafka};
use crate::sink::kafka::{BROKER, address};

const COMPARE: &str = "compare `brokers` and `[kafka.properties]` with what the cluster expects";
const ADVERTISED: &str = "the cluster tells its clients to connect there (advertised.listeners of the broker): make that work from here, or let the broker name another address";

/// What the configured Kafka says; nothing where there is none.
pub(super) async fn ask(config: &Config) -> Option<BrokerFindings> {
    let kafka = config.kafka.as_ref()?;
    let mut report = BrokerFindings::new(BROKER);
    if let Err(error) = look(config, kafka, &mut report).await {
        let reason = error.to_string();
        let is_of_a_member = address::parts(&reason).0.is_some_and(address::is_member);
        let hint = if is_of_a_member { ADVERTISED } else { COMPARE };
        report.unreachable(reason, hint);
    }
    Some(report)
}

async fn look(
    config: &Config,
    kafka: &config::Kafka,
    report: &mut BrokerFindings,
) -> Result<(), anyhow::Error> {
    let mut client = librdkafka::producer(kafka, &config.http);
    // It only looks.
    client.set("allow.auto.create.topics", "false");
    let wanted = Wanted::new(config);
    let topics: Vec<String> = wanted.topics.keys().cloned().collect();
    let probe = client.clone();
    let cluster = tokio::task::spawn_blocking(move || Cluster::fetch(probe, &topics)).await?;
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(Unreachable { error, reason }) => {
            let reason = match reason {
                Some(reason) => cluster::explained(reason).await,
                None => error.to_string(),
            };
            return Err(anyhow::Error::msg(reason));
        }
    };
    report.reached(cluster.name());
    for broker in &cluster.brokers {
        if let Some(fault) = &broker.fault {
            report.unreachable(cluster::explained(fault.clone()).await, ADVERTISED);
        }
    }

    if cluster.is_mock() {
        report.note("this is the mock cluster of `hookbus dev --kafka`: it has no settings and keeps nothing, so limits and copies aren't checked");
        Judge {
            config,
            declared: &kafka.topics,
            cluster: &cluster,
            settings: &Settings::default(),
        }
        .all(&wanted, report);
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let existing = wanted.topics.keys().filter(|topic| cluster.topics.contains_key(*topic));
    let broker = cluster.brokers.iter().find(|broker| broker.fault.is_none());
    let (topics, broker) = tokio::join!(
        settings::topics(&admin, existing),
        settings::broker(&admin, broker.map(|broker| broker.id)),
    );
    let unseen = [topics.unseen, broker.unseen].concat();
    if !unseen.is_empty() {
        report.warn(
            format!("the settings of {} could not be looked at", unseen.join(", ")),
            "to have limits and copies checked, let this user describe them (DescribeConfigs on topics and cluster); events are stored without",
        );
    }
    let settings = Settings { topics: topics.found, broker: broker.found };
    let judge = Judge { config, declared: &kafka.topics, cluster: &cluster, settings: &settings };
    judge.all(&wanted, report);
    // Its end waits for a thread.
    tokio::task::spawn_blocking(move || drop(admin)).await?;
    Ok(())
}
