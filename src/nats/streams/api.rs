//! The requests to JetStream's API.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::stream::{Config as Stream, Info};
use async_nats::jetstream::{self, Context};
use futures_util::TryStreamExt;
use serde_json::{Value as Json, json};
use tokio::time::timeout;

/// Time for one request to the JetStream API.
pub(super) const API_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the server's streams could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("JetStream can't be asked: {text}")]
pub struct Error {
    text: String,
    /// There was no answer at all: a server that doesn't let this user ask says nothing.
    pub is_silence: bool,
}

/// One request to the API of JetStream, in its own words.
pub(super) async fn request(
    context: &Context,
    subject: String,
    body: &Json,
) -> Result<Json, async_nats::Error> {
    let answer: Json = context.request(subject, body).await?;
    match answer.get("error") {
        None => Ok(answer),
        Some(error) => Err(error["description"].as_str().unwrap_or("it refuses").to_owned().into()),
    }
}

/// The JetStream of the server, or of another domain.
pub fn context(client: &Client, domain: Option<&str>) -> Context {
    let mut context = match domain {
        None => jetstream::new(client.clone()),
        Some(domain) => jetstream::with_domain(client.clone(), domain),
    };
    context.set_timeout(API_TIMEOUT);
    context
}

/// All streams of the account.
pub async fn all(context: &Context) -> Result<Vec<Info>, Error> {
    let list = context.streams().try_collect();
    match timeout(API_TIMEOUT, list).await {
        Ok(list) => list.map_err(|error| {
            let text = error.to_string();
            Error { is_silence: text.contains("timed out"), text }
        }),
        Err(_) => Err(Error { text: "no answer in time".to_owned(), is_silence: true }),
    }
}

/// The subjects that the consumers of a stream want.
pub(super) async fn wanted(
    context: &Context,
    stream: &str,
) -> Result<Vec<String>, async_nats::Error> {
    let stream = context.get_stream(stream).await?;
    let mut consumers = stream.consumers();
    let mut wanted = Vec::new();
    while let Some(consumer) = consumers.try_next().await? {
        let config = consumer.config;
        let several = config.filter_subjects.into_iter().chain([config.filter_subject]);
        let before = wanted.len();
        wanted.extend(several.filter(|filter| !filter.is_empty()));
        if wanted.len() == before {
            wanted.push(">".to_owned());
        }
    }
    Ok(wanted)
}

/// Change what is written of a stream, and nothing else: not even what this program has no name for. Returns its
/// settings as they were.
pub(super) async fn update(
    context: &Context,
    found: &Stream,
    wanted: &Stream,
) -> Result<Box<Json>, async_nats::Error> {
    let name = &found.name;
    let info: Json = request(context, format!("STREAM.INFO.{name}"), &json!({})).await?;
    let before = info["config"].clone();
    let (from, to) = (serde_json::to_value(found)?, serde_json::to_value(wanted)?);
    let mut after = before.clone();
    if let (Some(after), Some(to)) = (after.as_object_mut(), to.as_object()) {
        let is_changed = |(key, value): &(&String, &Json)| from.get(*key) != Some(*value);
        after.extend(to.iter().filter(is_changed).map(|(key, value)| (key.clone(), value.clone())));
    }
    request(context, format!("STREAM.UPDATE.{name}"), &after).await?;
    Ok(Box::new(before))
}
