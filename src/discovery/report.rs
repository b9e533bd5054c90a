//! Functions and workers, put side by side.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::collect::Discovered;
use super::function::Function;
use super::service::{Endpoint, Service};

/// The queue group of all workers: of one group, one worker gets a question.
const GROUP: &str = "q";

/// Who answers what.
#[derive(Debug, Serialize, Deserialize)]
pub struct Overview {
    /// What is configured, and what was asked lately.
    pub functions: Vec<Answering>,
    /// Workers that answer something else.
    pub others: Vec<Worker>,
    /// What may be missing, and why.
    pub problems: Vec<String>,
    /// Nothing came back at all, so that nothing is known of any function.
    #[serde(skip)]
    pub is_silent: bool,
}

/// One function, or one type of question, and its workers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answering {
    /// Name of the endpoint.
    pub endpoint: Arc<str>,
    /// The function; or
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<Arc<str>>,
    /// the type of the question.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<Arc<str>>,
    /// The subject; `*` stands for any run of characters.
    pub subject: String,
    /// Those that NATS micro shows.
    pub workers: Vec<Worker>,
    /// What is wrong with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// One subject of one instance of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Name of the service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Tells the instances of a service apart.
    pub id: String,
    /// The subject that it answers on.
    pub subject: String,
    /// Its queue group; empty: none.
    pub queue_group: String,
    /// What it was asked since its start; nothing, if it didn't say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// What of that ended as an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    /// How long it took on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_milliseconds: Option<f64>,
    /// The last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl Overview {
    /// Of these functions, and of what was found.
    pub fn new(functions: Vec<Function>, found: &Discovered) -> Self {
        let all: Vec<Worker> = found
            .services
            .iter()
            .flat_map(|service| {
                service.endpoints.iter().map(|endpoint| Worker::new(service, endpoint))
            })
            .collect();
        let is_other = |worker: &&Worker| {
            !functions.iter().any(|function| function.is_answered_on(&worker.subject))
        };
        let others = all.iter().filter(is_other).cloned().collect();
        let answering = functions.into_iter().map(|function| {
            let of_it = |worker: &&Worker| function.is_answered_on(&worker.subject);
            let workers: Vec<_> = all.iter().filter(of_it).cloned().collect();
            Answering::new(function, workers, found.is_silent)
        });
        Self {
            functions: answering.collect(),
            others,
            problems: found.problems.clone(),
            is_silent: found.is_silent,
        }
    }
}

impl Answering {
    fn new(function: Function, workers: Vec<Worker>, is_silent: bool) -> Self {
        let name = Some(function.asked.name);
        let (function_name, kind) =
            if function.asked.is_function { (name, None) } else { (None, name) };
        let warning = if workers.is_empty() {
            (!is_silent).then(|| "no worker that NATS micro shows".to_owned())
        } else {
            stray(&workers)
        };
        Self {
            endpoint: function.asked.endpoint,
            function: function_name,
            r#type: kind,
            subject: function.subject,
            workers,
            warning,
        }
    }

    /// The function, or the type.
    pub fn name(&self) -> &str {
        self.function.as_deref().or(self.r#type.as_deref()).unwrap_or_default()
    }
}

/// Whether some worker gets what another one gets too.
fn stray(workers: &[Worker]) -> Option<String> {
    let stray = workers.iter().find(|worker| worker.queue_group != GROUP)?;
    let Worker { service, id, queue_group, .. } = stray;
    Some(if queue_group.is_empty() {
        format!(
            "`{service}` ({id}) is in no queue group: each of its instances is asked, beside those in `{GROUP}`"
        )
    } else {
        format!(
            "`{service}` ({id}) is in the queue group `{queue_group}`: it is asked beside those in `{GROUP}`"
        )
    })
}

impl Worker {
    fn new(service: &Service, endpoint: &Endpoint) -> Self {
        let statistics = endpoint.statistics.as_ref();
        let last_error = statistics.map(|statistics| statistics.last_error.clone());
        Self {
            service: service.name.clone(),
            version: service.version.clone(),
            id: service.id.clone(),
            subject: endpoint.subject.clone(),
            queue_group: endpoint.queue_group.clone(),
            requests: statistics.map(|statistics| statistics.requests),
            errors: statistics.map(|statistics| statistics.errors),
            average_milliseconds: statistics.map(|statistics| statistics.average_milliseconds),
            last_error: last_error.filter(|error| !error.is_empty()),
        }
    }
}
