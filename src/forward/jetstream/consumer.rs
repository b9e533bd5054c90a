//! The consumer of one stream: made, or found and compared; and where it goes on after a break.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::ledger::Ledger;
use super::pull::{EXPIRES, Pull};
use super::settling::Settling;
use super::streams::{Error, Found};
use super::{Plan, Taken};
use crate::nats::streams::context;

/// After so long without a word the server hands a message out again.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Messages that may be with all instances of a consumer together.
const MAX_ACK_PENDING: u64 = 1_000;

/// How long a consumer without a durable name outlives the one that made it.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(60);

/// Pause between two looks whether what an earlier instance took is back.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// One stream, through all connections.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stream: String,
    pub(super) ledger: Arc<Ledger>,
    filters: Vec<String>,
    /// What the stream held when it was seen first.
    start: u64,
    created: i128,
    consumer: Mutex<Consumer>,
    /// What has to wait for what was handed out before.
    pub(super) settling: Settling<Taken>,
}

#[derive(Debug, Default)]
struct Consumer {
    name: String,
    max_ack_pending: u64,
}

impl Session {
    pub(super) fn new(found: &Found) -> Self {
        Self {
            stream: found.name.clone(),
            ledger: Arc::new(Ledger::new(&found.name)),
            filters: found.filters.clone(),
            start: found.last_sequence + 1,
            created: found.created,
            consumer: Mutex::default(),
            settling: Settling::default(),
        }
    }

    /// See to it that there is a consumer.
    pub(super) async fn prepare(
        &mut self,
        client: &Client,
        plan: &Plan,
        found: &Found,
    ) -> Result<(), Error> {
        if found.created != self.created {
            // Another stream: whatever it holds is new.
            *self = Self { start: 1, ..Self::new(found) };
        }
        self.filters.clone_from(&found.filters);
        let before = std::mem::take(&mut *self.consumer.lock()).name;
        let consumer = match &plan.durable {
            Some(name) => {
                self.durable(client, plan, (name, found.is_queue), !before.is_empty()).await?
            }
            None => {
                let name = format!("hookbus-forward-{}", uuid::Uuid::new_v4().simple());
                self.create(client, plan, &name, false).await?;
                Consumer { name, max_ack_pending: MAX_ACK_PENDING }
            }
        };
        *self.consumer.lock() = consumer;
        if plan.durable.is_none() && !before.is_empty() {
            // Only now, so that what came in between was wanted by somebody.
            self.delete(client, plan, &before).await;
        }
        Ok(())
    }

    /// The consumer of this name, if it does what is needed; else a new one.
    async fn durable(
        &self,
        client: &Client,
        plan: &Plan,
        (name, is_queue): (&str, bool),
        is_again: bool,
    ) -> Result<Consumer, Error> {
        let subject = format!("CONSUMER.INFO.{}.{name}", self.stream);
        match ask(client, plan, subject, &json!({})).await? {
            Ok(info) => {
                let config = &info["config"];
                if let Some(difference) = difference(config, &self.filters) {
                    let (stream, consumer) = (self.stream.clone(), name.to_owned());
                    return Err(Error::Differs { stream, consumer, difference });
                }
                self.expect_open(&self.unasked(client, plan, name, info.clone(), is_again).await?);
                Ok(Consumer {
                    name: name.to_owned(),
                    max_ack_pending: config["max_ack_pending"].as_u64().unwrap_or(MAX_ACK_PENDING),
                })
            }
            Err((ErrorCode::CONSUMER_NOT_FOUND, _)) => {
                self.create(client, plan, name, is_queue).await?;
                let name = name.to_owned();
                Ok(Consumer { name, max_ack_pending: MAX_ACK_PENDING })
            }
            Err((_, text)) => Err(Error::Other(text)),
        }
    }

