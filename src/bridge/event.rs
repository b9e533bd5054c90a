//! The walk of an event: route, publish, receipt.

use std::sync::Arc;

use bytes::Bytes;

use super::spawn_on_drop::SpawnOnDrop;
use super::turns::Turn;
use super::{Bridge, Done, Endpoint, Held, Kind, TapRecord};
use crate::auth::{Delivered, Entry, Found, Mark};
use crate::config::{Dedupe, Replay};
use crate::limit::ByteReservation;
use crate::message::{Event, Metadata, Receipt, Refusal, Webhook, attribute};
use crate::publish::{self, Destination};
use crate::template::Vars;

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
    if let Some(tap) = tap {
        to.iter().for_each(|destination| tap.goes_to(destination.text()));
    }
    let Held { delivery, entry, reservation, turn } = held;
    let turn = bridge.turn(turn, &metadata, to.iter().map(|to| to.text()));
    let event = Arriving { endpoint, webhook, metadata, to, reservation, turn };
    // The answers to questions are not kept here: a repeated question is asked, or its answer reused, call by call.
    let is_told = delivery.replay == Replay::Dedupe && endpoint.dedupe != Dedupe::Off;
    match delivery.mark.filter(|_| is_told) {
        Some(mark) => once(event, mark).await,
        None => store(event, entry).await,
    }
}

/// An event on its way to its destinations.
struct Arriving<'a> {
    endpoint: &'a Endpoint,
    webhook: Webhook,
    metadata: Metadata,
    to: &'a [Arc<Destination>],
    reservation: ByteReservation,
    turn: Option<Turn>,
}

/// Store an event unless it was stored before: then it gets the same answer again. While it is being stored, a copy
/// waits, and shares its end.
async fn once(mut event: Arriving<'_>, mark: Mark) -> Done {
    let ended = loop {
        match event.endpoint.seen.find(mark) {
            Found::New(entry) => return store(event, Some(entry)).await,
            Found::Done(delivered) => break Ok(delivered),
            Found::Open(end) => {
                // The first has the turn.
                event.turn = None;
                match end.await {
                    Ok(ended) => break ended,
                    // It was given up before it came to that: this one may be the first now.
                    Err(_) => continue,
                }
            }
        }
    };
    let id = Some(event.webhook.id);
    match ended {
        Err(refusal) => Done::refused(id, refusal),
        Ok(Delivered { is_accepted }) => Done {
            id,
            outcome: None,
            reply: Ok(event.endpoint.source.acknowledge(is_accepted)),
            label: Done::other(),
            kind: None,
            result: "repeated",
            why: None,
            tap: None,
        },
    }
}

/// Store an event at all its destinations. The end of `entry` is that of the event, also if nobody waits for it.
async fn store(mut event: Arriving<'_>, entry: Option<Entry>) -> Done {
    let (id, label) = (event.webhook.id.clone(), event.metadata.label.clone());
    let (source, turn) = (&*event.endpoint.source, event.turn.take());
    if let Some(turn) = &turn {
        turn.ready().await;
    }
    let receipt = match begin(event, entry) {
        Ok(storing) => {
            drop(turn);
            storing.await
        }
        Err(refusal) => Err(refusal),
    };
    Done {
        id: Some(id),
        outcome: None,
        result: receipt.as_ref().map_or("refused", |receipt| receipt.as_str()),
        reply: receipt.map(|receipt| source.acknowledge(receipt.is_accepted())),
        label,
        kind: Some(Kind::Event),
        why: None,
        tap: None,
    }
}

/// Everything that must happen in the order of arrival.
fn begin(
    event: Arriving<'_>,
    entry: Option<Entry>,
) -> Result<SpawnOnDrop<impl Future<Output = Result<Receipt, Refusal>> + use<>>, Refusal> {
    let Arriving { endpoint, webhook, metadata, to, mut reservation, .. } = event;
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
            end(entry, &Err(refusal.clone()));
            return Err(refusal);
        }
    };
    let within = endpoint.source.ack_within();
    Ok(SpawnOnDrop::new(async move {
        let receipt = publishing.finish_within(within).await;
        drop((permit, reservation));
        end(entry, &receipt);
        receipt
    }))
}

/// Tell the copies of a delivery what came of it.
fn end(entry: Option<Entry>, result: &Result<Receipt, Refusal>) {
    if let Some(entry) = entry {
        let delivered = |receipt: &Receipt| Delivered { is_accepted: receipt.is_accepted() };
        entry.end(result.as_ref().map(delivered).map_err(Refusal::clone));
    }
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
