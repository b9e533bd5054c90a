//! The NATS connections: addresses, credentials, TLS, and what a broken one means.
//!
//! A [`Link`] is one logical connection that holds at most one client at a time. The
//! client keeps its queue of commands across its own reconnects, so that a question
//! could be sent long after its deadline. Therefore a client is never allowed to
//! reconnect: it is refused its credentials the second time, ends, and takes its queue
//! with it; the link builds a new one. A server that doesn't answer pings for
//! three seconds counts as gone.
//!
//! Left out: who is asked and who stores (see `ask` and `sink`).

pub mod header;
mod settings;
pub mod streams;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_nats::{Client, Message};
use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

pub use self::settings::{Error, Settings};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Name of this broker in health and metrics.
pub const BROKER: &str = "nats";

/// First and longest pause between attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

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

    /// Wait until there is none.
    pub async fn lost(&self) {
        self.wait(|state| state != State::Up).await;
    }

    /// Wait until the first attempt has ended. Returns whether there is a connection.
    pub async fn attempted(&self) -> bool {
        self.wait(|state| state != State::New).await == State::Up
    }

    async fn wait(&self, until: impl Fn(State) -> bool) -> State {
        let mut states = self.state.subscribe();
        // The sender lives as long as `self`, so that the wait can't fail.
        states.wait_for(|state| until(*state)).await.map_or(State::Down, |state| *state)
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
        let problem = format!("{BROKER} ({})", self.role);
        let mut said = String::new();
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
                    if error == said {
                        debug!(connection = self.role, error, "still not connected to NATS");
                    } else {
                        warn!(connection = self.role, error, "not connected to NATS; trying on");
                        health.report(&problem, &error);
                        said = error;
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
            health.clear(&problem);
            said.clear();
            pause = PAUSE.0;
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
            warn!(connection = self.role, "the connection to NATS is gone; connecting again");
        }
    }
}
