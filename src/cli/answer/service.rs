//! The NATS side: a micro service with one endpoint for each subject, on a connection that is made again for ever.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::service::{Service, ServiceExt as _};
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::say;
use super::desk::Desk;
use super::question::{Asked, Input, Question};
use crate::nats::Settings;

/// First and longest pause between attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
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
        for number in 1.. {
            let lost = Arc::new(Notify::new());
            let running = tokio::select! {
                running = self.connect(settings, desk, number, &lost) => running,
                () = &mut stop => return,
            };
            desk.outlet.open(gap, number, running.client.clone());
            self.welcome(&running.client, number);
            tokio::select! {
                () = lost.notified() => {}
                () = &mut stop => return running.leave(settings, desk, number + 1).await,
            }
            say("the connection to NATS is gone; connecting again");
            gap = desk.outlet.close().await;
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
        lost: &Arc<Notify>,
    ) -> Running {
        let (mut pause, mut said) = (PAUSE.0, String::new());
        loop {
            let error = match settings.connect(lost.clone()).await {
                Ok(client) => match self.start(client, desk, number).await {
                    Ok(running) => return running,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if error != said {
                say(format_args!("not connected to NATS; trying on: {error}"));
                said = error;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
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
