//! The NATS connections: addresses, credentials, TLS, and what a broken one means.
//!
//! A [`Link`] is one logical connection that holds at most one client at a time. The
//! client keeps its queue of commands across its own reconnects, so that a question
//! could be sent long after its deadline. Therefore a client is never allowed to
//! reconnect: it is refused its credentials the second time, ends, and takes its queue
//! with it; the link builds a new one. A server that doesn't answer pings for
//! [`SILENCE`] counts as gone.
//!
//! Left out: who is asked and who stores (see `ask` and `sink`).

pub mod streams;

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_nats::{
    Auth, AuthError, Client, ConnectOptions, Event, HeaderMap, HeaderName, HeaderValue, Message,
    ServerAddr,
};
use futures_util::StreamExt;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

use crate::config::Nats;
use crate::config::secret::Secret;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Name of this broker in health and metrics.
pub const BROKER: &str = "nats";

/// A client pings this often; three unanswered pings end it.
const PING: Duration = Duration::from_secs(1);

/// How long a server may be silent before its connection is given up.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Time for one attempt to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// First and longest pause between attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Messages that may wait in the client for the socket. Small, so that a stuck socket is
/// felt here, where deadlines are, and not in a queue that knows none.
const CLIENT_QUEUE: usize = 256;

/// How to reach the servers.
#[derive(Debug, Clone)]
pub struct Settings {
    servers: Vec<ServerAddr>,
    credentials: Credentials,
    tls_ca: Option<PathBuf>,
    tls_client: Option<(PathBuf, PathBuf)>,
}

/// Who this client is.
#[derive(Debug, Clone)]
enum Credentials {
    /// What the server's address says, or nobody.
    Address,
    User {
        name: String,
        password: Secret,
    },
    Token(Secret),
    Nkey(Secret),
    /// A `.creds` file, read at every connect, so that it can be replaced.
    File(PathBuf),
}

/// Why there are no usable settings, or no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server address that can't be read.
    #[error("`{0}` is not the address of a NATS server")]
    Address(String),
    /// No server accepted a connection; the text is the last one's.
    #[error("{server}: {reason}")]
    Connect {
        /// The server that was tried last, without credentials.
        server: String,
        /// What it, or the network, said.
        reason: String,
    },
}

impl Settings {
    /// Settings from the configuration.
    pub fn new(config: &Nats) -> Result<Self, Error> {
        let servers = config
            .servers
            .iter()
            .map(|text| {
                text.parse().map_err(|_| {
                    // What stands before an `@` may be a password.
                    let address = text.rsplit('@').next().unwrap_or_default();
                    Error::Address(address.to_owned())
                })
            })
            .collect::<Result<_, _>>()?;
        let credentials = match (
            &config.user,
            &config.password,
            &config.token,
            &config.nkey,
            &config.credentials,
        ) {
            (_, _, _, _, Some(file)) => Credentials::File(file.clone()),
            (_, _, _, Some(seed), _) => Credentials::Nkey(seed.clone()),
            (_, _, Some(token), _, _) => Credentials::Token(token.clone()),
            (Some(name), password, _, _, _) => Credentials::User {
                name: name.clone(),
                password: password.clone().unwrap_or_else(|| Secret::new("")),
            },
            _ => Credentials::Address,
        };
        Ok(Self {
            servers,
            credentials,
            tls_ca: config.tls_ca.clone(),
            tls_client: config.tls_cert.clone().zip(config.tls_key.clone()),
        })
    }

    /// Connect to the first server that lets us in, for as long as that connection lasts.
    /// `gone` is notified when it ends.
    pub async fn connect(&self, gone: Arc<Notify>) -> Result<Client, Error> {
        let mut last = Error::Connect {
            server: "nats.servers".to_owned(),
            reason: "the list is empty".to_owned(),
        };
        for server in &self.servers {
            match self
                .options(server, gone.clone())
                .connect(server.clone())
                .await
            {
                Ok(client) => return Ok(client),
                Err(error) => {
                    last = Error::Connect {
                        server: format!("{}:{}", server.host(), server.port()),
                        reason: reason(&error),
                    };
                }
            }
        }
        Err(last)
    }

