//! The public listener: a request becomes a webhook, what comes of it becomes a response.
//!
//! The accept loop is our own, on hyper-util under axum's router: `axum::serve` installs no
//! timer, which leaves every time limit of the connection without effect. Limits of
//! connections are in [`connection`].

pub mod connection;
mod response;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{Method, header};

use crate::body;
use crate::bridge::{Bridge, Endpoint};
use crate::message::Refusal;

/// The routes of the public listener, by path.
pub fn router(bridge: Arc<Bridge>, endpoints: BTreeMap<String, Arc<Endpoint>>) -> Router {
    let router = endpoints.into_iter().fold(Router::new(), |router, (path, endpoint)| {
        let state = (bridge.clone(), endpoint);
        router.route(&path, any(webhook).with_state(state))
    });
    router.fallback(async |request: Request| {
        refuse_unread(request.into_body());
        response::not_found()
    })
}

async fn webhook(
    State((bridge, endpoint)): State<(Arc<Bridge>, Arc<Endpoint>)>,
    request: Request,
) -> Response {
    let (head, mut body) = request.into_parts();
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
