//! Who does it: the bridge that runs, over its admin listener, or this process.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Failure;
use crate::cli::send::{is_loopback, root_cause};
use crate::cli::{dev, load};
use crate::config::secret::Secret;
use crate::config::{self, Config};
use crate::publish::replay::{self, Line, Task};
use crate::serve::{self, Offline};
use crate::spool;

/// The configuration that is used where none is named.
const CONFIG: &str = "hookbus.toml";

/// The variable with the token of the admin listener, for bridges without their configuration.
pub(super) const TOKEN: &str = "HOOKBUS_ADMIN_TOKEN";

const CONNECT: Duration = Duration::from_secs(5);

/// The longest text of a refusal that is shown.
const TEXT: usize = 4 << 10;

pub(super) enum Way {
    Bridge(Bridge),
    Offline(Box<Offline>),
}

pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("write the whole address, such as http://127.0.0.1:9180".to_owned())
    }
}

impl Way {
    pub(super) async fn find(admin: Option<Url>, config: Option<&Path>) -> Result<Self, Failure> {
        let default = Path::new(CONFIG);
        let file = config.or(default.exists().then_some(default));
        let (None, Some(file)) = (&admin, file) else {
            let listen = config::Admin::default().listen;
            let token = std::env::var(TOKEN).ok().map(Secret::new);
            let url = admin.map_or_else(|| at(listen, false), Ok)?;
            return Ok(Self::Bridge(Bridge::new(url, token)?));
        };
        let config = load(file).map_err(|failure| {
            failure.hint("`--admin URL` asks a bridge that runs, without a configuration")
        })?;
        let listen = dev::reachable(config.admin.listen);
        match timeout(CONNECT, TcpStream::connect(listen)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Self::offline(&config, listen)
            }
            _ => {
                let url = at(listen, config.admin.tls.is_some())?;
                Ok(Self::Bridge(Bridge::new(url, config.admin.token)?))
            }
        }
    }

    fn offline(config: &Config, listen: SocketAddr) -> Result<Self, Failure> {
        let directory = config.spool.dir.display();
        if config.spool.enabled && !config.spool.dir.is_dir() {
            return Err(Failure::failed(format_args!("there is no spool directory {directory}, and no bridge answers at {listen}"))
                .hint("`spool.dir` is seen from the working directory: run this where the bridge runs, or name its admin listener with --admin"));
        }
        match Offline::open(config) {
            Ok(offline) => Ok(Self::Offline(Box::new(offline))),
            Err(serve::Error::Spool(spool::Error::InUse(_))) => Err(Failure::failed(format_args!(
                "the spool directory {directory} is used by another process, and no bridge answers at {listen}"
            ))
            .hint("if that is a bridge, name its admin listener with --admin; else wait for its end")),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is a bridge that runs.
    pub(super) fn runs(&self) -> bool {
        matches!(self, Self::Bridge(_))
    }

    /// Wait for the brokers, if that is not somebody else's business.
    pub(super) async fn connected(&self) {
        if let Self::Offline(offline) = self {
            offline.connected().await;
        }
    }

    pub(super) async fn begin(&self, task: Task) -> Result<Lines, Failure> {
        match self {
            Self::Bridge(bridge) => bridge.begin(&task).await,
            Self::Offline(offline) => {
                let lines = offline.replays.begin(task).map_err(Failure::failed)?;
                Ok(Lines::Here(lines))
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Offline(offline) = self {
            offline.close().await;
        }
    }
}

fn at(listen: SocketAddr, has_tls: bool) -> Result<Url, Failure> {
    let scheme = if has_tls { "https" } else { "http" };
    let url = format!("{scheme}://{listen}/");
    Url::parse(&url).map_err(|error| Failure::failed(format_args!("{url}: {error}")))
}

/// A bridge that runs.
pub(super) struct Bridge {
    client: Client,
    url: Url,
    token: Option<Secret>,
}

impl Bridge {
    fn new(url: Url, token: Option<Secret>) -> Result<Self, Failure> {
        let mut builder = Client::builder()
            .user_agent(concat!("hookbus/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT);
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        if url.scheme() == "http" {
            // Without it the system's certificates are loaded, which takes time and fails where there are none.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            Failure::failed(format_args!("can't set up HTTP: {}", root_cause(&error)))
        })?;
        Ok(Self { client, url, token })
    }

    async fn begin(&self, task: &Task) -> Result<Lines, Failure> {
        let (is_post, path, query) = task.request();
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query((!query.is_empty()).then_some(&query));
        let request = if is_post { self.client.post(url) } else { self.client.get(url) };
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let response = request.send().await.map_err(|error| {
            let failure = Failure::failed(format_args!("no answer from {}: {}", self.place(), root_cause(&error)));
            failure.hint("--admin names another address; where no bridge runs, --config FILE lets this command open the spool by itself")
        })?;
        if response.status().is_success() {
            return Ok(Lines::There { response, buffer: BytesMut::new(), place: self.place() });
        }
        Err(self.refused(response).await)
    }

    /// The host and the port: nothing else of the address is shown, as it may be secret.
    fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.url.port_or_known_default().unwrap_or_default())
    }

    async fn refused(&self, mut response: Response) -> Failure {
        let status = response.status();
        let mut text = Vec::new();
        while text.len() < TEXT
            && let Ok(Some(chunk)) = response.chunk().await
        {
            text.extend_from_slice(&chunk);
        }
        text.truncate(TEXT);
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
            return failure.hint("is the admin listener of a hookbus of this version there?");
        }
        Failure::failed(text)
    }
}

/// The lines of a task.
pub(super) enum Lines {
    Here(replay::Lines),
    There { response: Response, buffer: BytesMut, place: String },
}

impl Lines {
    /// The next line; nothing if it ends here.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        let (response, buffer, place) = match self {
            Self::Here(lines) => return Ok(lines.recv().await),
            Self::There { response, buffer, place } => (response, buffer, place),
        };
        loop {
            if let Some(end) = memchr::memchr(b'\n', buffer) {
                let line = buffer.split_to(end + 1);
                let line = serde_json::from_slice(&line).map_err(|error| {
                    Failure::failed(format_args!("{place} answered something else: {error}"))
                        .hint("is the admin listener of a hookbus of this version there?")
                })?;
                return Ok(Some(line));
            }
            match response.chunk().await {
                Ok(Some(chunk)) => buffer.extend_from_slice(&chunk),
                // Whoever asks says that the end is missing.
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}
