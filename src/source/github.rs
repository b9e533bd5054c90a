//! GitHub webhooks: events, told by a header, as JSON or as a form.
//!
//! Facts are from `docs.github.com` (webhooks/webhook-events-and-payloads, webhooks/using-webhooks).

pub mod samples;

use std::sync::{Arc, LazyLock};

use http::HeaderMap;

use crate::config::facts::{Facts, Unsigned};
use crate::config::scheme::Scheme;
use crate::message::{Metadata, Refusal};
use crate::source::{Classified, Meaning, Request, Source};

/// The type of an event.
const EVENT: &str = "x-github-event";
/// The id of a delivery, which it keeps when it is sent again.
const DELIVERY: &str = "x-github-delivery";

/// The dialect of GitHub.
#[derive(Debug)]
pub struct Github {
    trusts_delivery: bool,
}

impl Github {
    /// Where these headers count although no signature covers them.
    pub fn new(trusted: &[String]) -> Self {
        let trusts = |header: &str| trusted.iter().any(|name| name.eq_ignore_ascii_case(header));
        Self { trusts_delivery: trusts(DELIVERY) }
    }
}

/// What the configuration has to know of GitHub. Its types are many, and more come: none is known by name.
pub fn facts() -> Arc<Facts> {
    static FACTS: LazyLock<Arc<Facts>> = LazyLock::new(|| {
        Arc::new(Facts {
            provider: "GitHub",
            signatures: vec![Scheme {
                headers: vec!["x-hub-signature-256".to_owned()],
                prefix: "sha256=".to_owned(),
                ..Scheme::default()
            }],
            unsigned: &[
                Unsigned { header: EVENT, what: "the type", is_needed: true },
                Unsigned { header: DELIVERY, what: "the id of the delivery", is_needed: false },
            ],
            ..Facts::default()
        })
    });
    FACTS.clone()
}

impl Source for Github {
    fn classify(&self, request: Request<'_>) -> Result<Classified, Refusal> {
        let headers = &request.head.headers;
        let kind = only(headers, EVENT)
            .ok_or(Refusal::Malformed("the header X-GitHub-Event is needed, once".into()))?;
        let delivery_id = only(headers, DELIVERY).filter(|_| self.trusts_delivery);
        Ok(Classified {
            metadata: Metadata { kind: kind.into(), label: OTHER.clone(), key: None },
            delivery_id: delivery_id.map(Into::into),
            meaning: Meaning::Event,
        })
    }

    fn event_prefix(&self) -> &str {
        "com.github."
    }
}

static OTHER: LazyLock<Arc<str>> = LazyLock::new(|| "other".into());

/// The text of a header that is there once, and not empty.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next()?, values.next());
    value.to_str().ok().filter(|text| !text.is_empty() && more.is_none())
}

#[cfg(test)]
mod tests;