    async fn create(
        &self,
        client: &Client,
        plan: &Plan,
        name: &str,
        is_queue: bool,
    ) -> Result<(), Error> {
        let mut config = json!({
            "name": name,
            "description": "hookbus forward",
            "ack_policy": "explicit",
            "ack_wait": nanoseconds(ACK_WAIT),
            "max_deliver": -1,
            "max_ack_pending": MAX_ACK_PENDING,
            "filter_subjects": self.filters,
            "replay_policy": "instant",
        });
        if plan.durable.is_some() {
            config["durable_name"] = name.into();
        } else {
            config["inactive_threshold"] = nanoseconds(INACTIVE_THRESHOLD).into();
        }
        // A durable one is made anew only where somebody deleted it: what is held here has to come from there too.
        let known =
            if plan.durable.is_some() { self.ledger.first_open() } else { self.ledger.next() };
        match (known, plan.since) {
            // A queue of work is read from its begin or not at all.
            _ if is_queue => config["deliver_policy"] = "all".into(),
            (None, Some(since)) => {
                config["deliver_policy"] = "by_start_time".into();
                config["opt_start_time"] =
                    humantime::format_rfc3339_nanos(since).to_string().into();
            }
            (known, _) => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = known.unwrap_or(self.start).into();
            }
        }
        let subject = format!("CONSUMER.CREATE.{}.{name}", self.stream);
        let request = json!({ "stream_name": self.stream, "config": config, "action": "create" });
        let created = ask(client, plan, subject, &request).await?;
        created.map(drop).map_err(|(_, text)| {
            Error::Other(format!("no consumer of the stream `{}` can be made: {text}", self.stream))
        })
    }

    /// What the consumer says of itself, once a request of the connection before is over: what the server still hands to
    /// that would be missing without anybody knowing.
    async fn unasked(
        &self,
        client: &Client,
        plan: &Plan,
        name: &str,
        mut info: Value,
        is_again: bool,
    ) -> Result<Value, Error> {
        let began = Instant::now();
        while is_again && info["num_waiting"].as_u64() > Some(0) && began.elapsed() < EXPIRES {
            sleep(LOOK_INTERVAL).await;
            let subject = format!("CONSUMER.INFO.{}.{name}", self.stream);
            info = ask(client, plan, subject, &json!({}))
                .await?
                .map_err(|(_, text)| Error::Other(text))?;
        }
        Ok(info)
    }

    /// What the consumer has handed out, and nobody acknowledged, comes before what is new. What is held here is no part
    /// of it.
    fn expect_open(&self, info: &Value) {
        let open = info["num_ack_pending"].as_u64().unwrap_or_default();
        let open = open.saturating_sub(self.ledger.held() as u64);
        if open > 0 {
            let wait = info["config"]["ack_wait"].as_u64().map_or(ACK_WAIT, Duration::from_nanos);
            let upto = info["delivered"]["stream_seq"].as_u64().unwrap_or_default();
            self.settling.begin(upto, open, Instant::now() + wait);
        }
    }

    /// Look whether others have done with what was open, until nothing is. `each` gets what may be posted then.
    pub(super) async fn settle(
        &self,
        client: &Client,
        plan: &Plan,
        ready: &impl Fn(&str),
        each: impl Fn(Taken),
    ) -> Result<(), Error> {
        let name = self.consumer.lock().name.clone();
        let mut is_said = false;
        while let Some((missing, until)) = self.settling.missing() {
            let subject = format!("CONSUMER.INFO.{}.{name}", self.stream);
            let info = ask(client, plan, subject, &json!({})).await?;
            let info = info.map_err(|(_, text)| Error::Other(text))?;
            let floor = info["ack_floor"]["stream_seq"].as_u64().unwrap_or_default();
            self.settling.release(floor).into_iter().for_each(&each);
            sleep(LOOK_INTERVAL).await;
            if self.settling.missing().is_some() && !std::mem::replace(&mut is_said, true) {
                let left = until.saturating_duration_since(Instant::now()).as_secs() + 1;
                ready(&format!(
                    "{missing} events of the consumer `{name}` are with another instance, or with one that is gone: what \
                     is newer waits until they are done or come again, {left} s at most"
                ));
            }
        }
        Ok(())
    }

    pub(super) async fn pull(&self, client: &Client, plan: &Plan) -> Result<Pull, Error> {
        let name = self.consumer.lock().name.clone();
        let subject = format!("{}.CONSUMER.MSG.NEXT.{}.{name}", prefix(plan), self.stream);
        Pull::new(client, subject).await
    }

    /// Messages and bytes that may be held.
    pub(super) fn window(&self, plan: &Plan) -> (usize, usize) {
        let most = self.consumer.lock().max_ack_pending;
        // Below one there is no limit.
        let most = if most == 0 { MAX_ACK_PENDING } else { most.min(MAX_ACK_PENDING) };
        (usize::try_from(most).unwrap_or(usize::MAX), plan.max_bytes)
    }

    /// What is read, for people.
    pub(super) fn describe(&self, plan: &Plan) -> String {
        let from = match (&plan.durable, plan.since) {
            (Some(name), _) => format!("consumer `{name}`"),
            (None, Some(since)) => format!("since {}", humantime::format_rfc3339_seconds(since)),
            (None, None) => "from now on".to_owned(),
        };
        format!("stream `{}` ({}), {from}", self.stream, self.filters.join(", "))
    }

    /// At the end nothing is left behind but what has a name.
    pub(super) async fn leave(&self, client: &Client, plan: &Plan) {
        let name = self.consumer.lock().name.clone();
        if plan.durable.is_none() && !name.is_empty() {
            self.delete(client, plan, &name).await;
        }
    }

    async fn delete(&self, client: &Client, plan: &Plan, name: &str) {
        let subject = format!("CONSUMER.DELETE.{}.{name}", self.stream);
        // The server forgets it by itself a little later.
        let _ = ask(client, plan, subject, &json!({})).await;
    }
}

