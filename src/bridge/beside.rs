//! What is stored beside an answer, and never in its way: copies of the webhook, and records of what became of it.

use std::sync::Arc;

use futures_util::future::{Either, ready};
use tracing::debug;

use super::event;
use super::questions::Walk;
use super::turns::Turn;
use crate::live_tail::TapProgress;
use crate::message::{Event, Refusal};
use crate::publish::{self, Destination};

impl Walk {
    /// Store the webhook as an event too, where a rule says so.
    pub(super) fn copy(&self) {
        let mut to: Vec<(Arc<Destination>, String)> = Vec::new();
        for (question, rule) in self.questions.iter().zip(self.rules()) {
            for destination in &rule.copy_to {
                let function = question.function.as_deref();
                let vars = event::vars(&self.endpoint, &self.metadata, function);
                let name = destination.name(&vars);
                if !to.iter().any(|(known, at)| known.text() == destination.text() && *at == name) {
                    to.push((destination.clone(), name));
                }
            }
        }
        if !to.is_empty() {
            let event = event::whole(&self.endpoint, &self.webhook, &self.metadata);
            self.beside(to, event, self.my_turn(), self.tap.clone());
        }
    }

    /// Store an event when it is its turn, and note in `tap` what came of it. What can't be stored is counted.
    pub(super) fn beside(
        &self,
        to: Vec<(Arc<Destination>, String)>,
        event: Event,
        turn: Option<Arc<Turn>>,
        tap: Option<TapProgress>,
    ) {
        let begin = || {
            let mut reservation = self.endpoint.limits.reservation();
            // The calls of a webhook may give one destination many names.
            reservation.grow(event.payload.len().saturating_mul(to.len()))?;
            let permit = self.endpoint.limits.event(&mut reservation)?;
            Ok::<_, Refusal>((permit, reservation))
        };
        let begun = begin().inspect_err(|_| {
            for (destination, _) in &to {
                self.bridge.metrics.publish_failed(destination.text(), "overloaded");
            }
        });
        // A destination that refuses counts it by itself.
        let begun = begun.and_then(|held| {
            let publishing = match turn {
                None => Either::Left(ready(Ok(publish::begin(to, event)?))),
                Some(turn) => Either::Right(async move {
                    turn.ready().await;
                    publish::begin(to, event)
                }),
            };
            Ok((publishing, held))
        });
        match begun {
            Ok((publishing, held)) => {
                tokio::spawn(async move {
                    let stored = async { publishing.await?.followed_by(tap).finish().await };
                    let _ = stored.await;
                    drop(held);
                });
            }
            Err(refusal) => {
                debug!(id = %self.webhook.id, endpoint = %self.endpoint.name, error = %refusal, "nothing was stored beside an answer")
            }
        }
    }
}
