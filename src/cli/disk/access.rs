//! Who does the work: the running bridge, over its admin listener, or this process, with the spool opened directly.

use std::io;
use std::net::SocketAddr;

use http::Method;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::Failure;
use crate::cli::admin::{self, CONNECT_TIMEOUT, Listener, Unasked};
use crate::cli::dev;
use crate::config::Config;
use crate::publish::dead_letters::{self, Line, Task};
use crate::serve::{self, Offline};
use crate::spool;

pub(super) enum Access {
    Bridge(Listener),
    Offline(Box<Offline>),
}

impl Access {
    pub(super) async fn find(bridge: admin::Flags) -> Result<Self, Failure> {
        let Some(config) = bridge.config()? else {
            return Ok(Self::Bridge(bridge.listener()?));
        };
        let listen = dev::reachable(config.admin.listen);
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(listen)).await {
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
                .hint("`spool.dir` is relative to the working directory: run this where the bridge runs, or name its admin listener with --admin"));
        }
        match Offline::open(config) {
            Ok(offline) => Ok(Self::Offline(Box::new(offline))),
            Err(serve::Error::Spool(spool::Error::InUse(_))) => Err(Failure::failed(format_args!(
                "another process uses the spool directory {directory}, and no bridge answers at {listen}"
            ))
            .hint("if that is a bridge, name its admin listener with --admin; otherwise wait until it ends")),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a running bridge does the work.
    pub(super) fn is_bridge(&self) -> bool {
        matches!(self, Self::Bridge(_))
    }

    /// Wait for the brokers, unless the bridge is connected to them anyway.
    pub(super) async fn connected(&self) {
        if let Self::Offline(offline) = self {
            offline.connected().await;
        }
    }

    pub(super) async fn begin(&self, task: Task) -> Result<TaskLines, Failure> {
        match self {
            Self::Bridge(bridge) => begin(bridge, &task).await,
            Self::Offline(offline) => {
                let lines = offline.spool_tasks.begin(task).map_err(Failure::failed)?;
                Ok(TaskLines::Here(lines))
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Offline(offline) = self {
            offline.close().await;
        }
    }
}

async fn begin(bridge: &Listener, task: &Task) -> Result<TaskLines, Failure> {
    let (is_post, path, query) = task.request();
    let method = if is_post { Method::POST } else { Method::GET };
    match bridge.ask(method, path, &query).await {
        Ok(response) => Ok(TaskLines::There(admin::ResponseLines::new(response, bridge.place()))),
        Err(Unasked::Unreachable(failure)) => {
            Err(failure.hint("--admin names another address; if no bridge runs, --config FILE lets this command open the spool itself"))
        }
        Err(Unasked::Refused(failure)) => Err(failure),
    }
}

/// The lines of a task.
pub(super) enum TaskLines {
    Here(dead_letters::Lines),
    There(admin::ResponseLines),
}

impl TaskLines {
    /// The next line, or nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        match self {
            Self::Here(lines) => Ok(lines.recv().await),
            Self::There(lines) => lines.next().await,
        }
    }
}
