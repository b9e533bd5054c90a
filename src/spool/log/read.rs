//! Reading records, beside the writer: what is synced, and nothing else.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Log;
use crate::spool::error::is_missing;
use crate::spool::segment::{self, Frame, Scan, Scanned};
use crate::spool::{Damage, Position};

/// Where a reader goes on.
#[derive(Debug, Clone, Copy)]
pub(in crate::spool) struct ReadPosition {
    segment: u64,
    offset: u64,
    /// The sequence that should be there.
    sequence: u64,
}

/// A record as it was read.
pub(in crate::spool) struct Raw {
    pub(in crate::spool) position: Position,
    pub(in crate::spool) body: Bytes,
}

/// A part of a segment that can be read.
struct Part {
    id: u64,
    first: u64,
    sequence: u64,
    next: u64,
    range: Range<u64>,
}

/// What is read at once.
struct Batch {
    records: Vec<Raw>,
    bytes: usize,
    most_records: usize,
    most_bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.records.len() >= self.most_records || self.bytes >= self.most_bytes
    }
}

impl Log {
    /// Read on from a place: records that are not done, up to so many of them or so many bytes.
    pub(in crate::spool) fn read(
        &self,
        place: &mut Option<ReadPosition>,
        most_records: usize,
        most_bytes: usize,
    ) -> io::Result<Vec<Raw>> {
        loop {
            let mut batch = Batch { records: Vec::new(), bytes: 0, most_records, most_bytes };
            let mut is_end = true;
            while let Some(part) = self.part(*place) {
                *place = Some(self.read_part(&part, &mut batch)?);
                is_end = !batch.is_full();
                if batch.is_full() {
                    break;
                }
            }
            let records = self.give(batch.records);
            if is_end || !records.is_empty() {
                return Ok(records);
            }
        }
    }

    /// From now on somebody has these in his hands, but for those that were given up while they were read.
    fn give(&self, mut records: Vec<Raw>) -> Vec<Raw> {
        let mut state = self.state.lock();
        if let Some(last) = records.last() {
            state.given = state.given.max(last.position.sequence.saturating_add(1));
        }
        let segments = &state.segments;
        records.retain(|raw| {
            let after = segments.partition_point(|it| it.first <= raw.position.sequence);
            let segment = after.checked_sub(1).and_then(|at| segments.get(at));
            segment.is_some_and(|segment| !segment.done.contains(raw.position.sequence))
        });
        records
    }

    /// Read until the batch is full or the part ends; says where to go on.
    fn read_part(&self, part: &Part, batch: &mut Batch) -> io::Result<ReadPosition> {
        let path = self.segment_path(part.first);
        let mut place =
            ReadPosition { segment: part.first, offset: part.range.start, sequence: part.sequence };
        match self.volume.disk.open(&path) {
            // It was done and removed meanwhile, or somebody else took it away.
            Err(error) if is_missing(&error) => {
                self.mark_gone(part.first);
                self.forget(place.sequence..part.next, 0);
            }
            Err(error) => return Err(error),
            Ok(file) => {
                let mut scan = Scan::new(file, part.id, part.range.clone());
                while let Some(found) = scan.next()? {
                    let frame = match found {
                        Scanned::Frame(frame) => frame,
                        Scanned::Damage(range) => {
                            self.report(self.set_aside(&path, &range));
                            continue;
                        }
                    };
                    // What was written into it when it was not what it should be, and is kept elsewhere; or what
                    // stands there a second time, or out of its order, as no writer leaves it behind.
                    if !(place.sequence..part.next).contains(&frame.sequence) {
                        continue;
                    }
                    self.mark_missing(&path, place.sequence..frame.sequence);
                    place.sequence = place.sequence.max(frame.sequence.saturating_add(1));
                    place.offset = frame.end;
                    if self.is_done(part.first, frame.sequence) {
                        continue;
                    }
                    let body = Bytes::copy_from_slice(scan.body(&frame)?);
                    batch.bytes += body.len();
                    batch.records.push(Raw { position: position(&frame), body });
                    if batch.is_full() {
                        return Ok(place);
                    }
                }
            }
        }
        // What should have followed isn't there.
        self.mark_missing(&path, place.sequence..part.next);
        place.sequence = place.sequence.max(part.next);
        place.offset = part.range.end;
        Ok(place)
    }

    /// Records that should be in a segment can't be found there.
    fn mark_missing(&self, path: &Path, sequences: Range<u64>) {
        let lost = self.forget(sequences, 0);
        if lost > 0 {
            self.volume.lost.add(lost, format_args!("{} is damaged", path.display()));
        }
    }

    /// Whether something stands after a place.
    pub(in crate::spool) fn has_more(&self, place: Option<ReadPosition>) -> bool {
        self.part(place).is_some()
    }

    /// The next part that has something to read.
    fn part(&self, place: Option<ReadPosition>) -> Option<Part> {
        let state = self.state.lock();
        let from = place.map_or(0, |place| place.segment);
        let at = state.segments.partition_point(|segment| segment.first < from);
        state.segments[at..].iter().find_map(|segment| {
            let (offset, sequence) = match place {
                Some(place) if place.segment == segment.first => (place.offset, place.sequence),
                _ => (segment::START, segment.first),
            };
            (offset < segment.end).then_some(Part {
                id: segment.id,
                first: segment.first,
                sequence,
                next: segment.next,
                range: offset..segment.end,
            })
        })
    }

    fn is_done(&self, first: u64, sequence: u64) -> bool {
        // A segment that is gone was done.
        self.change(first, |segment| segment.done.contains(sequence)).unwrap_or(true)
    }

    /// A record can't be read, though its checksum is right.
    pub(in crate::spool) fn unreadable(&self, raw: &Raw) {
        let path = self.directory.join(format!("{:020}.corrupt", raw.position.sequence));
        let length = raw.body.len() as u64;
        let copy = self.volume.disk.write(&path, &raw.body).is_ok().then(|| path.clone());
        self.volume.damaged.fetch_add(1, Ordering::Relaxed);
        self.report(Some(Damage {
            copy,
            ..Damage::new(&self.directory, "a record of another version", length)
        }));
        self.done(raw.position);
    }
}

fn position(frame: &Frame) -> Position {
    Position { sequence: frame.sequence, stored: frame.time }
}