    fn options(&self, server: &ServerAddr, gone: Arc<Notify>) -> ConnectOptions {
        let credentials = self.credentials.clone();
        let address = server.clone();
        let used = Arc::new(AtomicBool::new(false));
        let mut options = ConnectOptions::with_auth_callback(move |nonce| {
            let credentials = credentials.clone();
            let address = address.clone();
            let again = used.swap(true, Ordering::Relaxed);
            async move {
                if again {
                    return Err(AuthError::new("a connection is used once"));
                }
                credentials.sign(&address, &nonce).map_err(AuthError::new)
            }
        })
        .name("hookbus")
        .connection_timeout(CONNECT)
        .ping_interval(PING)
        .client_capacity(CLIENT_QUEUE)
        .max_reconnects(1)
        .reconnect_delay_callback(|_| Duration::ZERO)
        .ignore_discovered_servers()
        .event_callback(move |event| {
            let gone = gone.clone();
            async move {
                if matches!(event, Event::Disconnected | Event::Closed) {
                    gone.notify_one();
                }
            }
        });
        if let Some(ca) = &self.tls_ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some((cert, key)) = &self.tls_client {
            options = options
                .add_client_certificate(cert.clone(), key.clone())
                .require_tls(true);
        }
        options
    }
}

impl Credentials {
    fn sign(&self, server: &ServerAddr, nonce: &[u8]) -> io::Result<Auth> {
        let mut auth = Auth::new();
        match self {
            Self::Address => {
                // A lone user name in an address is a token.
                match (server.username(), server.password()) {
                    (Some(user), Some(password)) => {
                        auth.username = Some(user.to_owned());
                        auth.password = Some(password.to_owned());
                    }
                    (Some(token), None) => auth.token = Some(token.to_owned()),
                    _ => {}
                }
            }
            Self::User { name, password } => {
                auth.username = Some(name.clone());
                auth.password = Some(password.expose().to_owned());
            }
            Self::Token(token) => auth.token = Some(token.expose().to_owned()),
            Self::Nkey(seed) => {
                let pair = nkeys::KeyPair::from_seed(seed.expose()).map_err(io::Error::other)?;
                auth.nkey = Some(pair.public_key());
                auth.signature = Some(pair.sign(nonce).map_err(io::Error::other)?);
            }
            Self::File(path) => {
                let text = std::fs::read_to_string(path)?;
                let part = |name| {
                    part(&text, name).ok_or_else(|| {
                        io::Error::other(format!("the credentials file holds no {name}"))
                    })
                };
                let pair =
                    nkeys::KeyPair::from_seed(part("USER NKEY SEED")?).map_err(io::Error::other)?;
                auth.jwt = Some(part("NATS USER JWT")?.to_owned());
                auth.signature = Some(pair.sign(nonce).map_err(io::Error::other)?);
            }
        }
        Ok(auth)
    }
}

/// The line between `BEGIN name` and `END name` of a credentials file.
fn part<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines();
    lines
        .by_ref()
        .find(|line| line.contains("BEGIN") && line.contains(name))?;
    lines.map(str::trim).find(|line| !line.is_empty())
}

/// The innermost cause, which is the part that says something.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Put a header into a map. The only place where that is done: with plain text it would panic on a line break.
#[expect(
    clippy::disallowed_methods,
    reason = "the value was made by its FromStr, which refuses line breaks"
)]
pub fn insert(headers: &mut HeaderMap, name: &'static str, value: HeaderValue) {
    headers.insert(HeaderName::from_static(name), value);
}

