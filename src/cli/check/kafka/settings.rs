//! What the cluster says of the settings of topics and brokers, as far as this user may ask.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

/// Time for each request to the cluster.
pub(super) const METADATA_TIMEOUT: Duration = Duration::from_secs(4);

/// Settings of topics, and of one broker for all.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) topics: BTreeMap<String, ConfigResource>,
    pub(super) broker: Option<ConfigResource>,
}

impl Settings {
    pub(super) fn topic<T: FromStr>(&self, topic: &str, name: &str) -> Option<T> {
        value(self.topics.get(topic)?, name)
    }

    pub(super) fn broker<T: FromStr>(&self, name: &str) -> Option<T> {
        value(self.broker.as_ref()?, name)
    }
}

fn value<T: FromStr>(resource: &ConfigResource, name: &str) -> Option<T> {
    resource.get(name)?.value.as_ref()?.parse().ok()
}

/// What was found, and what could not be looked at.
#[derive(Default)]
pub(super) struct Described<T> {
    pub(super) found: T,
    pub(super) unseen: Vec<String>,
}

/// The settings of these topics.
pub(super) async fn topics(
    admin: &AdminClient<DefaultClientContext>,
    names: impl Iterator<Item = &String>,
) -> Described<BTreeMap<String, ConfigResource>> {
    let mut result = Described::default();
    let names: Vec<&String> = names.collect();
    if names.is_empty() {
        return result;
    }
    let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let described = admin.describe_configs(&resources, &options()).await.unwrap_or_default();
    for resource in described.into_iter().filter_map(seen) {
        if let OwnedResourceSpecifier::Topic(name) = &resource.specifier {
            result.found.insert(name.clone(), resource);
        }
    }
    let unseen = names.iter().filter(|name| !result.found.contains_key(**name));
    result.unseen = unseen.map(|name| format!("topic `{name}`")).collect();
    result
}

/// The settings of a broker, which it is asked for itself.
pub(super) async fn broker(
    admin: &AdminClient<DefaultClientContext>,
    id: Option<i32>,
) -> Described<Option<ConfigResource>> {
    let Some(id) = id else { return Described::default() };
    let resource = ResourceSpecifier::Broker(id);
    let described = admin.describe_configs([&resource], &options()).await.unwrap_or_default();
    let found = described.into_iter().find_map(seen);
    let unseen = if found.is_none() { vec!["the brokers".to_owned()] } else { Vec::new() };
    Described { found, unseen }
}

/// Every resource has settings: without any it is one that this user may not look at, which rdkafka doesn't tell.
fn seen(resource: Result<ConfigResource, RDKafkaErrorCode>) -> Option<ConfigResource> {
    resource.ok().filter(|resource| !resource.entries.is_empty())
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(METADATA_TIMEOUT))
}
