//! Events from JetStream: pulled, posted in order per key, acknowledged after a 2xx.
//!
//! A consumer of the connection's own (without a durable name) is made anew with each connection, behind what has
//! come already: nothing is missed and nothing comes twice. A durable one remembers by itself; several instances that
//! use it share its events. What it handed out before a break, and nobody acknowledged, is posted before what is newer.
//!
//! What waits in memory is bounded in number and in bytes; the server keeps the rest.

mod consumer;
mod dead_letters;
mod ledger;
mod pull;
mod settling;
mod streams;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::time::{Instant, interval, sleep, timeout};

use self::consumer::Session;
use self::dead_letters::DeadLetters;
use self::ledger::Ledger;
use self::pull::Ended;
pub use self::streams::Error;
use self::streams::{Found, find};
use super::about::About;
use super::delivery::{Delivery, DeliveryResult};
use super::filter::Filter;
use super::lanes::{Handle, Lanes};
use super::request::{Dialect, Request};
use super::stop::Stop;
use crate::nats::backoff::Backoff;
use crate::nats::{BROKER, Notices, Settings};
use crate::telemetry::health::Health;

/// How often the server hears that something is still worked on: well within the time after which it hands it out again.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(8);

/// Time for an acknowledgement to be handed to the connection.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// The name of the connection.
const CONNECTION: &str = "events";

const ACK: Bytes = Bytes::from_static(b"+ACK");
const NAK: Bytes = Bytes::from_static(b"-NAK");
const PROGRESS: Bytes = Bytes::from_static(b"+WPI");
const TERM: Bytes = Bytes::from_static(b"+TERM");

/// Which events are read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How to connect.
    pub nats: Settings,
    /// The JetStream domain, where it isn't the server's own.
    pub domain: Option<String>,
    /// Patterns of the subjects that events are on; some stream has to take one of them.
    pub subjects: Vec<String>,
    /// Patterns that are read too where some stream takes them.
    pub optional: Vec<String>,
    /// Where to begin; nothing: with what comes from now on.
    pub since: Option<SystemTime>,
    /// Name of the consumer that remembers what was posted.
    pub durable: Option<String>,
    /// Where events go that are given up.
    pub dead_letters: Option<String>,
    /// Bytes of events that may be in memory.
    pub max_bytes: usize,
    /// Hears whether there is a connection.
    pub health: Arc<Health>,
    /// At the end, how long to wait for what is being posted.
    pub drain: Duration,
}

/// Posts the events of some streams.
pub struct Events {
    plan: Plan,
    dialect: Dialect,
    filter: Filter,
    lanes: Lanes<Taken, Poster>,
    acks: Arc<Acks>,
    stop: Stop,
}

/// One event, on its way.
#[derive(Debug)]
struct Taken {
    ledger: Arc<Ledger>,
    sequence: u64,
    /// How often the server handed it out, this time included.
    delivered: u64,
    about: About,
    request: Request,
    /// As it is stored.
    original: dead_letters::Original,
}

impl Events {
    /// Of this plan, through `delivery`.
    pub fn new(plan: Plan, dialect: Dialect, filter: Filter, delivery: Arc<Delivery>) -> Self {
        let acks = Arc::<Acks>::default();
        let stop = delivery.stop.clone();
        let dead_letters =
            plan.dead_letters.clone().map(|to| DeadLetters::new(to, plan.domain.clone()));
        let poster = Poster { delivery, acks: acks.clone(), dead_letters };
        Self { plan, dialect, filter, lanes: Lanes::new(poster), acks, stop }
    }

