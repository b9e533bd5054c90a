//! Keeps a connection connected: one client after the other, each used until it ends.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures_util::StreamExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::limit::LOOK_TIMEOUT;
use super::{Connection, Receive, Session, State};
use crate::nats::backoff::{Backoff, STABLE_AFTER};
use crate::nats::send_window::SendWindow;
use crate::nats::{BROKER, Notices, Refusal, Settings};
use crate::telemetry::health::Connected;
use crate::telemetry::metrics::Metrics;

/// Time in which a server refuses the inbox that it refused before.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// Time between two attempts to subscribe to an inbox that isn't permitted.
const RESUBSCRIBE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection that was replaced is still listened to: what was sent over it is answered by then.
const OVERLAP: Duration = Duration::from_secs(30);

/// Least time between two warnings that connections end soon after they are made.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Keeps a connection connected.
pub(super) struct Reconnector<R> {
    connection: Arc<Connection>,
    settings: Settings,
    /// Of all that comes here.
    prefix: String,
    receiver: Arc<R>,
    metrics: Arc<Metrics>,
    /// Echoes were refused before: they would be again.
    has_echoes: bool,
    backoff: Backoff,
    /// The subject in `/readyz`.
    problem: String,
    /// Why there was no connection, as it was last logged.
    logged: String,
    short_lived: ShortConnections,
    /// The place in the list of the server that is tried first.
    first: usize,
    /// Connections that were replaced.
    replaced: JoinSet<()>,
}

/// How the use of a connection ended.
enum End {
    /// By itself.
    Gone,
    /// Nothing can be heard over it.
    InboxDenied,
    /// The server takes larger messages than it said at its beginning.
    Outdated(Subscriber),
}

/// Connections that ended soon after they were made, since one lasted.
#[derive(Debug, Default)]
struct ShortConnections {
    count: u32,
    /// When they were last logged.
    last_logged: Option<Instant>,
    /// What is wrong, once it is more than one.
    problem: Option<String>,
}

impl ShortConnections {
    /// Count another one. Returns whether to log that.
    fn add(&mut self, problem: String) -> bool {
        self.count += 1;
        if self.count > 1 {
            self.problem = Some(problem);
        }
        let is_due = self.last_logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL);
        let is_logged = self.problem.is_some() && is_due;
        if is_logged {
            self.last_logged = Some(Instant::now());
        }
        is_logged
    }
}

