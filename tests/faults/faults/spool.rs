//! Damage to what the spool has on disk, done while the bridge is down.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::stage::Stage;
use crate::webhook::{self, Broker, Destination};

/// Of a segment, before its first frame.
const START: usize = 72;
/// Of a frame, before its body.
const HEAD: usize = 28;

/// Each time so many records are destroyed.
const FLIPS: usize = 5;

/// The last record is cut off in its midst; then, of another one, only a part was written.
pub(super) async fn tear(stage: &mut Stage<'_>) {
    let broker = outage(stage).await;
    stage.kill();
    let segment = segments(stage, broker).pop().expect("a segment");
    let bytes = fs::read(&segment).unwrap();
    let last = frames(&bytes).pop().expect("a frame");
    let number = webhook::number(&bytes[last.clone()]).expect("a webhook in it");
    stage.excused.destroyed.insert((spooled(broker), number));
    let cut = last.start + 1 + stage.random.below(last.len() - 1);
    fs::write(&segment, &bytes[..cut]).unwrap();
    stage.restart().await;
    is_said(stage, 1).await;

    stage.spooled(20).await;
    stage.kill();
    let segment = segments(stage, broker).pop().expect("a segment");
    let mut bytes = fs::read(&segment).unwrap();
    let frame = frames(&bytes).pop().expect("a frame");
    let part = frame.start..frame.start + 1 + stage.random.below(frame.len() - 1);
    // As a copy of the one before, under a later number: nothing that is whole.
    bytes.truncate(frame.end);
    bytes.extend_from_within(part);
    fs::write(&segment, &bytes).unwrap();
    stage.restart().await;
    is_said(stage, 1).await;
    stage.thaw(broker);
    stage.drained().await;
    assert_eq!(set_aside(stage, broker), 2, "{}", stage.bridge.log());
}

/// Bits anywhere in some records: once in segments that were never finished, once in finished ones.
pub(super) async fn flip(stage: &mut Stage<'_>) {
    for is_finished in [false, true] {
        let broker = outage(stage).await;
        let before = set_aside(stage, broker);
        if is_finished {
            stage.terminate().await;
        } else {
            stage.kill();
        }
        flip_bits(stage, broker);
        stage.restart().await;
        stage.thaw(broker);
        stage.drained().await;
        is_said(stage, FLIPS).await;
        assert_eq!(set_aside(stage, broker), before + FLIPS, "{}", stage.bridge.log());
    }
}

/// One bit in each of some frames that don't touch each other.
fn flip_bits(stage: &mut Stage<'_>, broker: Broker) {
    let mut all = Vec::new();
    for segment in segments(stage, broker) {
        let bytes = fs::read(&segment).unwrap();
        all.extend(frames(&bytes).into_iter().map(|frame| (segment.clone(), frame)));
    }
    let part = all.len() / FLIPS;
    assert!(part > 1, "{} records are too few", all.len());
    for chosen in all.chunks(part).take(FLIPS) {
        // Not the last one of its part.
        let (segment, frame) = &chosen[stage.random.below(chosen.len() - 1)];
        let mut bytes = fs::read(segment).unwrap();
        let number = webhook::number(&bytes[frame.clone()]).expect("a webhook in it");
        stage.excused.destroyed.insert((spooled(broker), number));
        bytes[frame.start + stage.random.below(frame.len())] ^= 1 << stage.random.below(8);
        fs::write(segment, &bytes).unwrap();
    }
}

/// One of the brokers freezes, and its spool fills.
async fn outage(stage: &mut Stage<'_>) -> Broker {
    let broker = stage.random.broker();
    stage.freeze(broker);
    stage.spooled(100).await;
    broker
}

/// The damage is counted, and said.
async fn is_said(stage: &Stage<'_>, damages: usize) {
    let counted = stage.bridge.metric("hookbus_spool_damaged").await;
    assert_eq!(counted, damages as f64, "{}", stage.bridge.log());
    assert!(stage.bridge.log().contains("set aside"), "{}", stage.bridge.log());
}

/// How many files hold what was no record.
fn set_aside(stage: &Stage<'_>, broker: Broker) -> usize {
    files(stage, broker, "corrupt").len()
}

fn segments(stage: &Stage<'_>, broker: Broker) -> Vec<PathBuf> {
    files(stage, broker, "segment")
}

/// The destination of a broker whose queue is damaged.
fn spooled(broker: Broker) -> Destination {
    match broker {
        Broker::Nats => Destination::Types,
        Broker::Kafka => Destination::Topic,
    }
}

/// Those of this destination's queue, in their order.
fn files(stage: &Stage<'_>, broker: Broker, ending: &str) -> Vec<PathBuf> {
    let text = spooled(broker).text(&stage.name);
    let list = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let is_its = |queue: &PathBuf| {
        fs::read_to_string(queue.join("destination")).is_ok_and(|found| found == text)
    };
    let queues = list(&stage.bridge.folder().join("hookbus-spool/queues"));
    let mut files: Vec<PathBuf> =
        queues.into_iter().filter(is_its).flat_map(|queue| list(&queue)).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == ending));
    files.sort();
    files
}

/// Where the frames of a segment stand, as the description of the format says: each begins with the length of its body
/// and its number, and a footer has the highest number.
fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut frames = Vec::new();
    let mut start = START;
    while let Some(head) = bytes.get(start..start + HEAD) {
        let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
        let end = start + HEAD + length;
        if end > bytes.len() || head[4..12] == [0xff; 8] {
            break;
        }
        frames.push(start..end);
        start = end;
    }
    frames
}
