//! The walk of an event: route, publish, receipt.

use std::sync::Arc;

use bytes::Bytes;

use super::once::Once;
use super::spawn_on_drop::SpawnOnDrop;
use super::turns::Turn;
use super::{Bridge, Done, Endpoint, Held, Kind, TapRecord};
use crate::auth::Delivered;
use crate::config::Dedupe;
use crate::limit::ByteReservation;
use crate::live_tail::TapProgress;
use crate::message::{Event, Metadata, Receipt, Refusal, Webhook, WebhookOutcome, attribute};
use crate::publish::{self, Destination};
use crate::template::Vars;
use crate::trace::Span;

/// Store an event at all its destinations, and say who holds it.
pub(super) async fn publish(
    bridge: &Arc<Bridge>,
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    metadata: Metadata,
    held: Held<'_>,
    tap: Option<&mut TapRecord>,
) -> Done {
    let to = endpoint.routes.event(&metadata.kind);
    let progress = tap.map(|tap| {
        to.iter().for_each(|destination| tap.goes_to(destination.text()));
        tap.progress()
    });
    let Held { mut once, reservation, turn, .. } = held;
    let mut turn = bridge.turn(turn, &metadata, to.iter().map(|to| to.text()));
    if let Some(ended) = once.earlier(endpoint, &mut turn).await {
        return repeated(endpoint, webhook.id, ended);
    }
    let arriving = Arriving { endpoint, webhook, metadata, to, reservation, turn, tap: progress };
    store(arriving, once).await
}

/// An event on its way to its destinations.
struct Arriving<'a> {
    endpoint: &'a Endpoint,
    webhook: Webhook,
    metadata: Metadata,
    to: &'a [Arc<Destination>],
    reservation: ByteReservation,
    turn: Option<Turn>,
    /// For those who follow.
    tap: Option<TapProgress>,
}

/// The answer to a copy of an event: that of the first.
fn repeated(endpoint: &Endpoint, id: Arc<str>, ended: Result<Delivered, Refusal>) -> Done {
    match ended {
        Err(refusal) => Done::refused(Some(id), refusal),
        Ok(Delivered { is_accepted }) => Done {
            id: Some(id),
            outcome: None,
            reused: false,
            reply: Ok(endpoint.source.acknowledge(is_accepted)),
            label: None,
            kind: None,
            result: WebhookOutcome::Repeated,
            why: None,
            tap: None,
            span: Span::default(),
        },
    }
}

/// Store an event at all its destinations. Its copies learn of its end, also if nobody waits for it.
async fn store(mut event: Arriving<'_>, once: Once) -> Done {
    let (id, label) = (event.webhook.id.clone(), event.metadata.label);
    let (source, turn) = (&*event.endpoint.source, event.turn.take());
    if let Some(turn) = &turn {
        turn.ready().await;
    }
    let receipt = match begin(event, once) {
        Ok(storing) => {
            drop(turn);
            storing.await
        }
        Err(refusal) => Err(refusal),
    };
    Done {
        id: Some(id),
        outcome: None,
        reused: false,
        result: receipt.as_ref().map_or(WebhookOutcome::Refused, |it| WebhookOutcome::Event(*it)),
        reply: receipt.map(|receipt| source.acknowledge(receipt.is_accepted())),
        label: Some(label),
        kind: Some(Kind::Event),
        why: None,
        tap: None,
        span: Span::default(),
    }
}

/// Everything that must happen in the order of arrival.
fn begin(
    event: Arriving<'_>,
    once: Once,
) -> Result<SpawnOnDrop<impl Future<Output = Result<Receipt, Refusal>> + use<>>, Refusal> {
    let Arriving { endpoint, webhook, metadata, to, mut reservation, tap, .. } = event;
    let mut take_turns = || {
        endpoint.limits.rate()?;
        let permit = endpoint.limits.event(&mut reservation)?;
        let vars = vars(endpoint, &metadata, None);
        let to = to.iter().map(|destination| (destination.clone(), destination.name(&vars)));
        Ok::<_, Refusal>((permit, publish::begin(to, whole(endpoint, &webhook, &metadata))?))
    };
    let (permit, publishing) = match take_turns() {
        Ok(begun) => begun,
        Err(refusal) => {
            once.end(Err(&refusal));
            return Err(refusal);
        }
    };
    let within = endpoint.source.ack_within();
    Ok(SpawnOnDrop::new(async move {
        let receipt = publishing.followed_by(tap).finish_within(within).await;
        drop((permit, reservation));
        let delivered = |receipt: &Receipt| Delivered { is_accepted: receipt.is_accepted() };
        once.end(receipt.as_ref().map(delivered));
        receipt
    }))
}

/// A webhook as the event that it is.
pub(super) fn whole(endpoint: &Endpoint, webhook: &Webhook, metadata: &Metadata) -> Event {
    let (id, content_type) = (webhook.id.clone(), webhook.content_type.clone());
    event(endpoint, webhook, metadata, id, content_type, webhook.body.clone())
}

/// An event that comes of a webhook.
pub(super) fn event(
    endpoint: &Endpoint,
    webhook: &Webhook,
    metadata: &Metadata,
    id: Arc<str>,
    content_type: Arc<str>,
    payload: Bytes,
) -> Event {
    let kind: Arc<str> = [endpoint.source.event_prefix(), &metadata.kind].concat().into();
    Event {
        id,
        endpoint: webhook.endpoint.clone(),
        kind: attribute(&kind),
        key: metadata.key.clone(),
        subject: metadata.key.as_ref().map(attribute),
        time: webhook.received,
        content_type,
        payload,
        trace: webhook.trace.clone(),
        dedupe: endpoint.dedupe != Dedupe::Off,
    }
}

/// The variables of templates.
pub(super) fn vars<'a>(
    endpoint: &'a Endpoint,
    metadata: &'a Metadata,
    function: Option<&'a str>,
) -> Vars<'a> {
    Vars { endpoint: &endpoint.name, kind: &metadata.kind, key: metadata.key.as_deref(), function }
}
