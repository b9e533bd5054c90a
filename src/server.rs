//! HTTP/1 and HTTP/2 for both listeners: accepting connections, their limits, and their orderly end.
//!
//! The accept loop is our own, on hyper-util under an axum router: `axum::serve` installs no timer, which leaves every
//! time limit of a connection without effect.
//!
//! `listener` accepts, `connection` serves one client. Below them: the requests of a connection (`requests`), the
//! time limits of reading (`read_timeout`), of writing (`write_timeout`) and of HTTP/2 streams (`streams`), a second
//! look at request boundaries (`framing`), and the way to the end (`shutdown`).

mod connection;
pub mod framing;
mod listener;
mod read_timeout;
mod requests;
mod shutdown;
mod streams;
mod write_timeout;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower_service::Service;

pub use self::listener::{bind, serve};
pub use self::shutdown::Shutdown;
use crate::message::Client;
use crate::receive::Receiver;
use crate::tls;

/// What a listener serves, and how.
#[derive(Clone)]
pub struct Settings {
    /// TLS, unless it is plain HTTP.
    pub tls: Option<Arc<tls::Server>>,
    /// Answers the requests.
    pub handler: Handler,
    /// Time limits.
    pub timeouts: Timeouts,
    /// How many connections may be open at a time.
    pub max_connections: usize,
}

/// What answers the requests of a listener.
#[derive(Clone)]
pub enum Handler {
    /// Those of senders. A client that shuts down its writing half behind its request gets its answer.
    Webhooks(Arc<Receiver>),
    /// Those of operators, which carry a [`ClientCertificate`] where one was shown.
    Admin(Router),
}

impl Handler {
    async fn handle(self, mut request: Request, client: Client) -> Response {
        match self {
            Self::Webhooks(receiver) => receiver.receive(request, &client).await,
            Self::Admin(mut router) => {
                if client.has_certificate {
                    request.extensions_mut().insert(ClientCertificate);
                }
                let Ok(response) = router.call(request).await;
                response
            }
        }
    }

    fn keeps_half_open(&self) -> bool {
        matches!(self, Self::Webhooks(_))
    }
}

/// The time limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the first byte of a connection, and from the first byte of a request for its whole head.
    pub head: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// For a client to take something of what is written to it.
    pub write: Duration,
}

/// Extension of a request whose client showed a certificate that we trust.
#[derive(Debug, Clone, Copy)]
pub struct ClientCertificate;
