//! What an instance of a service says of itself, read with patience: clients differ, and rubbish is possible.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The longest text that is kept of an answer, in characters.
const MAX_TEXT_CHARS: usize = 256;

/// Endpoints of one instance that are read.
const MAX_ENDPOINTS: usize = 1_024;

/// One instance. The other instances of the service differ in their ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Tells the instances of a service apart.
    pub id: String,
    /// What it answers.
    pub endpoints: Vec<Endpoint>,
}

/// One subject that an instance answers on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Endpoint {
    /// Its name within the service.
    pub name: String,
    /// The subject, which may hold wildcards.
    pub subject: String,
    /// The queue group; empty: every instance gets everything.
    pub queue_group: String,
    /// What it has done; nothing if it didn't say.
    pub statistics: Option<Statistics>,
}

/// What an endpoint has done since its start, as its client counts it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// Requests.
    pub requests: u64,
    /// Those that ended as errors.
    pub errors: u64,
    /// Time that one took on average, in milliseconds.
    pub average_milliseconds: f64,
    /// The last error; empty if there was none.
    pub last_error: String,
}

/// An answer, to either question.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "text")]
    id: String,
    #[serde(default, deserialize_with = "text")]
    version: String,
    #[serde(default, deserialize_with = "endpoints")]
    endpoints: Vec<Said>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "text")]
    subject: String,
    #[serde(deserialize_with = "text")]
    queue_group: String,
    #[serde(deserialize_with = "number")]
    num_requests: f64,
    #[serde(deserialize_with = "number")]
    num_errors: f64,
    #[serde(deserialize_with = "number")]
    average_processing_time: f64,
    #[serde(deserialize_with = "text")]
    last_error: String,
}

/// The instances by their names and ids: who answers twice is one.
pub(super) type Services = BTreeMap<(String, String), Service>;

impl Answer {
    /// Take what `$SRV.INFO` gave.
    pub(super) fn describe(self, services: &mut Services) {
        let endpoints = self.endpoints.into_iter().map(|said| Endpoint {
            name: said.name,
            subject: said.subject,
            queue_group: said.queue_group,
            statistics: None,
        });
        let service = Service {
            name: self.name.clone(),
            version: self.version,
            id: self.id.clone(),
            endpoints: endpoints.collect(),
        };
        services.insert((self.name, self.id), service);
    }

    /// Take what `$SRV.STATS` gave, of instances that are known.
    pub(super) fn count(self, services: &mut Services) {
        let Some(service) = services.get_mut(&(self.name, self.id)) else { return };
        for endpoint in &mut service.endpoints {
            let of_it = |said: &&Said| {
                said.name == endpoint.name
                    && (said.subject.is_empty() || said.subject == endpoint.subject)
            };
            endpoint.statistics = self.endpoints.iter().find(of_it).map(|said| Statistics {
                // A float that is out of range ends at the end of the range.
                requests: said.num_requests as u64,
                errors: said.num_errors as u64,
                average_milliseconds: (said.average_processing_time / 1e3).round() / 1e3,
                last_error: said.last_error.clone(),
            });
        }
    }
}

/// Anything as a text: cut, and nothing in it that changes more of a terminal than its line.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    Ok(text.chars().take(MAX_TEXT_CHARS).map(clean).collect())
}

/// Anything as a count.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = Value::deserialize(deserializer)?.as_f64().unwrap_or_default();
    Ok(number.max(0.0))
}

/// Some clients write `null` for none.
fn endpoints<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Said>, D::Error> {
    let mut endpoints = Option::<Vec<Said>>::deserialize(deserializer)?.unwrap_or_default();
    endpoints.truncate(MAX_ENDPOINTS);
    Ok(endpoints)
}

#[cfg(test)]
mod tests;
