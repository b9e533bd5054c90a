//! The walk of an event: route, publish, receipt.

use std::sync::Arc;

use bytes::Bytes;

use super::finish::Finish;
use super::turns::Turn;
use super::{Done, Endpoint};
use crate::auth::{Delivered, Entry, Found, Mark};
use crate::config::Dedupe;
use crate::limit::Charge;
use crate::message::{About, Event, Receipt, Refusal, Reply, Webhook, attribute};
use crate::publish;
use crate::template::Vars;

/// Store an event unless it was stored before: then it gets the same answer again. While it is being stored, a copy
/// waits, and shares its end.
pub(super) async fn once(
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    about: About,
    charge: Charge,
    mut turn: Option<Turn>,
    mark: Mark,
) -> Done {
    let ended = loop {
        match endpoint.seen.find(mark) {
            Found::New(entry) => {
                return store(endpoint, webhook, about, charge, turn, Some(entry)).await;
            }
            Found::Done(delivered) => break Ok(delivered),
            Found::Open(end) => {
                // The first has the turn.
                turn = None;
                match end.await {
                    Ok(ended) => break ended,
                    // It was given up before it came to that: this one may be the first now.
                    Err(_) => continue,
                }
            }
        }
    };
    match ended {
        Err(refusal) => Done::refused(Some(webhook.id), "other", refusal),
        Ok(Delivered { is_accepted }) => Done {
            id: Some(webhook.id),
            outcome: None,
            result: Ok(Reply { is_accepted, ..Reply::receipt(Receipt::Stored) }),
            label: "other",
            kind: None,
            fate: "repeated",
            note: None,
        },
    }
}

/// Store an event at all its destinations. The end of `entry` is that of the event, also if nobody waits for it.
pub(super) async fn store(
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    about: About,
    charge: Charge,
    turn: Option<Turn>,
    entry: Option<Entry>,
) -> Done {
    let id = webhook.id.clone();
    if let Some(turn) = &turn {
        turn.ready().await;
    }
    let result = match begin(endpoint, webhook, &about, charge, entry) {
        Ok(storing) => {
            drop(turn);
            Finish::new(storing).await
        }
        Err(refusal) => Err(refusal),
    };
    let fate = match &result {
        Ok(receipt) => receipt.as_str(),
        Err(_) => "refused",
    };
    Done {
        id: Some(id),
        outcome: None,
        result: result.map(Reply::receipt),
        label: about.label,
        kind: Some("event"),
        fate,
        note: None,
    }
}

/// Everything that must happen in the order of arrival.
fn begin(
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    about: &About,
    mut charge: Charge,
    entry: Option<Entry>,
) -> Result<impl Future<Output = Result<Receipt, Refusal>> + use<>, Refusal> {
    let mut take_turns = || {
        endpoint.gate.rate()?;
        let permit = endpoint.gate.event(&mut charge)?;
        let vars = vars(endpoint, about, None);
        let to = endpoint.routes.event(&about.kind).iter();
        let to = to.map(|destination| (destination.clone(), destination.name(&vars)));
        Ok::<_, Refusal>((permit, publish::begin(to, whole(endpoint, &webhook, about))?))
    };
    let (permit, publishing) = match take_turns() {
        Ok(begun) => begun,
        Err(refusal) => {
            end(entry, &Err(refusal.clone()));
            return Err(refusal);
        }
    };
    Ok(async move {
        let receipt = publishing.finish().await;
        drop((permit, charge));
        end(entry, &receipt);
        receipt
    })
}

/// Tell the copies of a delivery what came of it.
fn end(entry: Option<Entry>, result: &Result<Receipt, Refusal>) {
    if let Some(entry) = entry {
        let delivered = |receipt: &Receipt| Delivered { is_accepted: receipt.is_accepted() };
        entry.end(result.as_ref().map(delivered).map_err(Refusal::clone));
    }
}

/// A webhook as the event that it is.
pub(super) fn whole(endpoint: &Endpoint, webhook: &Webhook, about: &About) -> Event {
    let (id, content_type) = (webhook.id.clone(), webhook.content_type.clone());
    event(endpoint, webhook, about, id, content_type, webhook.body.clone())
}

/// An event that comes of a webhook.
pub(super) fn event(
    endpoint: &Endpoint,
    webhook: &Webhook,
    about: &About,
    id: Arc<str>,
    content_type: Arc<str>,
    payload: Bytes,
) -> Event {
    let kind: Arc<str> = [endpoint.source.event_prefix(), &about.kind].concat().into();
    Event {
        id,
        endpoint: webhook.endpoint.clone(),
        kind: attribute(&kind),
        key: about.key.clone(),
        subject: about.key.as_ref().map(attribute),
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
    about: &'a About,
    function: Option<&'a str>,
) -> Vars<'a> {
    Vars { endpoint: &endpoint.name, kind: &about.kind, key: about.key.as_deref(), function }
}
