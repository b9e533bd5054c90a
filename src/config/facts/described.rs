//! What a description says of its provider, as the checks of endpoints need it.

use std::sync::Arc;

use super::{Asked, Facts, Routing};
use crate::config::piece::pieces;
use crate::config::provider::Provider;

impl Facts {
    /// Those of a described provider.
    pub fn of(name: &str, provider: &Arc<Provider>) -> Self {
        let asking = provider.questions.iter().flat_map(|asking| {
            asking.types.iter().map(|name| Asked {
                name: name.clone(),
                timeout: asking.timeout,
                patience: asking.limit,
            })
        });
        Self {
            provider: provider.title.clone().unwrap_or_else(|| name.to_owned()),
            events: provider.known_types.clone(),
            questions: asking.collect(),
            routing: routing(provider),
            description: Some(provider.clone()),
            ..Self::default()
        }
    }
}

/// The places that decide where a webhook goes.
fn routing(provider: &Provider) -> Vec<Routing> {
    let id = provider.id.all().iter().map(|text| (text, "the id of the delivery", false));
    let key = provider.key.all().iter().map(|text| (text, "the key", false));
    let kind = provider.type_texts().map(|text| (text, "the type", true));
    let mut all: Vec<Routing> = Vec::new();
    for (text, what, is_needed) in kind.chain(id).chain(key) {
        for piece in pieces(text).unwrap_or_default() {
            if !all.iter().any(|known| known.piece == piece) {
                all.push(Routing { piece, what, is_needed });
            }
        }
    }
    all
}
