//! The NATS side: a micro service with one endpoint for each subject, on a connection that is made again for ever.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::service::{Service, ServiceExt as _};
use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::say;
use super::desk::Desk;
use super::question::{Asked, Input, Question};
use crate::nats::pause::{LASTED, Pause};
use crate::nats::{Notices, Settings};

/// How soon a client knows that its connection is over.
const KNOWN: Duration = Duration::from_millis(50);
/// Time for each step of taking leave.
const LEAVE: Duration = Duration::from_secs(2);

/// What is offered, and where.
#[derive(Debug)]
pub(super) struct Offer {
    /// Name of the service.
    pub(super) name: String,
    /// Queue group of all its endpoints.
    pub(super) group: String,
    /// What goes to the program.
    pub(super) input: Input,
    /// The subjects, and what is asked there.
    pub(super) subjects: Vec<(String, Asked)>,
}

/// One connection, and the service on it.
struct Running {
    client: Client,
    service: Service,
    /// Hand questions to the desk until there are no more.
    readers: JoinSet<()>,
}

impl Offer {
    /// Bring questions to the desk until `stop`. Replies go through the connection that there is.
    pub(super) async fn serve(
        &self,
        settings: &Settings,
        desk: &Arc<Desk>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut gap = desk.outlet.close().await;
        let (mut pause, mut early) = (Pause::default(), Early::default());
        for number in 1.. {
            let (running, notices) = tokio::select! {
                running = self.connect(settings, desk, number, (&mut pause, &mut early)) => running,
                () = &mut stop => return,
            };
            desk.outlet.open(gap, number, running.client.clone());
            if !early.is_known() {
                self.welcome(&running.client, number);
            }
            let began = Instant::now();
            let mut lasts = std::pin::pin!(sleep(LASTED));
            loop {
                tokio::select! {
                    () = notices.gone() => break,
                    () = &mut lasts, if early.is_known() => {
                        early = Early::default();
                        self.welcome(&running.client, number);
                    }
                    () = &mut stop => return running.leave(settings, desk, number + 1).await,
                }
            }
            gap = desk.outlet.close().await;
            if pause.ended(began.elapsed()) {
                early = Early::default();
                say("the connection to NATS is gone; connecting again");
                continue;
            }
            early.say();
            tokio::select! {
                () = sleep(pause.longer()) => {}
                () = &mut stop => return,
            }
        }
    }

    fn welcome(&self, client: &Client, number: u64) {
        let server = client.server_info();
        let subjects: Vec<&str> =
            self.subjects.iter().map(|(subject, _)| subject.as_str()).collect();
        let ready = if number == 1 { "ready" } else { "ready again" };
        let at = format_args!("{}:{}", server.host, server.port);
        say(format_args!(
            "hookbus answer is {ready}: {} at {at}, queue group {}",
            subjects.join(", "),
            self.group
        ));
    }

    /// Try until it works. What is wrong is said once.
    async fn connect(
        &self,
        settings: &Settings,
        desk: &Arc<Desk>,
        number: u64,
        (pause, early): (&mut Pause, &mut Early),
    ) -> (Running, Arc<Notices>) {
        let mut said = String::new();
        loop {
            let notices = Arc::new(Notices::default());
            let error = match settings.connect(notices.clone()).await {
                Ok(client) => match self.start(client, desk, number).await {
                    Ok(running) => return (running, notices),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if timeout(KNOWN, notices.gone()).await.is_ok() {
                // There was a connection, for a moment.
                early.say();
            } else if error != said {
                say(format_args!("not connected to NATS; trying on: {error}"));
                said = error;
            }
            sleep(pause.longer()).await;
        }
    }

    async fn start(
        &self,
        client: Client,
        desk: &Arc<Desk>,
        number: u64,
    ) -> Result<Running, async_nats::Error> {
        let builder = client.service_builder().description("a program that hookbus answer runs");
        let version = env!("CARGO_PKG_VERSION");
        let service = builder.queue_group(&self.group).start(&self.name, version).await?;
        let mut readers = JoinSet::new();
        for (subject, asked) in &self.subjects {
            let builder = service.endpoint_builder().name(endpoint_name(asked, subject));
            let mut requests = builder.add(subject).await?;
            let (desk, asked, input) = (desk.clone(), asked.clone(), self.input);
            readers.spawn(async move {
                while let Some(request) = requests.next().await {
                    desk.take(Question::new(request, number, &asked, input)).await;
                }
            });
        }
        // The server knows of all subscriptions before anybody is told that it is ready.
        client.flush().await?;
        Ok(Running { client, service, readers })
    }
}

/// Connections that ended soon after they were made, one after the other.
#[derive(Debug, Default)]
struct Early {
    count: u32,
    said: Option<Instant>,
}

impl Early {
    /// Whether it was said that there is more than one.
    fn is_known(&self) -> bool {
        self.count > 1
    }

    /// Another one: said each time at first, then once a minute.
    fn say(&mut self) {
        const AGAIN: Duration = Duration::from_secs(60);
        self.count += 1;
        let count = self.count;
        if !self.is_known() {
            say("the connection to NATS is gone; connecting again");
        } else if self.said.is_none_or(|said| said.elapsed() >= AGAIN) {
            self.said = Some(Instant::now());
            say(format_args!(
                "connections to NATS end soon after they are made ({count} by now); trying on"
            ));
        }
    }
}

impl Running {
    /// Take no more questions, and lose none that is on its way: the connection is drained, which
    /// ends it, so that replies go through another one from here on.
    async fn leave(mut self, settings: &Settings, desk: &Arc<Desk>, number: u64) {
        let spare = timeout(LEAVE, settings.connect(Arc::default())).await;
        if let Ok(Ok(spare)) = spare {
            let gap = desk.outlet.close().await;
            desk.outlet.open(gap, number, spare);
            // It fails where the connection is gone, and then there is nothing to drain.
            let _ = self.client.drain().await;
        } else {
            let _ = self.service.stop().await;
        }
        let _ = timeout(LEAVE, async { while self.readers.join_next().await.is_some() {} }).await;
    }
}

/// What NATS micro takes as a name: letters, digits, `-` and `_`.
fn endpoint_name(asked: &Asked, subject: &str) -> String {
    let text = match asked {
        Asked::Function(name) => name,
        Asked::AnyFunction => "any",
        Asked::Other => subject,
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    text.chars().map(plain).collect()
}
