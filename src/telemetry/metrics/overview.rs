//! The few metrics that say how a bridge is doing as a whole: what the history of the last minutes is made of.
//!
//! They are those of all others, in a registry of their own: what counts each function and destination would be most of
//! the text, and is read every few seconds.

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use super::Metrics;

pub(super) fn registry(metrics: &Metrics) -> Registry {
    let mut registry = Registry::with_prefix("hookbus");
    registry.register("webhooks", "", metrics.webhooks.clone());
    registry.register("webhook_seconds", "", metrics.webhook_seconds.clone());
    registry.register("questions", "", metrics.questions_total.clone());
    registry.register("unauthorized", "", metrics.unauthorized.clone());
    registry.register("in_flight", "", metrics.in_flight.clone());
    registry.register("in_flight_max", "", metrics.in_flight_max.clone());
    registry.register("in_flight_bytes", "", metrics.in_flight_bytes.clone());
    registry.register("in_flight_bytes_max", "", metrics.in_flight_bytes_max.clone());
    registry.register("broker_connected", "", metrics.broker_connected.clone());
    registry.register("spool_records", "", metrics.spool_records.clone());
    registry.register("dead_letters", "", metrics.dead_letters.clone());
    registry
}

impl Metrics {
    /// These, as text.
    pub fn overview(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode_registry(&mut text, &self.overview);
        text
    }
}
