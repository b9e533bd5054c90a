//! The public listener: a request becomes a webhook, what comes of it becomes a response.
//!
//! The accept loop is our own, on hyper-util under axum's router: `axum::serve` installs no
//! timer, which leaves every time limit of the connection without effect. Limits of
//! connections are in [`connection`].

pub mod connection;
mod framing;
mod response;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{Method, Version, header};

use crate::body;
use crate::bridge::{Bridge, Endpoint};
use crate::message::Refusal;

/// Endpoints by their paths.
pub type Endpoints = BTreeMap<String, Arc<Endpoint>>;

/// What is served now. It can be replaced at any time; a webhook ends at the endpoint that it began with.
#[derive(Default)]
pub struct Served {
    endpoints: ArcSwap<Endpoints>,
    wants_peers: Arc<AtomicBool>,
}

impl Served {
    /// Serve these, and no others.
    pub fn replace(&self, endpoints: Endpoints) {
        let wants_peers = endpoints.values().any(|endpoint| endpoint.auth.wants_peer());
        // Whoever asks for an address has to find one; who doesn't ask isn't troubled by it.
        self.wants_peers.fetch_or(wants_peers, Ordering::AcqRel);
        self.endpoints.store(Arc::new(endpoints));
    }

    /// What is served at this moment.
    pub fn now(&self) -> Arc<Endpoints> {
        self.endpoints.load_full()
    }

    /// Whether requests have to say where they come from.
    pub fn wants_peers(&self) -> Arc<AtomicBool> {
        self.wants_peers.clone()
    }
}

/// The public listener.
pub fn router(bridge: Arc<Bridge>, served: Arc<Served>) -> Router {
    Router::new().fallback(webhook).with_state((bridge, served))
}

async fn webhook(
    State((bridge, served)): State<(Arc<Bridge>, Arc<Served>)>,
    request: Request,
) -> Response {
    let (head, mut body) = request.into_parts();
    let Some(endpoint) = served.endpoints.load().get(head.uri.path()).cloned() else {
        refuse_unread(body);
        return response::not_found();
    };
    if !names_one_host(&head) {
        refuse_unread(body);
        return response::bad_host();
    }
    if head.method != Method::POST {
        refuse_unread(body);
        return response::method_not_allowed();
    }
    let done = bridge.walk(&endpoint, &head, &mut body).await;
    if let Err(refusal) = &done.result
        && is_unread(refusal)
        && !head.headers.contains_key(header::EXPECT)
    {
        refuse_unread(body);
    }
    response::of(done)
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
