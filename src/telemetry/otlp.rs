//! Traces, metrics and logs for an OpenTelemetry collector, by OTLP.
//!
//! Nothing waits for a collector. Each signal has a bounded queue; what finds it full, and what the collector doesn't
//! accept, is dropped and counted, and the log says so at most once a minute. One HTTP client serves both protocols.
//!
//! The SDK of OpenTelemetry makes the ids, and nothing else: its exporters don't report how much they drop and need a
//! client and a connection for each signal, and its metrics can't be filled from those that `/metrics` shows. So this
//! module makes the messages of the protocol itself.

mod client;
mod delivery;
mod figures;
mod logs;
mod queue;
mod request;
mod resource;
mod spans;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::client::Client;
pub use self::client::Error;
use self::delivery::Delivery;
pub(super) use self::logs::Layer;
use self::queue::queue;
use super::metrics::Metrics;
use crate::config::{self, Signal};
use crate::trace::Tracer;

/// Time to send what is left when the process ends.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// What is sent to a collector while this lives.
pub struct Otlp {
    /// What makes spans, if traces are sent.
    pub tracer: Option<Arc<Tracer>>,
    metrics_interval: Option<Duration>,
    client: Arc<Client>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Otlp {
    /// Begin to send spans and log records. What is dropped is counted in `metrics`.
    pub fn start(settings: &config::Otlp, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let client = Arc::new(Client::new(settings)?);
        let mut otlp = Self {
            tracer: None,
            metrics_interval: settings
                .sends(Signal::Metrics)
                .then(|| settings.metrics_interval.get()),
            client,
            metrics,
            stop: watch::channel(false).0,
            tasks: JoinSet::new(),
        };
        if settings.sends(Signal::Traces) {
            let (spans, waiting) = queue(otlp.dropped(Signal::Traces));
            let tracer = Tracer::new(settings.sample_ratio, move |span| spans.push(span));
            otlp.tracer = Some(Arc::new(tracer));
            otlp.tasks.spawn(waiting.deliver(otlp.delivery(Signal::Traces), spans::request));
        }
        if settings.sends(Signal::Logs) {
            let (records, waiting) = queue(otlp.dropped(Signal::Logs));
            // A second one in this process gets nothing.
            let _ = logs::RECORDS.set(records);
            otlp.tasks.spawn(waiting.deliver(otlp.delivery(Signal::Logs), request::of_messages));
        }
        Ok(otlp)
    }

    /// Send metrics too from now on, if they are to be sent: `text` is that of `/metrics`.
    pub fn send_metrics(&mut self, text: impl Fn() -> String + Send + Sync + 'static) {
        if let Some(interval) = self.metrics_interval {
            let delivery = self.delivery(Signal::Metrics);
            self.tasks.spawn(figures::deliver(delivery, interval, Arc::new(text)));
        }
    }

    /// Send what is left, but not for long, and nothing from then on.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // What is left then is lost, and no metric will be read that could tell.
        let _ =
            timeout(STOP_TIMEOUT, async { while self.tasks.join_next().await.is_some() {} }).await;
    }

    fn delivery(&self, signal: Signal) -> Delivery {
        Delivery::new(signal, self.client.clone(), self.dropped(signal), self.stop.subscribe())
    }

    fn dropped(&self, signal: Signal) -> Counter {
        self.metrics.telemetry_dropped(signal.as_str())
    }
}

#[cfg(test)]
mod tests;
