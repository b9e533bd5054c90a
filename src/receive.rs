//! The routes of the public listener: a request becomes a webhook, its result becomes a response.

mod response;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{Method, Version, header};

use crate::body;
use crate::bridge::{Bridge, Endpoint};
use crate::config::provider::Refuse;
use crate::message::{Client, Refusal};
use crate::telemetry::health::Health;

/// Endpoints by their paths.
pub type Endpoints = BTreeMap<String, Arc<Endpoint>>;

/// What is served now. It can be replaced at any time; a webhook ends at the endpoint that it began with.
#[derive(Default)]
pub struct EndpointTable {
    endpoints: ArcSwap<Endpoints>,
    /// The path that says whether this process should get traffic.
    health: ArcSwapOption<String>,
}

impl EndpointTable {
    /// Serve these, and no others; and say at this path whether to send traffic here.
    pub fn replace(&self, endpoints: Endpoints, health: Option<String>) {
        self.endpoints.store(Arc::new(endpoints));
        self.health.store(health.map(Arc::new));
    }

    /// What is served at this moment.
    pub fn now(&self) -> Arc<Endpoints> {
        self.endpoints.load_full()
    }

    fn is_health(&self, path: &str) -> bool {
        self.health.load().as_ref().is_some_and(|health| **health == path)
    }

    /// The path that one may have been meant for: it differs by slashes or by case alone.
    fn near(&self, path: &str) -> Option<String> {
        let endpoints = self.endpoints.load();
        let health = self.health.load();
        let mut all = endpoints.keys().chain(health.iter().map(|health| &**health));
        all.find(|known| plain(known).eq(plain(path))).cloned()
    }
}

/// A path without what is easily mistaken: case, slashes at its end, and those that follow another.
fn plain(path: &str) -> impl Iterator<Item = u8> {
    let bytes = path.trim_end_matches('/').bytes();
    let mut before = 0;
    let is_first = move |byte: &u8| std::mem::replace(&mut before, *byte) != b'/' || *byte != b'/';
    bytes.filter(is_first).map(|byte| byte.to_ascii_lowercase())
}

/// What answers the requests of the public listener.
pub struct Receiver {
    /// The walk of a webhook.
    pub bridge: Arc<Bridge>,
    /// The endpoints.
    pub table: Arc<EndpointTable>,
    /// Whether this process should get traffic.
    pub health: Arc<Health>,
}

impl Receiver {
    /// A request becomes a webhook, its result a response.
    pub async fn receive(&self, request: Request, client: &Client) -> Response {
        let (head, mut body) = request.into_parts();
        let endpoint = match find(&self.table, &head) {
            Ok(Target::Endpoint(endpoint)) => endpoint,
            Ok(Target::Health) => return response::health(self.health.readiness().0),
            Err(refusal) => {
                refuse_unread(body);
                let done = self.bridge.stray(&head, client, refusal);
                return response::of(done, &Refuse::default());
            }
        };
        let done = self.bridge.walk(&endpoint, &head, client, &mut body).await;
        if let Err(refusal) = &done.reply
            && is_unread(refusal)
            && !head.headers.contains_key(header::EXPECT)
        {
            refuse_unread(body);
        }
        response::of(done, &endpoint.source.refusals())
    }
}

/// Where a request gets to.
enum Target {
    Endpoint(Arc<Endpoint>),
    Health,
}

fn find(table: &EndpointTable, head: &Parts) -> Result<Target, Refusal> {
    let path = head.uri.path();
    let endpoint = table.endpoints.load().get(path).cloned();
    let is_health = endpoint.is_none() && table.is_health(path);
    if endpoint.is_none() && !is_health {
        return Err(Refusal::NoSuchPath { near: table.near(path) });
    }
    if !names_one_host(head) {
        return Err(Refusal::Host);
    }
    let Some(endpoint) = endpoint else {
        return match head.method {
            Method::GET | Method::HEAD => Ok(Target::Health),
            _ => Err(Refusal::Method { allowed: "GET, HEAD".into() }),
        };
    };
    let methods = endpoint.source.methods();
    if !methods.split(", ").any(|method| method == head.method.as_str()) {
        return Err(Refusal::Method { allowed: methods.to_owned().into() });
    }
    Ok(Target::Endpoint(endpoint))
}

/// HTTP/1.1 wants exactly one `Host` (RFC 9112, §3.2); the others at most one.
fn names_one_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let is_named = hosts.next().is_some() || head.version != Version::HTTP_11;
    is_named && hosts.next().is_none()
}

/// Whether a refusal comes before the body was read to its end.
fn is_unread(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Unauthorized
            | Refusal::Undecided
            | Refusal::TooLarge { .. }
            | Refusal::Encoding
            | Refusal::Overloaded(_)
    )
}

/// The response goes out at once; a sender that only reads after it has written everything gets to read it too.
fn refuse_unread(body: Body) {
    if !http_body::Body::is_end_stream(&body) {
        tokio::spawn(body::discard(body));
    }
}

#[cfg(test)]
mod tests;
