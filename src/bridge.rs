//! The walk of a webhook: the only module that knows all the steps.
//!
//! receive → authenticate → classify → route → publish | ask → reply

mod asking;
mod audit;
mod beside;
mod event;
mod spawn_on_drop;
mod follow;
mod once;
mod one;
mod questions;
mod refused;
mod stray;
mod stream;
mod traced;
mod turns;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use tracing::debug;
use uuid::Uuid;

use self::once::Once;
pub use self::refused::Diagnoses;
use self::refused::Refused;
pub use self::traced::answered;
use self::turns::Turn;
pub use self::turns::Turns;
use crate::answer_cache::AnswerCache;
use crate::auth::diagnosis::Diagnosis;
use crate::auth::{Auth, By, Seen, SeenDeliveries};
use crate::body::{self, Encoding};
use crate::config::Dedupe;
use crate::inbox::Inbox;
use crate::limit::{ByteReservation, EndpointLimits, Limits};
use crate::live_tail::{Kind, LiveTail, TapRecord};
use crate::message::{
    Client, Metadata, Outcome, Refusal, Reply, Webhook, WebhookOutcome, attribute,
};
use crate::places::Form;
use crate::route::Routes;
use crate::source::{Classified, Meaning, Request, Source};
use crate::telemetry::metrics::{DeferredMetrics, Metrics};
use crate::trace::{Span, Trace, Tracer};

/// Everything that a webhook meets on its way.
pub struct Bridge {
    /// What is in flight.
    pub limits: Arc<Limits>,
    /// Where questions are asked and answered, if NATS is configured.
    pub questions: Option<Arc<Inbox>>,
    /// What workers answered, for tool calls that come again.
    pub answers: AnswerCache,
    /// Deliveries that were seen before, also those of endpoints that are gone.
    pub deliveries: SeenDeliveries,
    /// Whose turn it is, of bodies that take a while.
    pub turns: Arc<Turns>,
    /// Why senders are refused.
    pub diagnoses: Diagnoses,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What others may follow.
    pub live_tail: LiveTail,
    /// What makes spans of it, if anything does.
    pub tracer: Option<Arc<Tracer>>,
}

/// One endpoint, ready to be used.
pub struct Endpoint {
    /// Its name.
    pub name: Arc<str>,
    /// The dialect that is spoken.
    pub source: Box<dyn Source>,
    /// Who may post.
    pub auth: Arc<Auth>,
    /// How much may come.
    pub limits: Arc<EndpointLimits>,
    /// Its part of the deliveries that were seen before.
    pub seen: Arc<Seen>,
    /// Largest body, in bytes.
    pub max_body: usize,
    /// The time that it may take to arrive.
    pub body_timeout: BodyTimeout,
    /// The provider, as `source` in the configuration. Only the admin listener reads this and the next one, to show them.
    pub source_name: Arc<str>,
    /// The `kind` of each table of `auth` in the configuration.
    pub auth_kinds: Vec<&'static str>,
    /// Where things go.
    pub routes: Routes,
    /// What is counted of it.
    pub metrics: DeferredMetrics,
    /// What tells a repeated delivery.
    pub dedupe: Dedupe,
    /// How long answers to tool calls are kept; zero: not at all.
    pub answer_window: Duration,
}

/// How long a body may take to arrive.
#[derive(Debug, Clone, Copy)]
pub struct BodyTimeout {
    /// From a sender that is known by the head.
    pub known: Duration,
    /// From anybody else.
    pub unknown: Duration,
}

impl BodyTimeout {
    const fn of(self, is_known: bool) -> Duration {
        if is_known { self.known } else { self.unknown }
    }
}

/// How a walk ended.
pub struct Done {
    /// Id of the webhook, once it was read.
    pub id: Option<Arc<str>>,
    /// The worst outcome of its questions.
    pub outcome: Option<Outcome>,
    /// Some of its answers are those to an earlier delivery.
    pub reused: bool,
    /// What the sender gets.
    pub reply: Result<Reply, Refusal>,
    /// The number of its type, once that is known.
    label: Option<usize>,
    /// Nothing is known of what was refused.
    kind: Option<Kind>,
    /// What became of it.
    result: WebhookOutcome,
    /// For those who follow: why it was refused, and to be told how it was answered.
    why: Option<Arc<Diagnosis>>,
    /// The same.
    pub tap: Option<TapRecord>,
    /// All of it, up to the response.
    pub span: Span,
}

