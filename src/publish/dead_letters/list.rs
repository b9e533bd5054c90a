//! Listing what is on disk, without touching it.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::filter::Filter;
use super::line::{Entry, Line, QueueStatus, Summary, time};
use super::run::{MAX_READ_BYTES, MAX_READ_RECORDS};
use crate::publish::{DestinationQueue, Destinations, SpoolHandle};

/// List the dead letters that match, and no more than so many.
pub(super) async fn dead_letters(
    spool: Arc<SpoolHandle>,
    (filter, limit): (Filter, u64),
    lines: Sender<Line>,
) {
    let letters = spool.dead_letters();
    let (mut reader, end) = (letters.reader(), letters.next());
    let mut summary =
        Summary { dead_letters: Some(letters.len()), end: Some(end), ..Summary::default() };
    'reading: loop {
        let batch = match reader.read(MAX_READ_RECORDS, MAX_READ_BYTES).await {
            Ok(batch) => batch,
            Err(error) => {
                summary.stopped = Some(error.to_string());
                break;
            }
        };
        if batch.is_empty() || lines.is_closed() {
            break;
        }
        for (position, letter) in batch {
            if position.sequence() >= end {
                break 'reading;
            }
            if filter.matches((position.sequence(), position.stored()), &letter) {
                if summary.matched == limit {
                    summary.next = Some(position.sequence());
                    break 'reading;
                }
                summary.matched += 1;
                let line = Line::DeadLetter(Entry::new(position, &letter));
                if lines.send(line).await.is_err() {
                    return;
                }
            }
        }
    }
    summary.left = summary.matched;
    summary.queued = Some(spool.queued().iter().map(DestinationQueue::records).sum());
    let _ = lines.send(Line::Summary(summary)).await;
}

/// List the queues.
pub(super) async fn queues(
    destinations: Arc<Destinations>,
    spool: Arc<SpoolHandle>,
    lines: Sender<Line>,
) {
    let mut summary = Summary::default();
    for queued in spool.queued().into_iter().filter(|queued| queued.records() > 0) {
        summary.matched += queued.records();
        let waiting = QueueStatus {
            destination: queued.destination().clone(),
            records: queued.records(),
            apart: queued.apart(),
            bytes: queued.bytes(),
            oldest: queued.oldest().map(time),
            is_configured: destinations.is_configured(queued.destination()),
        };
        if lines.send(Line::Queue(waiting)).await.is_err() {
            return;
        }
    }
    summary.left = summary.matched;
    summary.dead_letters = Some(spool.dead_letters().len());
    let _ = lines.send(Line::Summary(summary)).await;
}
