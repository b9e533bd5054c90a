//! How to reach the servers: addresses, credentials, TLS.

use std::future::ready;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{
    Auth, AuthError, Client, ConnectErrorKind, ConnectOptions, ReconnectToServer, ServerAddr,
};

use super::Notices;
use crate::config::Nats;
use crate::config::address::{Login, login};
use crate::config::secret::Secret;
use crate::http_client::root_cause;
use crate::tls;

/// A client pings this often. The third ping that goes unanswered ends it.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Time for one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An address without a listener: a client that lost its connection tries once more, and is sent here, since
/// whatever it still has in its queue must not reach any server.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// Messages that may wait in the client for the socket. Small, so that a stuck socket is
/// felt where deadlines are known, and not in a queue that knows none.
const CLIENT_QUEUE: usize = 256;

/// How to reach the servers.
#[derive(Debug, Clone)]
pub struct Settings {
    servers: Vec<ServerAddr>,
    credentials: Credentials,
    tls_ca: Option<PathBuf>,
    tls_client: Option<(PathBuf, PathBuf)>,
    tls_first: bool,
    inbox_prefix: String,
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
            tls_first: config.tls_first,
            inbox_prefix: config.inbox_prefix.clone(),
        })
    }

    /// Connect to the first server that lets us in, for as long as that connection lasts.
    pub async fn connect(&self, notices: Arc<Notices>) -> Result<Client, Error> {
        self.connect_from(0, notices).await.map(|(client, _)| client)
    }

    /// The same, beginning with the server at this place of the list, which begins anew at its end. Returns the place
    /// of the one that let us in too.
    pub async fn connect_from(
        &self,
        first: usize,
        notices: Arc<Notices>,
    ) -> Result<(Client, usize), Error> {
        let mut last = Error::Connect {
            server: "nats.servers".to_owned(),
            reason: "the list is empty".to_owned(),
        };
        let nowhere: ServerAddr =
            NOWHERE.parse().map_err(|_| Error::Address(NOWHERE.to_owned()))?;
        let count = self.servers.len();
        let servers = self.servers.iter().enumerate().cycle().skip(first % count.max(1));
        for (place, server) in servers.take(count) {
            let addresses = [server.clone(), nowhere.clone()];
            match self.options(addresses.clone(), notices.clone()).connect(addresses.to_vec()).await
            {
                Ok(client) => return Ok((client, place)),
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

    /// The first of these addresses is that of the server; the other one is for what comes after the connection.
    fn options(&self, addresses: [ServerAddr; 2], notices: Arc<Notices>) -> ConnectOptions {
        let credentials = self.credentials.clone();
        let [server, nowhere] = addresses;
        let (address, is_used) = (server.clone(), Arc::new(AtomicBool::new(false)));
        let mut options = ConnectOptions::with_auth_callback(move |nonce| {
            let (credentials, address) = (credentials.clone(), address.clone());
            async move { credentials.sign(&address, &nonce).map_err(AuthError::new) }
        })
        .reconnect_to_server_callback(move |_, _| {
            let again = is_used.swap(true, Ordering::Relaxed);
            let addr = if again { nowhere.clone() } else { server.clone() };
            ready(Some(ReconnectToServer { addr, delay: Some(Duration::ZERO) }))
        })
        .name("hookbus")
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .client_capacity(CLIENT_QUEUE)
        // For the client's own requests, such as those to the API of JetStream.
        .custom_inbox_prefix(&self.inbox_prefix)
        .max_reconnects(1)
        .ignore_discovered_servers()
        .event_callback(move |event| {
            notices.take(event);
            ready(())
        });
        if self.tls_first {
            options = options.tls_first();
        }
        if let Some(ca) = &self.tls_ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some((cert, key)) = &self.tls_client {
            options = options.add_client_certificate(cert.clone(), key.clone()).require_tls(true);
        }
        options
    }
}

impl Credentials {
    fn sign(&self, server: &ServerAddr, nonce: &[u8]) -> io::Result<Auth> {
        let mut auth = Auth::new();
        match self {
            Self::Address => {
                let login = login(server);
                match login.ok_or_else(|| io::Error::other("the login isn't UTF-8"))? {
                    Login::User(user, password) => {
                        auth.username = Some(user);
                        auth.password = Some(password);
                    }
                    Login::Token(token) => auth.token = Some(token),
                    Login::None => {}
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
    lines.by_ref().find(|line| line.contains("BEGIN") && line.contains(name))?;
    lines.map(str::trim).find(|line| !line.is_empty())
}

/// What happened, in words that say something.
fn reason(error: &async_nats::ConnectError) -> String {
    if error.kind() == ConnectErrorKind::AuthorizationViolation {
        return "the server refuses these credentials (authorization violation)".to_owned();
    }
    tls::reason::explain(error).unwrap_or_else(|| root_cause(error))
}
