//! What the state of a cluster means for a configuration.

use super::super::report::{BrokerFindings, larger_events};
use super::cluster::{Cluster, Topic};
use super::settings::Settings;
use super::wanted::Wanted;
use crate::config::{self, Config};

/// Missing topics of a destination that are named.
const MAX_NAMED: usize = 3;

/// Everything that a judgement needs.
pub(super) struct Judge<'a> {
    pub(super) config: &'a Config,
    pub(super) declared: &'a [config::Topic],
    pub(super) cluster: &'a Cluster,
    pub(super) settings: &'a Settings,
}

impl Judge<'_> {
    pub(super) fn all(&self, wanted: &Wanted, report: &mut BrokerFindings) {
        let mut takes_default = wanted.has_more;
        for (topic, only_jobs) in &wanted.topics {
            if let Some(found) = self.cluster.topics.get(topic) {
                self.existing(topic, found, report);
            } else if self.cluster.hidden.contains(topic) && !only_jobs {
                report.wrong(
                    format!("this user may not write to the topic `{topic}`, or it is missing"),
                    "let it write there (WRITE on the topic), or create the topic",
                );
            } else {
                self.missing(topic, *only_jobs, report);
                takes_default = true;
            }
        }
        for (destination, names) in &wanted.by_type {
            self.homeless(destination, names.known.iter(), report);
        }
        let max_body = self.config.http.max_body;
        if takes_default
            && let Some(limit) = self.settings.broker::<usize>("message.max.bytes")
            && limit < max_body.get()
        {
            report.warn(
                format!("the brokers take no record over {limit} bytes (message.max.bytes), but `http.max_body` is {max_body}: {}", larger_events(self.config)),
                "raise it at the brokers, or max.message.bytes of the topics, or lower `http.max_body`",
            );
        }
    }

    /// The topics of some types that are missing, together: there may be dozens.
    fn homeless<'a>(
        &self,
        destination: &str,
        topics: impl Iterator<Item = &'a String>,
        report: &mut BrokerFindings,
    ) {
        let is_declared = |topic: &str| self.declared.iter().any(|declared| declared.name == topic);
        let mut missing =
            topics.filter(|topic| !self.cluster.topics.contains_key(*topic) && !is_declared(topic));
        let named: Vec<_> =
            missing.by_ref().take(MAX_NAMED).map(|topic| format!("`{topic}`")).collect();
        let more = match missing.count() {
            _ if named.is_empty() => return,
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = named.join(", ");
        const ONE: &str =
            "create them, declare them with [[kafka.topic]], or let all types go to one topic";
        if self.settings.broker("auto.create.topics.enable") == Some(true) {
            report.warn(
                format!("topics are missing, where `{destination}` goes: {named}{more}; the cluster would make them with its own settings"),
                ONE,
            );
        } else {
            report.wrong(
                format!("topics are missing, or this user may not see them, where `{destination}` goes: {named}{more}; these events would wait on disk"),
                ONE,
            );
        }
    }

    fn missing(&self, topic: &str, only_jobs: bool, report: &mut BrokerFindings) {
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

    fn existing(&self, topic: &str, found: &Topic, report: &mut BrokerFindings) {
        let Topic { copies, in_sync, orphan } = *found;
        let needed = self.settings.topic::<usize>(topic, "min.insync.replicas");
        if copies == 1 && !self.cluster.is_mock() {
            single(topic, report);
        } else if needed == Some(1) {
            report.warn(
                format!("topic `{topic}` has {copies} copies, but one is enough for an acknowledgement (min.insync.replicas is 1)"),
                "set min.insync.replicas to 2",
            );
        }
        if let Some(partition) = orphan {
            report.unreachable(
                format!("partition {partition} of topic `{topic}` has no leader: its events can't be stored now"),
                "start the brokers that hold it",
            );
        } else if let Some(needed) = needed.filter(|needed| in_sync < copies.min(*needed)) {
            report.unreachable(
                format!("topic `{topic}` acknowledges nothing: min.insync.replicas is {needed}, but of its {copies} replicas only {in_sync} are in sync"),
                "start the brokers that hold the others, or wait until they have caught up",
            );
        }
        if let Some(needed) = needed.filter(|needed| copies < *needed) {
            report.warn(
                format!("topic `{topic}` has fewer replicas ({copies}) than min.insync.replicas ({needed}): many versions of Kafka refuse all its events"),
                "give the topic more replicas, or lower its min.insync.replicas",
            );
        }
        let max_body = self.config.http.max_body;
        if let Some(limit) = self.settings.topic::<usize>(topic, "max.message.bytes")
            && limit < max_body.get()
        {
            report.warn(
                format!("topic `{topic}` takes no record over {limit} bytes (max.message.bytes), but `http.max_body` is {max_body}: {}", larger_events(self.config)),
                "raise max.message.bytes, with some room for headers, or lower `http.max_body`",
            );
        }
    }
}

fn single(topic: &str, report: &mut BrokerFindings) {
    report.warn(
        format!("topic `{topic}` has a single copy (replication factor 1)"),
        "with 3 copies and min.insync.replicas 2 it outlives the loss of a broker",
    );
}