/// What an existing consumer has that can't be worked with, and what is needed instead.
fn difference(config: &Value, filters: &[String]) -> Option<String> {
    let mut found = Vec::new();
    let mut differs = |what: &str, has: String, needed: &str| {
        found.push(format!("{what} is {has}, and must be {needed}"));
    };
    if let Some(subject) = config["deliver_subject"].as_str().filter(|text| !text.is_empty()) {
        differs("deliver_subject", format!("`{subject}`"), "unset: a pull consumer");
    }
    let policy = config["ack_policy"].as_str().unwrap_or("none");
    if policy != "explicit" {
        differs("ack_policy", format!("`{policy}`"), "`explicit`");
    }
    let max_deliver = config["max_deliver"].as_i64().unwrap_or(-1);
    if max_deliver > 0 {
        differs("max_deliver", max_deliver.to_string(), "-1: --max-deliver counts");
    }
    let backoff = config["backoff"].as_array().filter(|list| !list.is_empty());
    if backoff.is_some() {
        differs("backoff", "set".to_owned(), "unset");
    }
    if config["headers_only"].as_bool().unwrap_or_default() {
        differs("headers_only", "true".to_owned(), "false");
    }
    let several = config["filter_subjects"].as_array().into_iter().flatten();
    let all: BTreeSet<&str> =
        several.chain([&config["filter_subject"]]).filter_map(Value::as_str).collect();
    let has: BTreeSet<&str> = all.into_iter().filter(|filter| !filter.is_empty()).collect();
    let needed: BTreeSet<&str> = filters.iter().map(String::as_str).collect();
    if has != needed {
        let text = |all: &BTreeSet<&str>| {
            let all: Vec<_> = all.iter().map(|filter| format!("`{filter}`")).collect();
            if all.is_empty() { "unset".to_owned() } else { all.join(", ") }
        };
        differs("filter_subjects", text(&has), &text(&needed));
    }
    (!found.is_empty()).then(|| found.join("; "))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn prefix(plan: &Plan) -> String {
    plan.domain.as_ref().map_or_else(|| "$JS.API".to_owned(), |name| format!("$JS.{name}.API"))
}

/// One request to the API; the inner error is the server's own.
async fn ask(
    client: &Client,
    plan: &Plan,
    subject: String,
    request: &Value,
) -> Result<Result<Value, (ErrorCode, String)>, Error> {
    let answer: Response<Value> = context(client, plan.domain.as_deref())
        .request(subject, request)
        .await
        .map_err(|error| Error::Other(format!("JetStream can't be asked: {error}")))?;
    Ok(match answer {
        Response::Ok(value) => Ok(value),
        Response::Err { error } => Err((error.error_code(), error.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_of_its_own_has_no_difference() {
        let filters = ["a.>".to_owned(), "b".to_owned()];
        let fine = json!({
            "ack_policy": "explicit", "max_deliver": -1, "filter_subjects": ["b", "a.>"],
            "ack_wait": 5, "max_ack_pending": 10,
        });
        assert_eq!(difference(&fine, &filters), None);
        let single = json!({ "ack_policy": "explicit", "filter_subject": "b" });
        assert_eq!(difference(&single, &filters[1..]), None);
    }

    #[test]
    fn every_difference_is_told() {
        let other = json!({
            "deliver_subject": "x", "ack_policy": "none", "max_deliver": 5, "backoff": [1],
            "headers_only": true,
        });
        assert_eq!(
            difference(&other, &["a.>".to_owned()]).unwrap_or_default(),
            "deliver_subject is `x`, and must be unset: a pull consumer; \
             ack_policy is `none`, and must be `explicit`; \
             max_deliver is 5, and must be -1: --max-deliver counts; \
             backoff is set, and must be unset; \
             headers_only is true, and must be false; \
             filter_subjects is unset, and must be `a.>`"
        );
    }
}
