//! What the cluster says of the settings of topics and brokers, as far as this user may ask.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Time for each request to the cluster.
pub(super) const TIMEOUT: Duration = Duration::from_secs(4);

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

/// What was found, and why not everything was.
pub(super) struct Found<T> {
    pub(super) found: T,
    pub(super) refused: Option<RDKafkaErrorCode>,
}

/// The settings of these topics.
pub(super) async fn topics(
    admin: &AdminClient<DefaultClientContext>,
    names: impl Iterator<Item = &String>,
) -> Found<BTreeMap<String, ConfigResource>> {
    let resources: Vec<_> = names.map(|name| ResourceSpecifier::Topic(name)).collect();
    let mut result = Found { found: BTreeMap::new(), refused: None };
    if resources.is_empty() {
        return result;
    }
    match admin.describe_configs(&resources, &options()).await {
        Ok(described) => {
            for resource in described {
                match resource {
                    Ok(resource) => {
                        if let OwnedResourceSpecifier::Topic(name) = &resource.specifier {
                            result.found.insert(name.clone(), resource);
                        }
                    }
                    Err(code) => result.refused = Some(code),
                }
            }
        }
        Err(error) => result.refused = Some(code(&error)),
    }
    result
}

/// The settings of a broker, which it is asked for itself.
pub(super) async fn broker(
    admin: &AdminClient<DefaultClientContext>,
    id: Option<i32>,
) -> Found<Option<ConfigResource>> {
    let Some(id) = id else { return Found { found: None, refused: None } };
    let resource = ResourceSpecifier::Broker(id);
    match admin.describe_configs([&resource], &options()).await {
        Ok(described) => match described.into_iter().next() {
            Some(Err(code)) => Found { found: None, refused: Some(code) },
            described => Found { found: described.and_then(Result::ok), refused: None },
        },
        Err(error) => Found { found: None, refused: Some(code(&error)) },
    }
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT))
}