    /// Post until the end; then finish what is being posted, unless `hurry` ends before. `ready` hears what was found.
    pub async fn run(
        &self,
        ready: impl Fn(&str),
        hurry: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        self.plan.health.expect(BROKER, CONNECTION);
        let mut backoff = Backoff::default();
        let mut sessions: Option<Vec<Session>> = None;
        let mut logged = String::new();
        while !self.stop.has_begun() {
            let notices = Arc::new(Notices::default());
            let began = Instant::now();
            let connecting = self.plan.nats.connect(notices.clone());
            let connected = tokio::select! {
                connected = connecting => connected.map_err(|error| error.to_string()),
                () = self.stop.begun() => break,
            };
            let ended = match connected {
                Ok(client) => {
                    self.acks.current.store(Some(Arc::new(client.clone())));
                    let ended = tokio::select! {
                        ended = self.session(&client, &mut sessions, &ready) => ended,
                        () = notices.gone() => Err(Error::other("the connection to NATS is gone")),
                        () = self.stop.begun() => break,
                    };
                    self.acks.current.store(None);
                    self.plan.health.set_connected(BROKER, CONNECTION, false);
                    ended
                }
                Err(error) => Err(Error::Other(format!("not connected to NATS: {error}"))),
            };
            let reason = match ended {
                Ok(()) => continue,
                // Nobody would mend it by waiting.
                Err(error) if error.is_refusal() && sessions.is_none() => return Err(error),
                Err(error) => error.to_string(),
            };
            if backoff.ended(began.elapsed()) {
                logged.clear();
            }
            if reason != logged {
                ready(&format!("{reason}; trying on"));
                logged = reason;
            }
            tokio::select! {
                () = sleep(backoff.next_delay()) => {}
                () = self.stop.begun() => break,
            }
        }
        self.finish(&sessions.unwrap_or_default(), hurry).await;
        Ok(())
    }

    /// Read until something ends the connection.
    async fn session(
        &self,
        client: &Client,
        sessions: &mut Option<Vec<Session>>,
        ready: &impl Fn(&str),
    ) -> Result<(), Error> {
        let found = find(client, &self.plan).await?;
        if let Some(dead_letters) = &self.lanes.handler().dead_letters {
            dead_letters.check(client, &found).await?;
        }
        let is_first = sessions.is_none();
        let known = sessions.take().unwrap_or_default();
        *sessions = Some(resumed(known, &found));
        let Some(all) = sessions.as_mut() else { return Ok(()) };
        for (session, found) in all.iter_mut().zip(&found) {
            if let Err(error) = session.prepare(client, &self.plan, found).await {
                if is_first {
                    *sessions = None;
                }
                return Err(error);
            }
        }
        for session in &*all {
            let from = session.describe(&self.plan);
            ready(&format!("{} from {from}", if is_first { "events" } else { "events again" }));
        }
        self.plan.health.set_connected(BROKER, CONNECTION, true);
        let reading = try_join_all(all.iter().map(|session| self.read(client, session, ready)));
        let telling = async {
            let mut ticks = interval(PROGRESS_INTERVAL);
            loop {
                ticks.tick().await;
                for session in &*all {
                    for reply in session.ledger.replies() {
                        self.acks.say(reply, PROGRESS).await;
                    }
                }
            }
        };
        tokio::select! {
            read = reading => read.map(drop),
            () = telling => Ok(()),
        }
    }

    async fn read(
        &self,
        client: &Client,
        session: &Session,
        ready: &impl Fn(&str),
    ) -> Result<(), Error> {
        let push = |taken: Taken| self.push(taken);
        let settling = async {
            session.settle(client, &self.plan, ready, push).await?;
            std::future::pending().await
        };
        tokio::select! {
            ended = settling => ended,
            ended = self.pull(client, session) => ended,
        }
    }

    async fn pull(&self, client: &Client, session: &Session) -> Result<(), Error> {
        let mut pull = session.pull(client, &self.plan).await?;
        loop {
            let (window, bytes) = session.window(&self.plan);
            session.settling.room(window / 2).await;
            let (count, bytes) = session.ledger.room(window, bytes).await;
            let take = async |message| self.take(session, message).await;
            match pull.ask(count, Some(bytes), take).await? {
                Ended::Served => {}
                // The next one alone is larger than all that may be held.
                Ended::TooLarge if session.ledger.held() == 0 => {
                    pull.ask(1, None, take).await?;
                }
                // It is larger than what there is room for now.
                Ended::TooLarge => session.ledger.freed().await,
            }
        }
    }

