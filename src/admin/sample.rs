//! `GET /samples` and `POST /try`, in `hookbus dev` only: webhooks to try out an endpoint with, sent from the page.
//!
//! What is sent takes the walk of any other webhook of this machine, through the same routes and with the same answer. It
//! is signed here, so that no secret reaches the page.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{StatusCode, Uri};
use reqwest::Url;
use serde_json::{Value, json};

use crate::auth::credential::Credential;
use crate::config::{Auth, Config};
use crate::message::Client;
use crate::receive::Receiver;
use crate::source;

/// Largest body that is signed.
const MAX_SIGNED: usize = 16 << 20;

/// What lets samples in, by the paths of their endpoints.
pub struct Trial {
    credentials: BTreeMap<String, (Credential, Url)>,
}

impl Trial {
    /// For the endpoints of this configuration that demand something which can be made here.
    pub fn new(config: &Config) -> Self {
        let demanding = config
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.auth.iter().any(|kind| matches!(kind, Auth::None {})));
        let credentials = demanding.filter_map(|endpoint| {
            // Where the signature covers it, it is the one that was told.
            let url = endpoint.public_url.as_deref().unwrap_or("http://localhost");
            let made = (Credential::of(endpoint)?, url.parse().ok()?);
            Some((endpoint.path.clone(), made))
        });
        Self { credentials: credentials.collect() }
    }
}

pub(super) fn router(receiver: Arc<Receiver>, trial: Trial) -> Router {
    let trial = Arc::new(trial);
    let samples = {
        let (receiver, trial) = (receiver.clone(), trial.clone());
        move || async move { super::json(&json!({ "samples": samples(&receiver, &trial) })) }
    };
    let handle = move |request: Request| async move { send(&receiver, &trial, request).await };
    Router::new().route("/samples", get(samples)).route("/try/{*path}", post(handle))
}

/// Those of the providers that endpoints speak.
fn samples(receiver: &Receiver, trial: &Trial) -> Vec<Value> {
    let endpoints = receiver.table.now();
    let all = endpoints.iter().flat_map(|(path, endpoint)| {
        let of_it = source::samples(&endpoint.source_name).iter();
        of_it.map(move |sample| {
            json!({
                "path": path,
                "auth": endpoint.auth_kinds,
                "signed": trial.credentials.contains_key(path),
                "name": sample.name,
                "about": sample.about,
                "content_type": sample.content_type,
                "query": sample.query,
                "headers": sample.headers,
                "body": sample.body,
            })
        })
    });
    all.collect()
}

/// A request to `/try/PATH` is one to the public listener's `/PATH`, with what lets it in.
async fn send(receiver: &Receiver, trial: &Trial, request: Request) -> Response {
    let (mut head, mut body) = request.into_parts();
    let target = head.uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    let target = target.and_then(|target| target.strip_prefix("/try")?.parse::<Uri>().ok());
    head.uri = target.unwrap_or_default();
    if let Some((credential, url)) = trial.credentials.get(head.uri.path()) {
        let Ok(bytes) = to_bytes(body, MAX_SIGNED).await else {
            return (StatusCode::PAYLOAD_TOO_LARGE, "it is too large to be signed\n")
                .into_response();
        };
        let mut url = url.clone();
        url.set_path(head.uri.path());
        url.set_query(head.uri.query());
        let signed = match credential.apply(&head.method, &url, bytes) {
            Ok(signed) => signed,
            Err(problem) => return (StatusCode::BAD_REQUEST, problem + "\n").into_response(),
        };
        let query = signed.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        head.uri = [signed.url.path(), &query].concat().parse().unwrap_or(head.uri);
        head.headers.remove(http::header::CONTENT_LENGTH);
        head.headers.extend(signed.headers);
        body = Body::from(signed.body);
    }
    let client = Client::new(std::net::Ipv4Addr::LOCALHOST);
    receiver.receive(Request::from_parts(head, body), &client).await
}
