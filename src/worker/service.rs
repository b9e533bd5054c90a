//! The NATS micro service: one endpoint a subject, on a connection that is made again whenever it ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::service::{Service, ServiceExt as _};
use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::dispatcher::Dispatcher;
use super::log;
use super::question::{Input, Question};
use super::target::{Subscription, Target};
use crate::nats::backoff::{Backoff, STABLE_AFTER};
use crate::nats::{BROKER, Notices, Settings};
use crate::telemetry::health::Health;

/// Time in which a client notices that its connection has ended.
const DISCONNECT_NOTICE: Duration = Duration::from_millis(50);
/// Time for each step of leaving a connection.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The name of its connection.
const CONNECTION: &str = "questions";

/// What the service is called, and where it listens.
#[derive(Debug)]
pub struct ServiceRegistration {
    /// The command that it is part of, as it calls itself in its log.
    pub command: &'static str,
    /// What it is, for those who list services.
    pub description: &'static str,
    /// Hears whether there is a connection.
    pub health: Arc<Health>,
    /// Name of the service.
    pub name: String,
    /// The queue group of what names none.
    pub group: String,
    /// What goes to the program.
    pub input: Input,
    /// Where it listens; each subject once.
    pub subscriptions: Vec<Subscription>,
}

/// One connection, and the service on it.
struct Running {
    client: Client,
    service: Service,
    /// What it calls itself in replies: as `GET /workers` shows it.
    worker: String,
    /// Hand questions to the dispatcher until there are no more.
    readers: JoinSet<()>,
}

impl ServiceRegistration {
    /// Hand questions to the dispatcher until `stop`. Replies go through the current connection.
    pub(super) async fn serve(
        &self,
        settings: &Settings,
        dispatcher: &Arc<Dispatcher>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        self.health.expect(BROKER, CONNECTION);
        let mut paused = dispatcher.replies.pause().await;
        let (mut backoff, mut short) = (Backoff::default(), ShortConnections::default());
        for number in 1.. {
            let (running, notices) = tokio::select! {
                running = self.connect(settings, dispatcher, number, (&mut backoff, &mut short)) => running,
                () = &mut stop => return,
            };
            dispatcher.replies.resume(paused, number, running.client.clone(), &running.worker);
            self.health.set_connected(BROKER, CONNECTION, true);
            if !short.is_known() {
                self.log_ready(&running.client, number);
            }
            let began = Instant::now();
            let mut lasts = std::pin::pin!(sleep(STABLE_AFTER));
            loop {
                tokio::select! {
                    () = notices.gone() => break,
                    () = &mut lasts, if short.is_known() => {
                        short = ShortConnections::default();
                        self.log_ready(&running.client, number);
                    }
                    () = &mut stop => return running.leave(settings, dispatcher, number + 1).await,
                }
            }
            self.health.set_connected(BROKER, CONNECTION, false);
            paused = dispatcher.replies.pause().await;
            if backoff.ended(began.elapsed()) {
                short = ShortConnections::default();
                log("the connection to NATS is gone; connecting again");
                continue;
            }
            short.add();
            tokio::select! {
                () = sleep(backoff.next_delay()) => {}
                () = &mut stop => return,
            }
        }
    }

    fn log_ready(&self, client: &Client, number: u64) {
        let server = client.server_info();
        let subjects: Vec<_> = self.subscriptions.iter().map(described).collect();
        let ready = if number == 1 { "ready" } else { "ready again" };
        let at = format_args!("{}:{}", server.host, server.port);
        log(format_args!(
            "{} is {ready}: {} at {at}, queue group {}",
            self.command,
            subjects.join(", "),
            self.group
        ));
    }

