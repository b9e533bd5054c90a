//! The admin listener of a bridge that runs: finding it, and asking it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use clap::Args;
use http::Method;
use reqwest::{Client, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{CONFIG_FILE, Failure, dev, load};
use crate::config::secret::Secret;
use crate::config::{self, Config};
use crate::http_client::{self, root_cause};

/// The variable with the token of the admin listener, for bridges without their configuration.
const TOKEN: &str = "HOOKBUS_ADMIN_TOKEN";

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Longest text of a refusal that is shown, in bytes.
const MAX_ERROR_BYTES: usize = 4 << 10;

/// Longest text that is read as a whole, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// Longest line that is read, in bytes.
const MAX_LINE_BYTES: usize = 4 << 20;

const SOMETHING_ELSE: &str = "is the admin listener of a hookbus of this version there?";

// A documentation comment would become the one of the whole command.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The admin listener of the bridge [default: as configured, or http://127.0.0.1:9180]; if it requires a token, set
    /// the variable HOOKBUS_ADMIN_TOKEN
    #[arg(long, value_name = "URL", value_parser = address, conflicts_with = "config")]
    admin: Option<Url>,
    /// The configuration file [default: hookbus.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Flags {
    /// The configuration that says where the listener is, unless an address does.
    pub(super) fn config(&self) -> Result<Option<Config>, Failure> {
        let default = Path::new(CONFIG_FILE);
        let file = self.config.as_deref().or(default.exists().then_some(default));
        let (None, Some(file)) = (&self.admin, file) else { return Ok(None) };
        let config = load(file).map_err(|failure| {
            failure.hint("`--admin URL` asks a bridge that runs, without a configuration")
        })?;
        Ok(Some(config))
    }

    /// The listener that they name.
    pub(super) fn listener(self) -> Result<Listener, Failure> {
        match self.config()? {
            Some(config) => Listener::of(&config),
            None => Listener::named(self.admin),
        }
    }
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("write the whole address, such as http://127.0.0.1:9180".to_owned())
    }
}

/// The admin listener of a bridge.
pub(super) struct Listener {
    client: Client,
    url: Url,
    token: Option<Secret>,
}

/// Why there is no answer.
pub(super) enum Unasked {
    /// Nothing listens there.
    Unreachable(Failure),
    /// It was refused.
    Refused(Failure),
}

impl From<Unasked> for Failure {
    fn from(unasked: Unasked) -> Self {
        match unasked {
            Unasked::Unreachable(failure) | Unasked::Refused(failure) => failure,
        }
    }
}

impl Listener {
    /// At this address, or at the one that is the default.
    fn named(admin: Option<Url>) -> Result<Self, Failure> {
        let token = std::env::var(TOKEN).ok().map(Secret::new);
        let url = admin.map_or_else(|| at(config::Admin::default().listen, false), Ok)?;
        Self::new(url, token)
    }

    /// Where this configuration says.
    pub(super) fn of(config: &Config) -> Result<Self, Failure> {
        let url = at(dev::reachable(config.admin.listen), config.admin.tls.is_some())?;
        Self::new(url, config.admin.token.clone())
    }

    fn new(url: Url, token: Option<Secret>) -> Result<Self, Failure> {
        let builder = http_client::builder(&url)
            .connect_timeout(CONNECT_TIMEOUT)
            // Some answers go on for ever: who sends them may be gone without a word.
            .tcp_keepalive(KEEP_ALIVE);
        let client = builder.build().map_err(|error| {
            Failure::failed(format_args!("can't set up HTTP: {}", root_cause(&error)))
        })?;
        Ok(Self { client, url, token })
    }

    /// Ask for something.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &str,
    ) -> Result<Response, Unasked> {
        let response = self.send(method, path, query).await.map_err(Unasked::Unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Unasked::Refused(self.refused(response).await))
    }

    async fn send(&self, method: Method, path: &str, query: &str) -> Result<Response, Failure> {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query((!query.is_empty()).then_some(query));
        let request = self.client.request(method, url);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        request.send().await.map_err(|error| self.no_answer(&error))
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        Failure::failed(format_args!("no answer from {}: {}", self.place(), root_cause(error)))
    }

    /// The text at this path, within so long, if it is one that a bridge gives where all is well.
    pub(super) async fn text_of(&self, path: &str, limit: Duration) -> Result<String, Failure> {
        let asking = async {
            let response = self.ask(Method::GET, path, "").await?;
            response.text().await.map_err(|error| Failure::failed(root_cause(&error)))
        };
        let late = |_| Failure::failed(format_args!("{} doesn't answer", self.place()));
        timeout(limit, asking).await.map_err(late)?
    }

    /// The text at this path, and its status: a bridge that isn't ready says why.
    pub(super) async fn text(&self, path: &str) -> Result<(StatusCode, String), Failure> {
        let mut response = self.send(Method::GET, path, "").await?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(&error))? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_TEXT_BYTES {
                return Err(self.odd("more text than it has"));
            }
        }
        Ok((response.status(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// The host and the port: nothing else of the address is shown, as it may be secret.
    pub(super) fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.url.port_or_known_default().unwrap_or_default())
    }

    /// It is there, and is no bridge.
    pub(super) fn odd(&self, what: impl std::fmt::Display) -> Failure {
        odd(&self.place(), what)
    }

    async fn refused(&self, mut response: Response) -> Failure {
        let status = response.status();
        let mut text = Vec::new();
        while text.len() < MAX_ERROR_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            text.extend_from_slice(&chunk);
        }
        text.truncate(MAX_ERROR_BYTES);
        let text = String::from_utf8_lossy(&text);
        if status == StatusCode::UNAUTHORIZED {
            let failure = Failure::failed(format_args!(
                "{} asks for the token of the admin listener",
                self.place()
            ));
            return failure.hint(format_args!(
                "set {TOKEN}, or name the bridge's configuration with --config"
            ));
        }
        let text = text.trim().replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
        if text.is_empty() {
            let failure = Failure::failed(format_args!("{} answered {status}", self.place()));
            return failure.hint(SOMETHING_ELSE);
        }
        Failure::failed(text)
    }
}

fn at(listen: SocketAddr, has_tls: bool) -> Result<Url, Failure> {
    let scheme = if has_tls { "https" } else { "http" };
    let url = format!("{scheme}://{listen}/");
    Url::parse(&url).map_err(|error| Failure::failed(format_args!("{url}: {error}")))
}

/// An answer that is one JSON object a line.
pub(super) struct ResponseLines {
    response: Response,
    buffer: BytesMut,
    place: String,
}

impl ResponseLines {
    /// The lines of an answer from there.
    pub(super) fn new(response: Response, place: String) -> Self {
        Self { response, buffer: BytesMut::new(), place }
    }

    /// The next line; nothing if it ends here.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.split_to(end + 1);
                return match serde_json::from_slice(&line) {
                    Ok(line) => Ok(Some(line)),
                    Err(error) => Err(odd(&self.place, error)),
                };
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(odd(&self.place, "a line without an end"));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                // The caller reports that the end is missing.
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

fn odd(place: &str, what: impl std::fmt::Display) -> Failure {
    Failure::failed(format_args!("{place} answered something else: {what}")).hint(SOMETHING_ELSE)
}
