//! `GET /routes`: endpoints, how their senders authenticate, and their rules; and `GET /routes/find`: where a webhook would
//! go. The answer comes from the code that routes webhooks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::bridge::Endpoint;
use crate::message::Question;
use crate::publish::Destination;
use crate::receive::EndpointTable;
use crate::route::{AskRule, RuleText};
use crate::template::Vars;

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    path: &'a str,
    /// The provider.
    source: &'a str,
    /// How senders authenticate, as `kind` in the configuration.
    auth: &'a [&'static str],
    events: Vec<RuleText>,
    questions: Vec<RuleText>,
    functions: Vec<RuleText>,
}

/// Where a webhook goes.
#[derive(Default, Serialize)]
struct Found<'a> {
    /// Whether its sender waits for an answer.
    asks: bool,
    /// The destinations that store it, or a copy of a question. Without any, an event is dropped on purpose.
    stored: Vec<Stored<'a>>,
    /// How it is asked, if it is a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Asked<'a>>,
}

#[derive(Serialize)]
struct Stored<'a> {
    destination: &'a str,
    /// The subject or topic.
    name: String,
}

#[derive(Serialize)]
struct Asked<'a> {
    subject: String,
    /// In milliseconds, where one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    /// The configured answer for when no worker gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<&'a RawValue>,
}

/// What is looked for.
#[derive(Default)]
struct Wanted {
    endpoint: String,
    kind: String,
    key: Option<String>,
    function: Option<String>,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            let some = (!value.is_empty()).then(|| value.clone());
            match &*name {
                "endpoint" => wanted.endpoint = value,
                "type" => wanted.kind = value,
                "key" => wanted.key = some,
                "function" => wanted.function = some,
                _ => return Err(format!("unknown parameter `{name}`")),
            }
        }
        Ok(wanted)
    }
}

fn find<'a>(endpoint: &'a Endpoint, wanted: &'a Wanted) -> Found<'a> {
    let Wanted { kind, key, function, .. } = wanted;
    let (routes, function) = (&endpoint.routes, function.as_deref());
    let vars = Vars { endpoint: &endpoint.name, kind, key: key.as_deref(), function };
    let stored = |to: &'a [Arc<Destination>]| {
        to.iter().map(|to| Stored { destination: to.text(), name: to.name(&vars) }).collect()
    };
    let known = endpoint.source.types().into_iter().find(|known| *known.name == **kind);
    if function.is_none() && !known.is_some_and(|known| known.asks) {
        return Found { stored: stored(routes.event(kind)), ..Found::default() };
    }
    let question = Question {
        function: function.map(Into::into),
        timeout: Duration::ZERO,
        limit: None,
        is_async: false,
        may_be_empty: false,
    };
    let rule = routes.rule(routes.ask(kind, &question));
    Found { asks: true, stored: stored(rule.copy_to.as_slice()), asked: Some(asked(rule, &vars)) }
}

fn asked<'a>(rule: &'a AskRule, vars: &Vars<'_>) -> Asked<'a> {
    let fallback = rule.fallback.as_ref().and_then(|json| serde_json::from_slice(json).ok());
    let timeout = rule.timeout().map(|time| time.as_millis() as u64);
    Asked { subject: rule.subject(vars), timeout, fallback }
}

fn answer(table: &EndpointTable, query: &str) -> Result<Response, (StatusCode, String)> {
    let wanted = Wanted::read(query).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let all = table.now();
    let endpoint = all.values().find(|endpoint| *endpoint.name == *wanted.endpoint);
    let unknown = || (StatusCode::NOT_FOUND, format!("there is no endpoint `{}`", wanted.endpoint));
    Ok(super::json(&find(endpoint.ok_or_else(unknown)?, &wanted)))
}

pub(super) fn router(table: Arc<EndpointTable>) -> Router {
    let all = table.clone();
    let list = move || async move {
        let endpoints = all.now();
        let rows: Vec<_> = endpoints.iter().map(|(path, endpoint)| row(path, endpoint)).collect();
        super::json(&serde_json::json!({ "endpoints": rows }))
    };
    let find = move |RawQuery(query): RawQuery| async move {
        answer(&table, &query.unwrap_or_default())
            .unwrap_or_else(|(status, text)| (status, text + "\n").into_response())
    };
    Router::new().route("/routes", get(list)).route("/routes/find", get(find))
}

fn row<'a>(path: &'a str, endpoint: &'a Endpoint) -> Row<'a> {
    let (events, questions, functions) = endpoint.routes.texts();
    let source = &*endpoint.source_name;
    let auth = &endpoint.auth_kinds;
    Row { name: &endpoint.name, path, source, auth, events, questions, functions }
}
