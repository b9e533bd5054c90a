//! `[kafka]`: its cluster and topics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::Secret;
use super::units::Time;

/// `[kafka]`: the cluster that `kafka:` destinations write to.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Addresses (`host:port`) of some brokers of the cluster.
    pub brokers: Vec<String>,
    /// How long storing an event may take before it goes to the disk, or without a spool is refused. At least `"1500ms"`: librdkafka stops trying 1.2 s before.
    pub ack_timeout: Time,
    /// Any property of librdkafka: `security.protocol`, `sasl.mechanism`, `compression.type` and so on.
    /// The ones that the promises of the bridge rest on (`acks`, `enable.idempotence` and a few more) can't be set.
    pub properties: BTreeMap<String, Secret>,
    /// Topics to create at the start if they are missing.
    #[serde(rename = "topic")]
    pub topics: Vec<Topic>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            ack_timeout: Time::seconds(5),
            properties: BTreeMap::new(),
            topics: Vec::new(),
        }
    }
}

/// `[[kafka.topic]]`: a topic that is created if it is missing.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Name of the topic.
    #[schemars(example = &"calls.reports")]
    pub name: String,
    /// Number of partitions; unset: the broker's default.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub partitions: Option<i32>,
    /// Number of copies; unset: the broker's default.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub replication_factor: Option<i32>,
    /// Settings of the topic, such as `retention.ms`.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}
