//! One logical connection: made, watched, given up and made again, for ever.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_nats::client::PublishErrorKind;
use async_nats::{Client, HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::denied::Denied;
use super::pause::{LASTED, Pause};
use super::window::{Release, Room, Window};
use super::{BROKER, Notices, Refusal, Settings};
use crate::telemetry::health::{Connected, Health};
use crate::telemetry::metrics::Metrics;

/// How long it takes at most until it is known that the inbox isn't permitted, where it wasn't before.
const KNOWN: Duration = Duration::from_millis(500);

/// How often it is tried again to subscribe to an inbox that isn't permitted.
const REFUSED: Duration = Duration::from_secs(5);

/// How often the log says that connections go on ending early.
const SAY: Duration = Duration::from_secs(60);

/// What a link is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first attempt is under way.
    New,
    Down,
    Up,
}

/// Who gets what comes over a link.
pub trait Receive: Send + Sync {
    /// A message came.
    fn deliver(&self, message: Message);
    /// The connection is gone.
    fn lost(&self);
    /// The server doesn't permit to publish to this subject.
    fn refused(&self, subject: &str);
    /// The server doesn't permit to subscribe to the inbox: nothing will ever be delivered.
    fn deaf(&self);
}

/// Why something isn't sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// There is no connection.
    Disconnected,
    /// No reply could come, since the inbox isn't permitted.
    NotPermitted,
    /// It is larger than the server takes.
    TooLarge,
    /// Its time was over before it could leave.
    Late,
}

/// One connection that there is.
#[derive(Debug)]
struct Connection {
    client: Client,
    window: Window,
}

/// One logical connection. Its client comes and goes; whoever wants to send asks for it each time.
#[derive(Debug)]
pub struct Link {
    role: &'static str,
    connection: ArcSwapOption<Connection>,
    state: watch::Sender<State>,
    /// Bytes that may be under way, and until when.
    room: (usize, Release),
    /// The server doesn't permit us to hear anything.
    is_deaf: AtomicBool,
    denied: Denied,
    health: Arc<Health>,
}

impl Link {
    /// A link that isn't connected yet. `role` says what it is for, `room` how many bytes may be under way at a time.
    pub fn new(role: &'static str, room: (usize, Release), health: Arc<Health>) -> Arc<Self> {
        Arc::new(Self {
            role,
            connection: ArcSwapOption::empty(),
            state: watch::Sender::new(State::New),
            room,
            is_deaf: AtomicBool::new(false),
            denied: Denied::new(role),
            health,
        })
    }

    /// The client, if there is a connection now.
    pub fn client(&self) -> Option<Client> {
        self.connection.load().as_ref().map(|connection| connection.client.clone())
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.connection.load().is_some()
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
    pub async fn send(
        &self,
        subject: Subject,
        reply: Option<String>,
        headers: impl FnOnce() -> HeaderMap,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<(), Unsent> {
        let Some(connection) = self.connection.load_full() else {
            let is_deaf = self.is_deaf.load(Ordering::Relaxed);
            return Err(if is_deaf { Unsent::NotPermitted } else { Unsent::Disconnected });
        };
        let sending = async {
            let room = connection.window.enter(payload.len()).await;
            let room = room.map_err(|_| Unsent::Disconnected)?;
            // It may just have ended, with room that came back too late.
            if Instant::now() >= deadline {
                return Err(Unsent::Late);
            }
            connection.publish(room, subject, reply, headers(), payload).await
        };
        timeout_at(deadline, sending).await.unwrap_or(Err(Unsent::Late))
    }

    /// Something was sent to this subject, and it was permitted.
    pub fn works(&self, subject: &str) {
        self.denied.works(subject, &self.health);
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
        receiver: Arc<impl Receive>,
        metrics: Arc<Metrics>,
    ) {
        let mut keeper = Keeper::new(self, settings, prefix, receiver, metrics);
        keeper.say_connected(false);
        loop {
            let pause = keeper.once().await;
            sleep(pause).await;
        }
    }
}

impl Connection {
    async fn publish(
        &self,
        room: Room<'_>,
        subject: Subject,
        reply: Option<String>,
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
                Err(Unsent::TooLarge)
            }
            Err(_) => Err(Unsent::Disconnected),
        }
    }
}

