//! Draining the queue of a destination that left the configuration: in order, until it is empty or its destination fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::Refused;
use super::line::{Line, Summary};
use crate::publish::drain::{self, DrainCounts, Draining};
use crate::publish::{Destination, DestinationQueue, Destinations, SpoolHandle};

/// How often the progress is reported.
const LOG_INTERVAL: Duration = Duration::from_millis(200);

pub(super) struct QueueDrain {
    destinations: Arc<Destinations>,
    destination: Arc<Destination>,
    queued: DestinationQueue,
    drain: Draining,
    stop: watch::Sender<bool>,
    counts: Arc<DrainCounts>,
}

impl QueueDrain {
    pub(super) fn new(
        destinations: &Arc<Destinations>,
        spool: &SpoolHandle,
        text: &str,
    ) -> Result<Self, Refused> {
        // Only what is there: any other text would make a queue.
        let is_it =
            |queued: &DestinationQueue| &**queued.destination() == text && queued.records() > 0;
        let queued = spool.queued().into_iter().find(is_it);
        let queued = queued.ok_or_else(|| Refused::NoQueue(text.to_owned()))?;
        let destination = destinations.find(text)?;
        let counts = Arc::new(DrainCounts::default());
        let (stop, stopped) = watch::channel(false);
        let drain = drain::once(&destination, counts.clone(), stopped)
            .ok_or_else(|| Refused::Drained(text.to_owned()))?;
        Ok(Self { destinations: destinations.clone(), destination, queued, drain, stop, counts })
    }

    /// Go on until the end; says why the destination was given up, if it was.
    pub(super) async fn run(
        mut self,
        lines: &mpsc::Sender<Line>,
        mut stop: watch::Receiver<bool>,
    ) -> (Option<Line>, Summary) {
        let matched = self.queued.records();
        let summary = |stopped: Option<&str>| {
            let (published, dead_lettered) = self.counts.get();
            let (left, stopped) = (self.queued.records(), stopped.map(str::to_owned));
            Summary { matched, published, dead_lettered, left, stopped, ..Summary::default() }
        };
        let stopping = async {
            // The task that stops it lives on.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        tokio::pin!(stopping);
        let mut time = interval(LOG_INTERVAL);
        time.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (failed, stopped) = loop {
            tokio::select! {
                biased;
                drained = &mut self.drain => break (drained.err(), None),
                () = &mut stopping => break (None, Some("the bridge is stopping")),
                () = lines.closed() => break (None, Some("the client has gone")),
                _ = time.tick() => {
                    // Progress that can't be reported now is reported a moment later.
                    let _ = lines.try_send(Line::Progress(summary(None)));
                }
            }
        };
        if stopped.is_some() {
            // It ends once it is known what became of what was sent. That it goes on until then is its affair.
            self.stop.send_replace(true);
            let _ = self.drain.await;
        } else {
            drop(self.drain);
        }
        let summary = summary(stopped);
        let destination = self.destination.text().clone();
        if !self.destinations.is_configured(&destination) {
            // No other part reports it.
            self.destination.health.clear(&destination);
        }
        let given_up = failed.map(|error| Line::GivenUp { destination, error: error.to_string() });
        (given_up, summary)
    }
}