/// A text from outside as a header value, percent-encoded as the NATS binding of CloudEvents has it:
/// white space, quotes, `%`, control characters and everything that isn't ASCII (HTTP binding, §3.1.3.2).
pub fn encoded(text: &str) -> HeaderValue {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
    let encoded: Cow<'_, str> = utf8_percent_encode(text, ENCODED).into();
    // What is left is visible ASCII, which every header takes.
    encoded.parse().unwrap_or_default()
}

/// What a link is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first attempt is under way.
    New,
    Down,
    Up,
}

/// One logical connection. Its client comes and goes; whoever wants to send asks for it each time.
#[derive(Debug)]
pub struct Link {
    role: &'static str,
    client: ArcSwapOption<Client>,
    state: watch::Sender<State>,
}

impl Link {
    /// A link that isn't connected yet. `role` says what it is for.
    pub fn new(role: &'static str) -> Arc<Self> {
        Arc::new(Self {
            role,
            client: ArcSwapOption::empty(),
            state: watch::Sender::new(State::New),
        })
    }

    /// The client, if there is a connection now.
    pub fn client(&self) -> Option<Arc<Client>> {
        self.client.load_full()
    }

    /// Wait until there is a connection.
    pub async fn connected(&self) {
        self.wait(|state| state == State::Up).await;
    }

    /// Wait until the first attempt has ended. Returns whether there is a connection.
    pub async fn attempted(&self) -> bool {
        self.wait(|state| state != State::New).await == State::Up
    }

    async fn wait(&self, until: impl Fn(State) -> bool) -> State {
        let mut states = self.state.subscribe();
        // The sender lives as long as `self`, so that the wait can't fail.
        states
            .wait_for(|state| until(*state))
            .await
            .map_or(State::Down, |state| *state)
    }

    /// Send what the client still holds, within `limit`.
    pub async fn flush(&self, limit: Duration) {
        if let Some(client) = self.client() {
            // Whatever can't be flushed in time was never acknowledged to anybody.
            let _ = tokio::time::timeout(limit, client.flush()).await;
        }
    }

    /// Keep a connection for ever: connect, hand every message on `subject` to `deliver`
    /// until the connection ends, call `lost`, start again.
    pub async fn maintain(
        self: Arc<Self>,
        settings: Settings,
        subject: String,
        deliver: impl Fn(Message),
        lost: impl Fn(),
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) {
        let say = |up| metrics.set_connected(BROKER, health.set_connected(BROKER, self.role, up));
        let mut pause = PAUSE.0;
        let mut complained = false;
        say(false);
        loop {
            let gone = Arc::new(Notify::new());
            let opened = match settings.connect(gone.clone()).await {
                Ok(client) => match client.subscribe(subject.clone()).await {
                    Ok(replies) => Ok((client, replies)),
                    Err(error) => Err(error.to_string()),
                },
                Err(error) => Err(error.to_string()),
            };
            let (client, mut replies) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    if complained {
                        debug!(connection = self.role, error, "still not connected to NATS");
                    } else {
                        warn!(
                            connection = self.role,
                            error, "not connected to NATS; trying on"
                        );
                        complained = true;
                    }
                    self.state.send_replace(State::Down);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                    continue;
                }
            };
            let server = client.server_info();
            info!(
                connection = self.role,
                server = server.server_name,
                version = server.version,
                "connected to NATS"
            );
            (pause, complained) = (PAUSE.0, false);
            self.client.store(Some(Arc::new(client)));
            say(true);
            self.state.send_replace(State::Up);

            let gone = gone.notified();
            tokio::pin!(gone);
            loop {
                tokio::select! {
                    message = replies.next() => match message {
                        Some(message) => deliver(message),
                        None => break,
                    },
                    () = &mut gone => break,
                }
            }

            // Dropping the client is what keeps its queue from ever being sent.
            self.client.store(None);
            self.state.send_replace(State::Down);
            say(false);
            lost();
            warn!(
                connection = self.role,
                "the connection to NATS is gone; connecting again"
            );
        }
    }
}