    /// Try until it works. The same error is logged once.
    async fn connect(
        &self,
        settings: &Settings,
        dispatcher: &Arc<Dispatcher>,
        number: u64,
        (backoff, short): (&mut Backoff, &mut ShortConnections),
    ) -> (Running, Arc<Notices>) {
        let mut logged = String::new();
        loop {
            let notices = Arc::new(Notices::default());
            let error = match settings.connect(notices.clone()).await {
                Ok(client) => match self.start(client, dispatcher, number).await {
                    Ok(running) => return (running, notices),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if timeout(DISCONNECT_NOTICE, notices.gone()).await.is_ok() {
                // There was a connection, for a moment.
                short.add();
            } else if error != logged {
                log(format_args!("not connected to NATS; retrying: {error}"));
                logged = error;
            }
            sleep(backoff.next_delay()).await;
        }
    }

    async fn start(
        &self,
        client: Client,
        dispatcher: &Arc<Dispatcher>,
        number: u64,
    ) -> Result<Running, async_nats::Error> {
        let builder = client.service_builder().description(self.description);
        let version = env!("CARGO_PKG_VERSION");
        let service = builder.queue_group(&self.group).start(&self.name, version).await?;
        let (mut readers, mut names) = (JoinSet::new(), HashSet::new());
        for Subscription { subject, target, group } in &self.subscriptions {
            let mut name = endpoint_name(target, subject);
            if !names.insert(name.clone()) {
                name = plain(subject);
            }
            let group = group.as_ref().unwrap_or(&self.group);
            let builder = service.endpoint_builder().name(name).queue_group(group);
            let mut requests = builder.add(subject).await?;
            let (dispatcher, target, input) = (dispatcher.clone(), target.clone(), self.input);
            readers.spawn(async move {
                while let Some(request) = requests.next().await {
                    let question = Question::new(request, number, &target, input);
                    if target.takes(&question.name) {
                        dispatcher.take(question).await;
                    }
                }
            });
        }
        // The server knows of all subscriptions before anybody is told that it is ready.
        client.flush().await?;
        let worker = format!("{} ({})", self.name, service.info().await.id);
        Ok(Running { client, service, worker, readers })
    }
}

/// Connections that ended soon after they were made, one after the other.
#[derive(Debug, Default)]
struct ShortConnections {
    count: u32,
    logged: Option<Instant>,
}

impl ShortConnections {
    /// Whether the log tells that there is more than one.
    fn is_known(&self) -> bool {
        self.count > 1
    }

    /// Count another one: logged each time at first, then once a minute.
    fn add(&mut self) {
        const LOG_INTERVAL: Duration = Duration::from_secs(60);
        self.count += 1;
        let count = self.count;
        if !self.is_known() {
            log("the connection to NATS is gone; connecting again");
        } else if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            self.logged = Some(Instant::now());
            log(format_args!(
                "connections to NATS end soon after they are made ({count} by now); retrying"
            ));
        }
    }
}

impl Running {
    /// Take no more questions, and those that have arrived: the connection is drained, which ends it, so that replies go
    /// through another one from here on. What the server sends before it has read that is lost where it comes in several
    /// pieces: async-nats 0.51 drops the subscriptions after the next one, and doesn't wait for a PONG
    /// (`ConnectionHandler::process`).
    async fn leave(mut self, settings: &Settings, dispatcher: &Arc<Dispatcher>, number: u64) {
        let spare = timeout(LEAVE_TIMEOUT, settings.connect(Arc::default())).await;
        if let Ok(Ok(spare)) = spare {
            let paused = dispatcher.replies.pause().await;
            dispatcher.replies.resume(paused, number, spare, &self.worker);
            // It fails where the connection is gone, and then there is nothing to drain.
            let _ = self.client.drain().await;
        } else {
            let _ = self.service.stop().await;
        }
        let _ = timeout(LEAVE_TIMEOUT, async { while self.readers.join_next().await.is_some() {} })
            .await;
    }
}

/// What NATS micro takes as a name: letters, digits, `-` and `_`.
fn endpoint_name(target: &Target, subject: &str) -> String {
    plain(match target {
        Target::Function(name) => name,
        Target::AnyFunction => "any",
        Target::Functions(selection) => return plain(&selection.patterns.join("_")),
        Target::Other => subject,
    })
}

/// A subject, with its queue group where it has one of its own.
fn described(subscription: &Subscription) -> String {
    let Subscription { subject, group, .. } = subscription;
    group
        .as_ref()
        .map_or_else(|| subject.clone(), |group| format!("{subject} (queue group {group})"))
}

fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    text.chars().map(plain).collect()
}
