//! The walk of an event: route, publish, receipt.

use std::sync::Arc;

use bytes::Bytes;

use super::{Bridge, Done, Endpoint};
use crate::config::Dedupe;
use crate::limit::Charge;
use crate::message::{Classified, Event, Receipt, Refusal, Reply, Webhook, attribute};
use crate::publish::{self, Destination, Publishing};
use crate::template::Vars;

/// Store an event at all its destinations.
pub(super) async fn store(
    bridge: &Arc<Bridge>,
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    class: Classified,
    charge: Charge,
) -> Done {
    let id = webhook.id.clone();
    let result = match begin(bridge, endpoint, webhook, &class, charge) {
        Ok(storing) => tokio::spawn(storing)
            .await
            .unwrap_or(Err(Refusal::Stopping)),
        Err(refusal) => Err(refusal),
    };
    let fate = match &result {
        Ok(Receipt::Stored) => "stored",
        Ok(Receipt::Dropped) => "dropped",
        Err(_) => "refused",
    };
    Done {
        id: Some(id),
        outcome: None,
        result: result.map(|_| Reply::json(Bytes::from_static(b"{}"))),
        label: class.label,
        kind: Some("event"),
        fate,
    }
}

/// Everything that must happen in the order of arrival.
fn begin(
    bridge: &Arc<Bridge>,
    endpoint: &Arc<Endpoint>,
    webhook: Webhook,
    class: &Classified,
    charge: Charge,
) -> Result<impl Future<Output = Result<Receipt, Refusal>> + use<>, Refusal> {
    let permit = bridge.limits.event()?;
    let publishing = publish(
        endpoint,
        endpoint.routes.event(&class.kind),
        &webhook,
        class,
    )?;
    Ok(async move {
        let receipt = publishing.finish().await;
        drop((permit, charge));
        receipt
    })
}

/// The webhook as an event, with its turns taken at `to`.
pub(super) fn publish(
    endpoint: &Endpoint,
    to: &[Arc<Destination>],
    webhook: &Webhook,
    class: &Classified,
) -> Result<Publishing, Refusal> {
    let event = event(
        endpoint,
        webhook,
        class,
        webhook.id.clone(),
        webhook.content_type.clone(),
        webhook.body.clone(),
    );
    publish::begin(to, event, &vars(endpoint, class, None))
}

/// An event that comes of a webhook.
pub(super) fn event(
    endpoint: &Endpoint,
    webhook: &Webhook,
    class: &Classified,
    id: Arc<str>,
    content_type: Arc<str>,
    payload: Bytes,
) -> Event {
    let kind: Arc<str> = [endpoint.source.event_prefix(), &class.kind]
        .concat()
        .into();
    Event {
        id,
        endpoint: webhook.endpoint.clone(),
        kind: attribute(&kind),
        key: class.key.clone(),
        subject: class.key.as_ref().map(attribute),
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
    class: &'a Classified,
    function: Option<&'a str>,
) -> Vars<'a> {
    Vars {
        endpoint: &endpoint.name,
        kind: &class.kind,
        key: class.key.as_deref(),
        function,
    }
}
