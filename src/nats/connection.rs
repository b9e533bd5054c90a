//! One logical connection: made, watched, given up, and made again for as long as the process lives.

mod limit;
mod reconnector;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_nats::client::PublishErrorKind;
use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::limit::LimitCheck;
use self::reconnector::Reconnector;
use super::Settings;
use super::denied::Denied;
use super::send_window::{Release, Reservation, SendWindow};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first attempt is under way.
    New,
    Down,
    Up,
}

/// Receives what comes over a connection.
pub trait Receive: Send + Sync {
    /// A message came.
    fn deliver(&self, message: Message);
    /// The connection is gone.
    fn lost(&self);
    /// The server doesn't permit to publish to this subject.
    fn refused(&self, subject: &str);
    /// The server doesn't permit to subscribe to the inbox: nothing will ever be delivered.
    fn inbox_denied(&self);
}

/// Why something isn't sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// There is no connection.
    Disconnected,
    /// No reply could come, since the inbox isn't permitted.
    NotPermitted,
    /// It is larger than the server takes: so many bytes, headers included.
    TooLarge(usize),
    /// Its time was over before it could leave.
    Late,
}

/// One client, from its connect to its disconnect.
#[derive(Debug)]
struct Session {
    client: Client,
    window: SendWindow,
}

/// One logical connection. Its client comes and goes, so callers ask for it each time.
#[derive(Debug)]
pub struct Connection {
    role: &'static str,
    session: ArcSwapOption<Session>,
    state: watch::Sender<State>,
    /// Bytes that may be under way, and until when.
    room: (usize, Release),
    /// The server doesn't permit us to hear anything.
    is_inbox_denied: AtomicBool,
    denied: Denied,
    limit: LimitCheck,
    health: Arc<Health>,
}

impl Connection {
    /// Not connected yet. `role` says what it is for, `room` how many bytes may be under way at a time.
    pub fn new(role: &'static str, room: (usize, Release), health: Arc<Health>) -> Arc<Self> {
        Arc::new(Self {
            role,
            session: ArcSwapOption::empty(),
            state: watch::Sender::new(State::New),
            room,
            is_inbox_denied: AtomicBool::new(false),
            denied: Denied::new(role),
            limit: LimitCheck::default(),
            health,
        })
    }

    /// The client, if there is a connection now.
    pub fn client(&self) -> Option<Client> {
        self.session.load().as_ref().map(|session| session.client.clone())
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.session.load().is_some()
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

    /// Send a message as soon as there is room for it, if that is before `deadline`. `headers` are asked for at the
    /// last moment.
    ///
    /// A server that reloads its settings doesn't tell those who are connected. So one that is too large is judged only
    /// after the server was asked anew.
    pub async fn send(
        &self,
        subject: Subject,
        reply: Option<String>,
        headers: impl Fn() -> HeaderMap,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<(), Unsent> {
        let reply = reply.map(Subject::from);
        let sent = self.try_send(&subject, &reply, &headers, &payload, deadline).await;
        match sent {
            Err(Unsent::TooLarge(_)) if self.limit.look(deadline).await => {
                self.try_send(&subject, &reply, &headers, &payload, deadline).await
            }
            sent => sent,
        }
    }

    async fn try_send(
        &self,
        subject: &Subject,
        reply: &Option<Subject>,
        headers: &impl Fn() -> HeaderMap,
        payload: &Bytes,
        deadline: Instant,
    ) -> Result<(), Unsent> {
        let Some(session) = self.session.load_full() else {
            let is_inbox_denied = self.is_inbox_denied.load(Ordering::Relaxed);
            return Err(if is_inbox_denied { Unsent::NotPermitted } else { Unsent::Disconnected });
        };
        let sending = async {
            let room = session.window.enter(payload.len()).await;
            let room = room.map_err(|_| Unsent::Disconnected)?;
            // It may just have ended, with room that came back too late.
            if Instant::now() >= deadline {
                return Err(Unsent::Late);
            }
            let (subject, reply, payload) = (subject.clone(), reply.clone(), payload.clone());
            session.publish(room, subject, reply, headers(), payload).await
        };
        timeout_at(deadline, sending).await.unwrap_or(Err(Unsent::Late))
    }

    /// A message to this subject was permitted.
    pub fn record_success(&self, subject: &str) {
        self.denied.record_success(subject, &self.health);
    }

    /// Send what the client still holds, within `limit`.
    pub async fn flush(&self, limit: Duration) {
        if let Some(client) = self.client() {
            // Whatever can't be flushed in time was never acknowledged to anybody.
            let _ = timeout(limit, client.flush()).await;
        }
    }

    /// Keep a connection for ever: connect, hand every message below `prefix` to `receiver` until the connection ends,
    /// start again.
    pub async fn maintain(
        self: Arc<Self>,
        settings: Settings,
        prefix: String,
        receiver: Arc<impl Receive + 'static>,
        metrics: Arc<Metrics>,
    ) {
        let mut reconnector = Reconnector::new(self, settings, prefix, receiver, metrics);
        reconnector.set_connected(false);
        loop {
            let backoff = reconnector.once().await;
            sleep(backoff).await;
        }
    }
}

impl Session {
    async fn publish(
        &self,
        room: Reservation<'_>,
        subject: Subject,
        reply: Option<Subject>,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), Unsent> {
        let client = &self.client;
        let sent = match reply {
            Some(reply) => {
                client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
            None => client.publish_with_headers(subject, headers, payload).await,
        };
        match sent {
            Ok(()) => {
                room.sent();
                Ok(())
            }
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(Unsent::TooLarge(client.max_payload()))
            }
            Err(_) => Err(Unsent::Disconnected),
        }
    }
}