impl<R: Receive + 'static> Reconnector<R> {
    pub(super) fn new(
        connection: Arc<Connection>,
        settings: Settings,
        prefix: String,
        receiver: Arc<R>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let problem = format!("{BROKER} ({})", connection.role);
        Self {
            connection,
            settings,
            prefix,
            receiver,
            metrics,
            has_echoes: true,
            backoff: Backoff::default(),
            problem,
            logged: String::new(),
            short_lived: ShortConnections::default(),
            first: 0,
            replaced: JoinSet::new(),
        }
    }

    /// One connection from its beginning to its end. Returns how long to wait before the next.
    pub(super) async fn once(&mut self) -> Duration {
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
                        self.connection.state.send_replace(State::Down);
                        self.ended(Duration::ZERO, notices.error(), false)
                    }
                }
            }
            Err(error) => {
                self.failed(error);
                // There is one still where it was to be replaced.
                if let Some(session) = self.connection.session.swap(None) {
                    session.window.close();
                    self.set_connected(false);
                    self.receiver.lost();
                }
                self.connection.limit.done();
                self.connection.state.send_replace(State::Down);
                self.backoff.next_delay()
            }
        }
    }

    fn failed(&mut self, error: String) {
        let role = self.connection.role;
        if error == self.logged {
            debug!(connection = role, error, "still not connected to NATS");
            return;
        }
        // The other connections say the same, mostly.
        if self.connection.health.report_news(&self.problem, &error) {
            warn!(connection = role, error, "not connected to NATS; retrying");
        } else {
            debug!(connection = role, error, "not connected to NATS; retrying");
        }
        self.logged = error;
    }

    /// Use a connection until it ends. Returns how long to wait before the next.
    async fn live(&mut self, client: Client, messages: Subscriber, notices: &Notices) -> Duration {
        if self.connection.is_inbox_denied.load(Ordering::Relaxed)
            && let Ok(refusal) = timeout(REFUSAL_TIMEOUT, notices.refusal()).await
            && self.is_inbox(&refusal)
        {
            return RESUBSCRIBE_INTERVAL;
        }
        let began = Instant::now();
        let (max, release) = self.connection.room;
        let window = SendWindow::new(max, release, format!("{}echo", self.prefix));
        if !self.has_echoes {
            window.without_echoes();
        }
        let session = Arc::new(Session { client, window });
        self.begin(&session);
        let end = self.serve(&session, messages, notices, began).await;
        if let End::Outdated(messages) = end {
            self.listen_on(session, messages);
            return Duration::ZERO;
        }

        // Dropping the client is what keeps its queue from ever being sent.
        self.connection.session.store(None);
        self.connection.limit.done();
        session.window.close();
        self.connection.state.send_replace(State::Down);
        let is_first = self.set_connected(false).was_all();
        if matches!(end, End::InboxDenied) {
            self.receiver.inbox_denied();
            return RESUBSCRIBE_INTERVAL;
        }
        self.receiver.lost();
        self.ended(began.elapsed(), notices.error(), is_first)
    }

    fn begin(&mut self, session: &Arc<Session>) {
        self.connection.is_inbox_denied.store(false, Ordering::Relaxed);
        self.connection.denied.clear(&self.connection.health);
        self.connection.session.store(Some(session.clone()));
        self.logged.clear();
        let is_all = self.set_connected(true).is_all();
        let (role, server) = (self.connection.role, session.client.server_info());
        let (name, version) = (server.server_name, server.version);
        match &self.short_lived.problem {
            Some(problem) => {
                self.connection.health.report(&self.problem, problem);
                debug!(connection = role, server = name, "connected to NATS again");
            }
            None => {
                self.connection.health.clear(&self.problem);
                if is_all {
                    info!(server = name, version, "connected to NATS");
                } else {
                    debug!(connection = role, server = name, version, "connected to NATS");
                }
            }
        }
        self.connection.state.send_replace(State::Up);
        self.connection.limit.done();
    }

    /// Hear what is still to come over a connection that the next one replaces.
    fn listen_on(&mut self, session: Arc<Session>, mut messages: Subscriber) {
        while self.replaced.try_join_next().is_some() {}
        let receiver = self.receiver.clone();
        self.replaced.spawn(async move {
            let listening = async {
                while let Some(message) = messages.next().await {
                    if !session.window.take_echo(&message) {
                        receiver.deliver(message);
                    }
                }
            };
            // Either will do.
            let _ = timeout(OVERLAP, listening).await;
            session.window.close();
        });
    }

    /// Until the connection ends, or another one is needed.
    async fn serve(
        &mut self,
        session: &Session,
        mut messages: Subscriber,
        notices: &Notices,
        began: Instant,
    ) -> End {
        let mut gone = std::pin::pin!(notices.gone());
        let mut release_in_time = std::pin::pin!(session.window.release_in_time(&session.client));
        let mut lasts = std::pin::pin!(sleep(STABLE_AFTER));
        let connection = self.connection.clone();
        let (settings, first) = (self.settings.clone(), self.first);
        let look_when_wanted = async || {
            connection.limit.wanted().await;
            takes_more(connection.role, &session.client, &settings, first).await
        };
        let mut look = std::pin::pin!(look_when_wanted());
        let mut is_new = true;
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) if session.window.take_echo(&message) => {}
                    Some(message) => self.receiver.deliver(message),
                    None => return End::Gone,
                },
                () = &mut release_in_time => {}
                refusal = notices.refusal() => {
                    if self.refused(&session.window, &refusal).is_break() {
                        return End::InboxDenied;
                    }
                }
                () = &mut gone => return End::Gone,
                is_outdated = &mut look => {
                    if is_outdated {
                        return End::Outdated(messages);
                    }
                    connection.limit.done();
                    look.set(look_when_wanted());
                }
                () = &mut lasts, if is_new => {
                    is_new = false;
                    self.lasts(began);
                }
            }
        }
    }

    /// Something isn't permitted.
    fn refused(&mut self, window: &SendWindow, refusal: &Refusal) -> ControlFlow<()> {
        let role = self.connection.role;
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
        let is_inbox_denied = self.is_inbox(refusal);
        if is_inbox_denied {
            self.connection.is_inbox_denied.store(true, Ordering::Relaxed);
        }
        if self.connection.denied.add(refusal, &self.connection.health) {
            warn!(connection = role, "the NATS server doesn't permit this user to {refusal}");
        }
        if let Refusal::Publish(subject) = refusal {
            self.receiver.refused(subject);
        }
        if is_inbox_denied { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_inbox(&self, refusal: &Refusal) -> bool {
        matches!(refusal, Refusal::Subscribe(subject) if subject.starts_with(&self.prefix))
    }

    /// A connection is a good one.
    fn lasts(&mut self, began: Instant) {
        let short_lived = std::mem::take(&mut self.short_lived);
        if short_lived.problem.is_some() {
            self.connection.health.clear(&self.problem);
            let seconds = began.elapsed().as_secs();
            info!(connection = self.connection.role, seconds, "the connection to NATS lasts again");
        }
    }

    /// A connection ended by itself. Returns how long to wait before the next.
    fn ended(&mut self, after: Duration, error: Option<String>, is_first: bool) -> Duration {
        let role = self.connection.role;
        if self.backoff.ended(after) {
            self.log_gone(is_first, error.as_deref());
            return Duration::ZERO;
        }
        // Another server may be better.
        self.first += 1;
        let because = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let is_due = self.short_lived.add(format!(
            "connections end soon after they are made, the last one after {} ms{because}",
            after.as_millis()
        ));
        match &self.short_lived.problem {
            None => self.log_gone(is_first, error.as_deref()),
            Some(problem) => {
                self.connection.health.report(&self.problem, problem);
                let count = self.short_lived.count;
                if is_due {
                    warn!(
                        connection = role,
                        count, error, "connections to NATS end soon after they are made; retrying"
                    );
                } else {
                    debug!(connection = role, count, error, "the connection to NATS is gone again");
                }
            }
        }
        self.backoff.next_delay()
    }

    /// Once, and not for each connection that goes with a server.
    fn log_gone(&self, is_first: bool, error: Option<&str>) {
        const GONE: &str = "the connection to NATS is gone; connecting again";
        if is_first {
            warn!(error, "{GONE}");
        } else {
            debug!(connection = self.connection.role, error, "{GONE}");
        }
    }

    pub(super) fn set_connected(&self, up: bool) -> Connected {
        let connected = self.connection.health.connected(BROKER, self.connection.role, up);
        self.metrics.set_connected(BROKER, connected.is_all());
        connected
    }
}

/// Whether the server takes larger messages by now than it said when this client connected.
async fn takes_more(role: &str, client: &Client, settings: &Settings, first: usize) -> bool {
    let asking = settings.connect_from(first, Arc::default());
    let Ok(Ok((asked, _))) = timeout(LOOK_TIMEOUT, asking).await else { return false };
    let (before, now) = (client.max_payload(), asked.max_payload());
    if now > before {
        info!(
            connection = role,
            before,
            now,
            "the NATS server takes larger messages now (max_payload); connecting again"
        );
    }
    now > before
}