impl Bridge {
    /// The walk. From the complete body up to the first step that waits for a broker it doesn't yield, so that events
    /// take their turns in the order in which their bodies were complete; what takes longer has a turn from the
    /// beginning (see `turns`). From there on it goes on even if the sender hangs up.
    pub async fn walk<B>(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        head: &Parts,
        client: &Client,
        body: &mut B,
    ) -> Done
    where
        B: http_body::Body<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
    {
        let started = Instant::now();
        let (trace, span) = self.trace(endpoint, head, client);
        let mut tap = self.live_tail.record(&endpoint.name, &client.hang_up);
        if let Some(tap) = &mut tap {
            tap.traced(&trace);
        }
        let mut done = match self.handshake(endpoint, head, client).await {
            Some(done) => done,
            None => match self.receive(endpoint, head, client, body, tap.as_ref()).await {
                Err(Refused { refusal, why }) => Done { why, ..Done::refused(None, refusal) },
                Ok(received) => {
                    let began = (started, trace);
                    self.handle(endpoint, head, received, began, tap.as_mut()).await
                }
            },
        };
        done.span = span;
        done.describe(endpoint);
        done.report(endpoint, started);
        done.keep(tap);
        done
    }

    /// The end of a request that only tries out the endpoint, and needn't authenticate for that.
    async fn handshake(&self, endpoint: &Endpoint, head: &Parts, client: &Client) -> Option<Done> {
        let reply = endpoint.source.handshake(head)?;
        Some(match endpoint.auth.address(head, client) {
            Ok(()) => Done::handshake(None, reply),
            Err(cause) => {
                let refused = self.unauthorized(endpoint, cause, head, &Bytes::new()).await;
                Done::refused(None, refused.refusal)
            }
        })
    }

    /// From an authenticated webhook to its end.
    async fn handle(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        head: &Parts,
        received: Received<'_>,
        (started, trace): (Instant, Trace),
        mut tap: Option<&mut TapRecord>,
    ) -> Done {
        let Received { body, hash, form, held } = received;
        let request = Request { head, body: &body, scheme: held.scheme, form };
        let classified = endpoint.source.classify(request);
        let sent =
            classified.as_ref().ok().and_then(|classified| classified.delivery_id.as_deref());
        let id = hash.unwrap_or_else(|| id(sent.or(held.id)));
        if let Some(tap) = &mut tap {
            tap.received(id.clone(), &body);
        }
        let Classified { metadata, meaning, .. } = match classified {
            Ok(classified) => classified,
            Err(refusal) => return Done::refused(Some(id), refusal),
        };
        if let Some(tap) = &mut tap {
            tap.classified(&metadata);
        }
        let webhook = Webhook {
            id,
            endpoint: endpoint.name.clone(),
            content_type: content_type(&head.headers),
            trace,
            received: SystemTime::now(),
            started,
            body,
        };
        match meaning {
            Meaning::Handshake(reply) => Done::handshake(Some(webhook.id), Ok(reply)),
            Meaning::Event => event::publish(self, endpoint, webhook, metadata, held, tap).await,
            Meaning::Questions(questions) => {
                questions::ask(self, endpoint, webhook, metadata, questions, held, tap).await
            }
        }
    }

    /// The turn of something that is ready to be stored there, if it has to wait for one.
    fn turn<'a>(
        self: &Arc<Self>,
        taken: Option<Turn>,
        metadata: &Metadata,
        to: impl Iterator<Item = &'a Arc<str>> + Clone,
    ) -> Option<Turn> {
        // What has no key has no order.
        metadata.key.as_ref()?;
        match taken {
            Some(turn) => Some(turn.keep(to)).filter(|turn| !turn.is_empty()),
            None => self.turns.behind(to),
        }
    }

    /// Authenticate by the head, read the body within the limits, authenticate by what was received, and decode it.
    async fn receive<'a, B>(
        &self,
        endpoint: &'a Endpoint,
        head: &'a Parts,
        client: &Client,
        body: &mut B,
        tap: Option<&TapRecord>,
    ) -> Result<Received<'a>, Refused>
    where
        B: http_body::Body<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
    {
        let refused = async |cause, body| Err(self.unauthorized(endpoint, cause, head, body).await);
        let mut pending = match endpoint.auth.head(head, client).await {
            Ok(pending) => pending,
            Err(cause) => return refused(cause, &Bytes::new()).await,
        };
        if let Some(tap) = tap.filter(|_| pending.is_known()) {
            tap.authenticated();
        }
        let encoding = Encoding::of(&head.headers)?;
        let mut reading = endpoint.limits.reading(pending.is_known())?;
        let limit = endpoint.max_body;
        let time = endpoint.body_timeout.of(reading.is_known());
        let received =
            body::read(body, limit, time, &mut reading, |part| pending.part(part)).await?;
        if pending.copies_body() {
            reading.grow(received.len())?;
        }
        let mut form = None;
        let delivery = match pending.body(&received, &mut form) {
            Ok(delivery) => delivery,
            Err(cause) => return refused(cause, &received).await,
        };
        if let Some(tap) = tap {
            tap.authenticated();
        }
        if let Some(By { auth, secret }) = delivery.by {
            endpoint.metrics.authenticated(auth, secret);
        }
        let (_reading, reservation) = endpoint.limits.verified(reading, received.len())?;
        let to = endpoint.routes.destinations().map(|to| to.text());
        let turn = self.turns.of_body(received.len(), encoding.is_some(), to);
        let once = match Once::new(endpoint, &delivery) {
            Ok(once) => once,
            Err(cause) => return refused(cause, &received).await,
        };
        let hash = (endpoint.dedupe == Dedupe::Body)
            .then(|| format!("{:x}", Sha256::digest(&received)).into());
        let (body, reservation) = match encoding {
            None => (received, reservation),
            Some(encoding) => {
                // It is of what was received.
                form = None;
                encoding.decode(received, limit, reservation).await?
            }
        };
        Ok(Received {
            body,
            hash,
            form,
            held: Held { id: delivery.id, scheme: delivery.scheme, once, reservation, turn },
        })
    }
}