/// Whoever keeps a link connected.
struct Keeper<R> {
    link: Arc<Link>,
    settings: Settings,
    /// Of all that comes here.
    prefix: String,
    receiver: Arc<R>,
    metrics: Arc<Metrics>,
    /// Echoes were refused before: they would be again.
    has_echoes: bool,
    pause: Pause,
    /// The subject in `/readyz`.
    problem: String,
    /// Why there was no connection, as the log said last.
    said: String,
    early: Early,
    /// The place in the list of the server that is tried first.
    first: usize,
}

/// Connections that ended soon after they were made, since one lasted.
#[derive(Debug, Default)]
struct Early {
    count: u32,
    /// When the log spoke of them last.
    said: Option<Instant>,
    /// What is wrong, once it is more than one.
    problem: Option<String>,
}

impl Early {
    /// Another one. Returns whether the log is to speak of them.
    fn add(&mut self, problem: String) -> bool {
        self.count += 1;
        if self.count > 1 {
            self.problem = Some(problem);
        }
        let is_due = self.said.is_none_or(|said| said.elapsed() >= SAY);
        let is_said = self.problem.is_some() && is_due;
        if is_said {
            self.said = Some(Instant::now());
        }
        is_said
    }
}

impl<R: Receive> Keeper<R> {
    fn new(
        link: Arc<Link>,
        settings: Settings,
        prefix: String,
        receiver: Arc<R>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let problem = format!("{BROKER} ({})", link.role);
        Self {
            link,
            settings,
            prefix,
            receiver,
            metrics,
            has_echoes: true,
            pause: Pause::default(),
            problem,
            said: String::new(),
            early: Early::default(),
            first: 0,
        }
    }

    /// One connection from its beginning to its end. Returns how long to wait before the next.
    async fn once(&mut self) -> Duration {
        let notices = Arc::new(Notices::watched());
        let opened = async {
            let connecting = self.settings.connect_from(self.first, notices.clone());
            let (client, server) = connecting.await.map_err(|error| error.to_string())?;
            let messages = client.subscribe(format!("{}*", self.prefix)).await;
            Ok((client, messages, server))
        };
        let opened: Result<_, String> = opened.await;
        match opened {
            Ok((client, messages, server)) => {
                self.first = server;
                match messages {
                    Ok(messages) => self.live(client, messages, &notices).await,
                    // It has ended already.
                    Err(_) => {
                        self.link.state.send_replace(State::Down);
                        self.ended(Duration::ZERO, notices.error(), false)
                    }
                }
            }
            Err(error) => {
                self.failed(error);
                self.link.state.send_replace(State::Down);
                self.pause.longer()
            }
        }
    }

    fn failed(&mut self, error: String) {
        let role = self.link.role;
        if error == self.said {
            debug!(connection = role, error, "still not connected to NATS");
            return;
        }
        // The other connections say the same, mostly.
        if self.link.health.report_news(&self.problem, &error) {
            warn!(connection = role, error, "not connected to NATS; trying on");
        } else {
            debug!(connection = role, error, "not connected to NATS; trying on");
        }
        self.said = error;
    }

    /// Use a connection until it ends. Returns how long to wait before the next.
    async fn live(&mut self, client: Client, messages: Subscriber, notices: &Notices) -> Duration {
        if self.link.is_deaf.load(Ordering::Relaxed)
            && let Ok(refusal) = timeout(KNOWN, notices.refusal()).await
            && self.is_inbox(&refusal)
        {
            return REFUSED;
        }
        let began = Instant::now();
        let (most, release) = self.link.room;
        let window = Window::new(most, release, format!("{}echo", self.prefix));
        if !self.has_echoes {
            window.without_echoes();
        }
        let connection = Arc::new(Connection { client, window });
        self.begin(&connection);
        let is_deaf = self.serve(&connection, messages, notices, began).await.is_break();

        // Dropping the client is what keeps its queue from ever being sent.
        self.link.connection.store(None);
        connection.window.close();
        self.link.state.send_replace(State::Down);
        let is_first = self.say_connected(false).was_all();
        if is_deaf {
            self.receiver.deaf();
            return REFUSED;
        }
        self.receiver.lost();
        self.ended(began.elapsed(), notices.error(), is_first)
    }

