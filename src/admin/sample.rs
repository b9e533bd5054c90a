//! `GET /samples` and `POST /try`, in `hookbus dev` only: webhooks to try out an endpoint with, sent from the page.
//!
//! What is sent takes the walk of any other webhook of this machine, through the same routes and with the same answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http::Uri;
use serde_json::{Value, json};

use crate::message::Client;
use crate::receive::Receiver;
use crate::source;

pub(super) fn router(receiver: Arc<Receiver>) -> Router {
    let samples = {
        let receiver = receiver.clone();
        move || async move { super::json(&json!({ "samples": samples(&receiver) })) }
    };
    let handle = move |request: Request| async move { send(&receiver, request).await };
    Router::new().route("/samples", get(samples)).route("/try/{*path}", post(handle))
}

/// Those of the providers that endpoints speak.
fn samples(receiver: &Receiver) -> Vec<Value> {
    let endpoints = receiver.table.now();
    let all = endpoints.iter().flat_map(|(path, endpoint)| {
        let of_it = source::samples(&endpoint.source_name).iter();
        of_it.map(move |sample| {
            json!({
                "path": path,
                "auth": endpoint.auth_kinds,
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

/// A request to `/try/PATH` is one to the public listener's `/PATH`.
async fn send(receiver: &Receiver, mut request: Request) -> Response {
    let target = request.uri().path_and_query().map(http::uri::PathAndQuery::as_str);
    let target = target.and_then(|target| target.strip_prefix("/try")?.parse::<Uri>().ok());
    *request.uri_mut() = target.unwrap_or_default();
    let client = Client::new(std::net::Ipv4Addr::LOCALHOST);
    receiver.receive(request, &client).await
}