/// A webhook that was let in.
struct Received<'a> {
    /// The body, decoded.
    body: Bytes,
    /// That of the received bytes, where it tells a repeated delivery.
    hash: Option<Arc<str>>,
    /// Its fields, where the signature of a form needed them.
    form: Option<Form>,
    held: Held<'a>,
}

/// What a webhook holds on its way.
struct Held<'a> {
    /// The provider's id of this delivery, where it counts.
    id: Option<&'a str>,
    /// The number of the scheme whose signature let it in, if one did.
    scheme: Option<usize>,
    once: Once,
    reservation: ByteReservation,
    /// Where something took a while.
    turn: Option<Turn>,
}

impl Done {
    fn refused(id: Option<Arc<str>>, refusal: Refusal) -> Self {
        Self {
            id,
            outcome: None,
            reused: false,
            reply: Err(refusal),
            label: None,
            kind: None,
            result: WebhookOutcome::Refused,
            why: None,
            tap: None,
            span: Span::default(),
        }
    }

    fn handshake(id: Option<Arc<str>>, reply: Result<Reply, Refusal>) -> Self {
        match reply {
            Err(refusal) => Self::refused(id, refusal),
            Ok(reply) => Self {
                id,
                outcome: None,
                reused: false,
                reply: Ok(reply),
                label: None,
                kind: None,
                result: WebhookOutcome::Handshake,
                why: None,
                tap: None,
                span: Span::default(),
            },
        }
    }

    /// One word that says why it was refused or fell back.
    pub fn reason(&self) -> Option<&'static str> {
        let refused = self.reply.as_ref().err().map(Refusal::reason);
        refused
            .or(self.outcome.map(Outcome::as_str))
            .filter(|reason| *reason != self.result.as_str())
    }

    fn report(&self, endpoint: &Endpoint, started: Instant) {
        let (took, metrics) = (started.elapsed(), &endpoint.metrics);
        let label = self.label.unwrap_or(metrics.other());
        metrics.webhook(label, self.result);
        if let Err(refusal) = &self.reply {
            metrics.refused(refusal.reason(), took, self.span.ids());
        }
        match self.kind {
            Some(Kind::Event) => metrics.event_took(took, self.span.ids()),
            Some(Kind::Question) => metrics.question_took(took, self.span.ids()),
            None => {}
        }
        debug!(
            id = self.id.as_deref(),
            endpoint = &*endpoint.name,
            "type" = metrics.type_name(label),
            outcome = self.result.as_str(),
            reason = self.reason(),
            milliseconds = took.as_millis() as u64,
            error = self.reply.as_ref().err().map(tracing::field::display),
            "webhook"
        );
    }
}

/// The id of a delivery: its sender's, if it has one that any header can carry; else one of its own.
fn id(sent: Option<&str>) -> Arc<str> {
    let Some(sent) = sent else {
        let mut buffer = Uuid::encode_buffer();
        let id: &str = Uuid::now_v7().as_hyphenated().encode_lower(&mut buffer);
        return id.into();
    };
    let is_plain = sent.len() <= 128 && sent.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { sent.into() } else { format!("{:x}", Sha256::digest(sent)).into() }
}

/// The content type as sent; JSON where there is none that could be passed on.
fn content_type(headers: &HeaderMap) -> Arc<str> {
    let sent = text(headers, header::CONTENT_TYPE.as_str());
    attribute(&sent.unwrap_or("application/json").into())
}

/// The value of a header, if it is visible ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}