    fn begin(&mut self, connection: &Arc<Connection>) {
        self.link.is_deaf.store(false, Ordering::Relaxed);
        self.link.denied.clear(&self.link.health);
        self.link.connection.store(Some(connection.clone()));
        self.said.clear();
        let is_all = self.say_connected(true).is_all();
        let (role, server) = (self.link.role, connection.client.server_info());
        let (name, version) = (server.server_name, server.version);
        match &self.early.problem {
            Some(problem) => {
                self.link.health.report(&self.problem, problem);
                debug!(connection = role, server = name, "connected to NATS again");
            }
            None => {
                self.link.health.clear(&self.problem);
                if is_all {
                    info!(server = name, version, "connected to NATS");
                } else {
                    debug!(connection = role, server = name, version, "connected to NATS");
                }
            }
        }
        self.link.state.send_replace(State::Up);
    }

    /// Until the connection ends, or nothing can be heard over it.
    async fn serve(
        &mut self,
        connection: &Connection,
        mut messages: Subscriber,
        notices: &Notices,
        began: Instant,
    ) -> ControlFlow<()> {
        let mut gone = std::pin::pin!(notices.gone());
        let mut pace = std::pin::pin!(connection.window.pace(&connection.client));
        let mut lasts = std::pin::pin!(sleep(LASTED));
        let mut is_new = true;
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) if connection.window.take_echo(&message) => {}
                    Some(message) => self.receiver.deliver(message),
                    None => return ControlFlow::Continue(()),
                },
                () = &mut pace => {}
                refusal = notices.refusal() => self.refused(&connection.window, &refusal)?,
                () = &mut gone => return ControlFlow::Continue(()),
                () = &mut lasts, if is_new => {
                    is_new = false;
                    self.lasts(began);
                }
            }
        }
    }

    /// Something isn't permitted.
    fn refused(&mut self, window: &Window, refusal: &Refusal) -> ControlFlow<()> {
        let role = self.link.role;
        if let Refusal::Publish(subject) = refusal
            && window.is_echo(subject)
        {
            self.has_echoes = false;
            window.without_echoes();
            info!(
                connection = role,
                subject,
                "this user may not publish below its own inbox: what the network holds of questions isn't known"
            );
            return ControlFlow::Continue(());
        }
        let is_deaf = self.is_inbox(refusal);
        if is_deaf {
            self.link.is_deaf.store(true, Ordering::Relaxed);
        }
        if self.link.denied.add(refusal, &self.link.health) {
            warn!(connection = role, "the NATS server doesn't permit this user to {refusal}");
        }
        if let Refusal::Publish(subject) = refusal {
            self.receiver.refused(subject);
        }
        if is_deaf { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_inbox(&self, refusal: &Refusal) -> bool {
        matches!(refusal, Refusal::Subscribe(subject) if subject.starts_with(&self.prefix))
    }

    /// A connection is a good one.
    fn lasts(&mut self, began: Instant) {
        let early = std::mem::take(&mut self.early);
        if early.problem.is_some() {
            self.link.health.clear(&self.problem);
            let seconds = began.elapsed().as_secs();
            info!(connection = self.link.role, seconds, "the connection to NATS lasts again");
        }
    }

    /// A connection ended by itself. Returns how long to wait before the next.
    fn ended(&mut self, after: Duration, error: Option<String>, is_first: bool) -> Duration {
        let role = self.link.role;
        if self.pause.ended(after) {
            self.say_gone(is_first, error.as_deref());
            return Duration::ZERO;
        }
        // Another server may be better.
        self.first += 1;
        let because = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let is_due = self.early.add(format!(
            "connections end soon after they are made, the last one after {} ms{because}",
            after.as_millis()
        ));
        match &self.early.problem {
            None => self.say_gone(is_first, error.as_deref()),
            Some(problem) => {
                self.link.health.report(&self.problem, problem);
                let count = self.early.count;
                if is_due {
                    warn!(
                        connection = role,
                        count, error, "connections to NATS end soon after they are made; trying on"
                    );
                } else {
                    debug!(connection = role, count, error, "the connection to NATS is gone again");
                }
            }
        }
        self.pause.longer()
    }

    /// Once, and not for each connection that goes with a server.
    fn say_gone(&self, is_first: bool, error: Option<&str>) {
        const GONE: &str = "the connection to NATS is gone; connecting again";
        if is_first {
            warn!(error, "{GONE}");
        } else {
            debug!(connection = self.link.role, error, "{GONE}");
        }
    }

    fn say_connected(&self, up: bool) -> Connected {
        let connected = self.link.health.connected(BROKER, self.link.role, up);
        self.metrics.set_connected(BROKER, connected.is_all());
        connected
    }
}
