//! Traces, metrics and logs for an OpenTelemetry collector, by OTLP.
//!
//! Nothing waits for a collector. What is to be sent waits in a queue for each signal, bounded in number; what has no room
//! in there, and what the collector doesn't take, is dropped and counted, and the log says so once a minute at most. One
//! HTTP client is for both protocols, and the same as for everything else.
//!
//! The SDK of OpenTelemetry makes the ids. Its exporters don't say how much they drop, need a client and a connection for
//! each signal, and its metrics can't be filled from those that `/metrics` shows; so the messages of the protocol are made
//! here.

mod client;
mod delivery;
mod figures;
mod logs;
mod queue;
mod resource;
mod spans;

use std::sync::Arc;
use std::time::Duration;

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

/// How long the end may take.
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
        let sends = |signal| settings.signals.contains(&signal);
        let mut otlp = Self {
            tracer: None,
            metrics_interval: sends(Signal::Metrics).then(|| settings.metrics_interval.get()),
            client,
            metrics,
            stop: watch::channel(false).0,
            tasks: JoinSet::new(),
        };
        if sends(Signal::Traces) {
            let (spans, waiting) = queue(otlp.dropped(Signal::Traces));
            let tracer = Tracer::new(settings.sample_ratio, move |span| spans.push(span));
            otlp.tracer = Some(Arc::new(tracer));
            otlp.tasks.spawn(waiting.deliver(otlp.delivery(Signal::Traces), spans::request));
        }
        if sends(Signal::Logs) {
            let (records, waiting) = queue(otlp.dropped(Signal::Logs));
            // A second one in this process gets nothing.
            let _ = logs::RECORDS.set(records);
            otlp.tasks.spawn(waiting.deliver(otlp.delivery(Signal::Logs), logs::request));
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
        // Whatever is still waiting has nobody to be told of.
        let _ =
            timeout(STOP_TIMEOUT, async { while self.tasks.join_next().await.is_some() {} }).await;
    }

    fn delivery(&self, signal: Signal) -> Delivery {
        Delivery::new(signal, self.client.clone(), self.dropped(signal), self.stop.subscribe())
    }

    fn dropped(&self, signal: Signal) -> prometheus_client::metrics::counter::Counter {
        self.metrics.telemetry_dropped(signal.as_str())
    }
}

#[cfg(test)]
mod tests;
