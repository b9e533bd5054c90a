//! The topics that a configuration writes to.

use std::collections::BTreeMap;

use super::super::event_destinations;
use crate::config::Config;
use crate::config::homes::Names;
use crate::template::{Destination, Variable, Vars};

/// The topics that the configuration writes to.
pub(super) struct Wanted {
    /// Those whose names are certain, and whether they are for jobs only.
    pub(super) topics: BTreeMap<String, bool>,
    /// The topics of the types that are known, by the destination that comes to them.
    pub(super) by_type: BTreeMap<String, Names>,
    /// There are others, whose names depend on the webhook.
    pub(super) has_more: bool,
}

impl Wanted {
    pub(super) fn new(config: &Config) -> Self {
        let mut wanted =
            Self { topics: BTreeMap::new(), by_type: BTreeMap::new(), has_more: false };
        for endpoint in &config.endpoints {
            if endpoint.facts.has_jobs() {
                wanted.add(&endpoint.name, config.job_destination(), true);
            }
            for text in event_destinations(config, endpoint) {
                if wanted.add(&endpoint.name, text, false) {
                    let names = Names::new(config, endpoint, text);
                    wanted.by_type.entry(text.to_owned()).or_default().merge(names);
                }
            }
        }
        wanted
    }

    /// Says whether it depends on the webhook which topic that is.
    fn add(&mut self, endpoint: &str, text: &str, is_for_jobs: bool) -> bool {
        let Ok(Destination::Kafka(template)) = Destination::parse(text) else {
            return false;
        };
        let open = [Variable::Type, Variable::Key, Variable::Function];
        if open.into_iter().any(|variable| template.uses(variable)) {
            self.has_more = true;
            return true;
        }
        let vars = Vars { endpoint, kind: "", key: None, function: None };
        let only_jobs = self.topics.entry(template.render_topic(&vars)).or_insert(true);
        *only_jobs &= is_for_jobs;
        false
    }
}
