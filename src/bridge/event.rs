//! The walk of an event: route, publish, receipt.

use std::sync::Arc;

use bytes::Bytes;

use super::finish::Finish;
use super::{Done, Endpoint};
use crate::config::Dedupe;
use crate::limit::Charge;
use crate::message::{About, Event, Receipt, Refusal, Reply, Webhook, attribute};
use crate::publish;
use crate::template::Vars;

/// Store an event at all its destinations.
pub(super) async fn store(
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    about: About,
    charge: Charge,
) -> Done {
    let id = webhook.id.clone();
    let result = match begin(endpoint, webhook, &about, charge) {
        Ok(storing) => Finish::new(storing).await,
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
) -> Result<impl Future<Output = Result<Receipt, Refusal>> + use<>, Refusal> {
    endpoint.gate.rate()?;
    let permit = endpoint.gate.event(&mut charge)?;
    let vars = vars(endpoint, about, None);
    let to = endpoint.routes.event(&about.kind).iter();
    let to = to.map(|destination| (destination.clone(), destination.name(&vars)));
    let publishing = publish::begin(to, whole(endpoint, &webhook, about))?;
    Ok(async move {
        let receipt = publishing.finish().await;
        drop((permit, charge));
        receipt
    })
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
