//! Who answers what is configured, as NATS micro shows it.

use async_nats::Client;

use super::report::BrokerFindings;
use crate::config::{Config, Endpoint, Nats};
use crate::discovery::{self, Answering, Functions, Worker};

/// Workers that one run names since nobody asks them.
const MAX_NAMED: usize = 5;

/// What was found out, to be put into the report.
pub(super) struct Answers(Option<(Functions, discovery::Overview)>);

/// Ask for the workers of all functions. Where nothing is asked, nobody is.
pub(super) async fn ask(client: &Client, config: &Config, nats: &Nats) -> Answers {
    let asks =
        |endpoint: &Endpoint| endpoint.facts.has_jobs() || endpoint.facts.asked().count() > 0;
    if !config.endpoints.iter().any(asks) {
        return Answers(None);
    }
    let functions = Functions::new(config);
    let found = discovery::discover(client, &nats.inbox_prefix).await;
    let overview = discovery::Overview::new(functions.configured().to_vec(), &found);
    Answers(Some((functions, overview)))
}

impl Answers {
    pub(super) fn tell(self, report: &mut BrokerFindings) {
        let Some((functions, workers)) = self.0 else { return };
        if !workers.functions.is_empty() {
            for problem in workers.problems {
                let hint = "allow it, or wait until there is less; questions don't depend on it";
                report.warn(format!("who answers can't be told for sure: {problem}"), hint);
            }
        }
        let missed = workers
            .others
            .iter()
            .filter_map(|worker| functions.near_miss(&worker.subject).map(|near| (worker, near)));
        for (Worker { service, subject, .. }, near) in missed.take(MAX_NAMED) {
            report.warn(
                format!("`{service}` answers `{subject}`, which nobody asks"),
                format!("questions are asked on `{near}`: let it listen there, or set the `subject` of the rule"),
            );
        }
        for answering in &workers.functions {
            let (name, subject) = (answering.name(), &answering.subject);
            match &answering.warning {
                Some(warning) if answering.workers.is_empty() => report.warn(
                    format!("`{name}` (`{subject}`) has {warning}"),
                    "start one; a worker that is a plain subscription can't be seen here, and answers all the same",
                ),
                Some(warning) => report.warn(
                    format!("`{name}` (`{subject}`): {warning}"),
                    "let all workers be in the queue group `q`, so that one of them gets a question",
                ),
                None => {}
            }
            report.found(line(answering));
        }
    }
}

/// One function and its workers.
fn line(answering: &Answering) -> String {
    let workers: Vec<_> = answering.workers.iter().map(worker).collect();
    let workers = if workers.is_empty() {
        "no worker that can be seen".to_owned()
    } else {
        workers.join("; ")
    };
    format!("{} `{}`: {workers}", answering.endpoint, answering.name())
}

fn worker(worker: &Worker) -> String {
    let Worker { service, version, id, queue_group, .. } = worker;
    let mut text = format!("{service} {version} ({id}) in `{queue_group}`");
    if let (Some(requests), Some(errors), Some(average)) =
        (worker.requests, worker.errors, worker.average_milliseconds)
    {
        text += &format!(", {requests} requests, {errors} errors, {average:.1} ms on average");
    }
    if let Some(error) = &worker.last_error {
        text += &format!(", last error: {error}");
    }
    text
}
