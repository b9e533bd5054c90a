//! Going through the dead letters once, from the oldest to the last that was there at the beginning.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::filter::Filter;
use super::line::{Entry, Line, ReplayOutcome, Summary};
use crate::publish::drain::MAX_ATTEMPTS;
use crate::publish::running::Running;
use crate::publish::{Destination, Destinations, SpoolHandle};
use crate::sink::{self, Class, Scope};
use crate::spool::{DeadLetter, Position, Reader};

/// What is read at once.
pub(super) const MAX_READ_RECORDS: usize = 256;
pub(super) const MAX_READ_BYTES: usize = 4 << 20;

/// What is in flight at the same time: live traffic goes first.
const MAX_IN_FLIGHT: usize = 64;
const MAX_BYTES_IN_FLIGHT: usize = 16 << 20;

/// How many subjects and topics of a destination are left alone one by one.
const MAX_NAMES: usize = 1_024;

/// One walk through the dead letters.
pub(super) struct Run {
    destinations: Arc<Destinations>,
    spool: Arc<SpoolHandle>,
    filter: Filter,
    lines: mpsc::Sender<Line>,
    stop: watch::Receiver<bool>,
    reader: Reader<DeadLetter>,
    /// The sequence of the first dead letter from now on.
    end: u64,
    summary: Summary,
}

impl Run {
    pub(super) fn new(
        destinations: Arc<Destinations>,
        spool: Arc<SpoolHandle>,
        filter: Filter,
        lines: mpsc::Sender<Line>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let letters = spool.dead_letters();
        let (reader, end) = (letters.reader(), letters.next());
        let summary = Summary::default();
        Self { destinations, spool, filter, lines, stop, reader, end, summary }
    }

    /// Those of the next ones that are meant; nothing at the end.
    async fn next(&mut self) -> Option<Vec<(Position, DeadLetter)>> {
        if self.is_stopped() {
            return None;
        }
        let mut batch = match self.reader.read(MAX_READ_RECORDS, MAX_READ_BYTES).await {
            Ok(batch) => batch,
            Err(error) => {
                self.summary.stopped = Some(error.to_string());
                return None;
            }
        };
        if batch.first().is_none_or(|(position, _)| position.sequence() >= self.end) {
            return None;
        }
        batch.retain(|(position, letter)| {
            position.sequence() < self.end
                && self.filter.matches((position.sequence(), position.stored()), letter)
        });
        self.summary.matched += batch.len() as u64;
        Some(batch)
    }

    fn is_stopped(&mut self) -> bool {
        let why = if *self.stop.borrow() {
            "the bridge is stopping"
        } else if self.lines.is_closed() {
            "the client has gone"
        } else {
            return self.summary.stopped.is_some();
        };
        self.summary.stopped.get_or_insert_with(|| why.to_owned());
        true
    }

    fn remove(&self, position: Position) {
        self.spool.dead_letters().done(position);
    }

    async fn say(&mut self, line: Line) {
        // What comes of it is seen before the next event.
        tokio::select! {
            biased;
            _ = self.lines.send(line) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
    }

    fn end(mut self) -> Summary {
        let summary = &mut self.summary;
        summary.left = summary.matched - summary.published - summary.dropped;
        self.summary
    }
}

/// Remove what is meant.
pub(super) async fn remove(mut run: Run) -> Summary {
    while let Some(batch) = run.next().await {
        for (position, letter) in batch {
            if run.is_stopped() {
                break;
            }
            let entry = Entry::new(position, &letter);
            run.destinations.metrics.dead_letter_dropped();
            run.remove(position);
            run.summary.dropped += 1;
            run.say(entry.became(ReplayOutcome::Dropped, None)).await;
        }
    }
    run.end()
}

/// Publish what is meant.
pub(super) async fn publish(run: Run) -> Summary {
    let mut publish =
        Publish { run, targets: BTreeMap::new(), in_flight: Running::default(), is_working: false };
    while let Some(batch) = publish.run.next().await {
        for (position, letter) in batch {
            publish.one(position, letter).await;
        }
    }
    while publish.settle().await {}
    for text in publish.targets.keys() {
        // A destination that exists only for this, given up or not, leaves nothing behind in `/readyz`.
        if !publish.run.destinations.is_configured(text) {
            publish.run.destinations.health.clear(text);
        }
    }
    publish.run.end()
}

struct Publish {
    run: Run,
    targets: BTreeMap<Arc<str>, Target>,
    in_flight: Running<Attempt>,
    /// Something was acknowledged. Until then only as many are tried as it takes to give up.
    is_working: bool,
}

type Attempt = (Position, Entry, Result<(), sink::Error>);

/// Where events are published.
struct Target {
    /// Nothing once it is left alone.
    destination: Option<Arc<Destination>>,
    /// Attempts in a row that failed.
    failures: u32,
    /// The same for subjects and topics that fail alone; the others go on.
    names: HashMap<Arc<str>, u32>,
}

impl Target {
    /// An attempt failed; says whether nothing more is tried there.
    fn failed(&mut self, name: &Arc<str>, error: &sink::Error) -> bool {
        if error.scope == Scope::Name
            && (self.names.len() < MAX_NAMES || self.names.contains_key(name))
        {
            let failures = self.names.entry(name.clone()).or_default();
            *failures += 1;
            return *failures == MAX_ATTEMPTS;
        }
        self.failures += 1;
        self.failures >= MAX_ATTEMPTS && self.destination.take().is_some()
    }

