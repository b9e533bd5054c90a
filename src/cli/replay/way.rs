//! Who does it: the bridge that runs, over its admin listener, or this process.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use http::Method;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Failure;
use crate::cli::admin::{self, CONNECT, Listener, Unasked};
use crate::cli::dev;
use crate::config::Config;
use crate::publish::replay::{self, Line, Task};
use crate::serve::{self, Offline};
use crate::spool;

pub(super) enum Way {
    Bridge(Listener),
    Offline(Box<Offline>),
}

impl Way {
    pub(super) async fn find(admin: Option<Url>, config: Option<&Path>) -> Result<Self, Failure> {
        let Some(config) = admin::config(admin.as_ref(), config)? else {
            return Ok(Self::Bridge(Listener::named(admin)?));
        };
        let listen = dev::reachable(config.admin.listen);
        match timeout(CONNECT, TcpStream::connect(listen)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Self::offline(&config, listen)
            }
            _ => Ok(Self::Bridge(Listener::of(&config)?)),
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
            Self::Bridge(bridge) => begin(bridge, &task).await,
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

async fn begin(bridge: &Listener, task: &Task) -> Result<Lines, Failure> {
    let (is_post, path, query) = task.request();
    let method = if is_post { Method::POST } else { Method::GET };
    match bridge.ask(method, path, &query).await {
        Ok(response) => Ok(Lines::There(admin::Lines::new(response, bridge.place()))),
        Err(Unasked::Unreachable(failure)) => {
            Err(failure.hint("--admin names another address; where no bridge runs, --config FILE lets this command open the spool by itself"))
        }
        Err(Unasked::Refused(failure)) => Err(failure),
    }
}

/// The lines of a task.
pub(super) enum Lines {
    Here(replay::Lines),
    There(admin::Lines),
}

impl Lines {
    /// The next line; nothing if it ends here.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        match self {
            Self::Here(lines) => Ok(lines.recv().await),
            Self::There(lines) => lines.next().await,
        }
    }
}