    /// One message of a consumer.
    async fn take(&self, session: &Session, message: pull::Message) {
        let pull::Message { subject, reply, headers, payload, sequence, delivered } = message;
        let (about, request) = self.dialect.event(&subject, headers.as_ref(), &payload);
        if !self.filter.fits(&about) {
            session.ledger.pass(sequence);
            return self.acks.say(reply, ACK).await;
        }
        match session.ledger.take(sequence, reply, payload.len()) {
            ledger::Entry::New => {
                let ledger = session.ledger.clone();
                let original = dead_letters::Original { headers, payload };
                let taken = Taken { ledger, sequence, delivered, about, request, original };
                session
                    .settling
                    .offer(sequence, taken)
                    .into_iter()
                    .for_each(|taken| self.push(taken));
            }
            ledger::Entry::Held => {}
            ledger::Entry::Done(reply) => {
                self.acks.say(reply, ACK).await;
                session.settling.returned(sequence).into_iter().for_each(|taken| self.push(taken));
            }
        }
    }

    fn push(&self, taken: Taken) {
        let key = taken.about.key.clone();
        self.lanes.push(key.as_deref(), taken);
    }

    async fn finish(&self, sessions: &[Session], hurry: impl Future<Output = ()>) {
        self.lanes.finish(self.plan.drain, hurry).await;
        for session in sessions {
            for reply in session.ledger.replies() {
                self.acks.say(reply, NAK).await;
            }
        }
        let Some(client) = self.acks.current.load_full() else { return };
        for session in sessions {
            session.leave(&client, &self.plan).await;
        }
        // What can't leave in time is handed out again later.
        let _ = timeout(ACK_TIMEOUT, client.flush()).await;
    }
}

/// The sessions of these streams: those that there were, and new ones.
fn resumed(known: Vec<Session>, found: &[Found]) -> Vec<Session> {
    let mut known = known;
    let session = |found: &Found| {
        let place = known.iter().position(|session| session.stream == found.name);
        place.map_or_else(|| Session::new(found), |place| known.swap_remove(place))
    };
    found.iter().map(session).collect()
}

/// Tells the server what became of its messages, over the connection that there is.
#[derive(Default)]
struct Acks {
    current: ArcSwapOption<Client>,
}

impl Acks {
    /// Without a connection it isn't said: the message comes again, and then it is.
    async fn say(&self, reply: Subject, what: Bytes) {
        if let Some(client) = self.current.load_full() {
            let _ = timeout(ACK_TIMEOUT, client.publish(reply, what)).await;
        }
    }
}

/// Posts what comes through a lane.
struct Poster {
    delivery: Arc<Delivery>,
    acks: Arc<Acks>,
    dead_letters: Option<DeadLetters>,
}

impl Handle<Taken> for Poster {
    async fn handle(&self, taken: Taken) {
        let Taken { ledger, sequence, delivered, about, request, original } = taken;
        let (before, stop) = (delivered.saturating_sub(1), &self.delivery.stop);
        let outcome = self.delivery.deliver(&about, request, before, stop).await;
        let what = match outcome {
            // What is left in the ledger goes back.
            DeliveryResult::Stopped => return,
            DeliveryResult::Taken => ACK,
            DeliveryResult::GivenUp { status, reason } => {
                let letter = dead_letters::Letter {
                    original,
                    stream: ledger.stream(),
                    sequence,
                    status,
                    reason: &reason,
                };
                match &self.dead_letters {
                    None => {
                        self.delivery.reporter.given_up(&letter.to_string(), None);
                        TERM
                    }
                    Some(dead_letters) => {
                        let client = || self.acks.current.load_full();
                        tokio::select! {
                            () = dead_letters.keep(client, &letter, &*self.delivery.reporter) => ACK,
                            () = self.delivery.stop.begun() => return,
                        }
                    }
                }
            }
        };
        if let Some(reply) = ledger.settle(sequence) {
            self.acks.say(reply, what).await;
        }
    }
}