    fn worked(&mut self, name: &Arc<str>) {
        self.failures = 0;
        self.names.remove(name);
    }

    fn is_left_alone(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|failures| *failures >= MAX_ATTEMPTS)
    }
}

impl Publish {
    async fn one(&mut self, position: Position, letter: DeadLetter) {
        let size = letter.record.event.payload.len();
        while !self.has_room(size) {
            self.settle().await;
        }
        if self.run.is_stopped() {
            return;
        }
        let Some(destination) = self.target(&letter.destination).await else { return };
        let target = self.targets.get(&letter.destination);
        if target.is_some_and(|target| target.is_left_alone(&letter.record.name)) {
            return;
        }
        let entry = Entry::new(position, &letter);
        self.in_flight.start(size, async move {
            let result = destination.replay(&letter.record.name, &letter.record.event).await;
            (position, entry, result)
        });
    }

    fn has_room(&self, size: usize) -> bool {
        let max = if self.is_working { MAX_IN_FLIGHT } else { MAX_ATTEMPTS as usize };
        self.in_flight.has_room(size, max, MAX_BYTES_IN_FLIGHT)
    }

    /// The destination of this text, unless it is left alone.
    async fn target(&mut self, text: &Arc<str>) -> Option<Arc<Destination>> {
        if let Some(known) = self.targets.get(text) {
            return known.destination.clone();
        }
        let destination = match self.run.destinations.find(text) {
            Ok(destination) => Some(destination),
            Err(error) => {
                self.give_up(text.clone(), error.message).await;
                None
            }
        };
        let target =
            Target { destination: destination.clone(), failures: 0, names: HashMap::new() };
        self.targets.insert(text.clone(), target);
        destination
    }

    /// Wait for the end of one attempt; says whether there was one.
    async fn settle(&mut self) -> bool {
        let Some((position, entry, result)) = self.in_flight.next().await else {
            return false;
        };
        let (text, name) = (entry.destination.clone(), entry.name.clone());
        let mut target = self.targets.get_mut(&text);
        let mut given_up = None;
        let line = match result {
            Err(error) if error.class != Class::Permanent => {
                if target.is_some_and(|target| target.failed(&name, &error)) {
                    let named = error.scope == Scope::Name;
                    given_up =
                        Some(if named { format!("{error} (`{name}`)") } else { error.to_string() });
                }
                entry.became(ReplayOutcome::Failed, Some(error.to_string()))
            }
            result => {
                if let Some(target) = &mut target {
                    target.worked(&name);
                }
                match result {
                    Ok(()) => {
                        self.run.remove(position);
                        self.run.summary.published += 1;
                        self.is_working = true;
                        entry.became(ReplayOutcome::Published, None)
                    }
                    Err(error) => {
                        self.run.summary.rejected += 1;
                        entry.became(ReplayOutcome::Rejected, Some(error.to_string()))
                    }
                }
            }
        };
        self.run.say(line).await;
        if let Some(error) = given_up {
            self.give_up(text, error).await;
        }
        true
    }

    async fn give_up(&mut self, destination: Arc<str>, error: String) {
        self.run.say(Line::GivenUp { destination, error }).await;
    }
}
