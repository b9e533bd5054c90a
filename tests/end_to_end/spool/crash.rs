//! The process dies, or the power is cut, at each moment at which the spool changes something on the disk: one after the
//! other, through appending, rotation, dead letters, removal, the cursor, the end and the next start. Whatever had been
//! told to be kept is there afterwards.

use super::*;
use crate::support::{missing, project};
use futures_util::future::join_all;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// So many lives are lived at once.
const LANES: usize = 6;
/// What the stream takes; one event is larger, and becomes a dead letter.
const MOST: i32 = 30_000;
/// The number of that event.
const LARGE: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The process dies.
    Kill,
    /// The power is cut: what wasn't synced is lost. Names that weren't are the old ones.
    OldNames,
    /// The same, and they are the new ones.
    NewNames,
    /// The same, and renamed files have the new ones.
    SomeNames,
}

impl Way {
    const ALL: [Way; 4] = [Way::Kill, Way::OldNames, Way::NewNames, Way::SomeNames];
    const SHORT: [Way; 2] = [Way::Kill, Way::SomeNames];

    fn name(self) -> &'static str {
        match self {
            Way::Kill => "kill",
            Way::OldNames => "old-names",
            Way::NewNames => "new-names",
            Way::SomeNames => "some-names",
        }
    }
}

/// When a life ends, and how.
#[derive(Debug, Clone)]
struct Moment {
    /// What is done then; nothing for a life that isn't ended.
    kind: String,
    /// Which one of its kind, from 1.
    number: usize,
    way: Way,
}

impl Moment {
    fn never() -> Moment {
        Moment { kind: "nothing".to_owned(), number: 0, way: Way::Kill }
    }

    /// All of a life that wasn't ended.
    fn all(notes: &[String], ways: &[Way]) -> Vec<Moment> {
        let mut all = Vec::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for kind in notes {
            let count = counts.entry(kind).or_default();
            *count += 1;
            let moment = |way: &Way| Moment { kind: kind.clone(), number: *count, way: *way };
            all.extend(ways.iter().map(moment));
        }
        all
    }

    /// Tells the next process.
    fn plan(&self, work: &Path) {
        let text = format!("{} {} {}", self.number, self.way.name(), self.kind);
        std::fs::write(work.join("plan"), text).unwrap();
    }
}

/// One bridge with its disk, and the broker that it is alone with.
struct Life<'a> {
    nats: &'a mut Nats,
    work: TempDir,
    bridge: Bridge,
    sent: Vec<(String, usize, Option<Answer>)>,
}

impl<'a> Life<'a> {
    async fn start(nats: &'a mut Nats, shim: &Path, moment: &Moment) -> Life<'a> {
        let work = folder();
        let disk = work.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let text = config(&disk.join("spool"), &["nats:events.{type}"]);
        let text = format!("{text}max_bytes = \"1MiB\"\n[nats]\nservers = [\"{{nats}}\"]\n");
        let setup = Bridge::config(&text)
            .nats(nats)
            .environment("LD_PRELOAD", shim.to_str().unwrap())
            .environment("CRASH_DISK", disk.to_str().unwrap())
            .environment("CRASH_PLAN", work.path().join("plan").to_str().unwrap())
            .environment("CRASH_NOTE", work.path().join("note").to_str().unwrap());
        moment.plan(work.path());
        let bridge = setup.start_or_end().await;
        Life { nats, work, bridge, sent: Vec::new() }
    }

    /// What was done to the disk, in its order.
    fn notes(&self) -> Vec<String> {
        let notes = std::fs::read_to_string(self.work.path().join("note")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// Posts the next events until it ends.
    async fn post(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.sent.len();
            let key = format!("k{}", number % 2);
            let size = if number == LARGE { 2 * MOST as usize } else { 24_000 };
            let text = "x".repeat(size);
            let body = json!({
                "message": {"type": "hang", "call": {"id": key}, "number": number, "text": text}
            });
            let (client, url) = (self.bridge.client(), self.bridge.url("/hook"));
            let answer = client.try_post(&url, body.to_string()).await.ok();
            let goes_on = answer.is_some();
            self.sent.push((key, number, answer));
            if !goes_on {
                return;
            }
        }
    }

    /// Waits until a condition holds, or it has ended.
    async fn until(&mut self, what: &str, mut holds: impl AsyncFnMut(&Bridge) -> bool) {
        eventually(what, RECOVERY, async || {
            (self.bridge.has_ended() || holds(&self.bridge).await).then_some(())
        })
        .await;
    }

    /// All that it may go through.
    async fn live(&mut self) {
        self.nats.kill();
        self.post(7).await;
        self.nats.restart().await;
        let queues = self.work.path().join("disk/spool/queues");
        self.until("empty queues", async |_| segments(&queues).is_empty()).await;
        self.nats.kill();
        self.post(2).await;
        if !self.bridge.has_ended() {
            self.bridge.signal("TERM");
        }
        self.bridge.wait().await;
    }

    /// Starts it again, and looks whether everything is there; at the most so many records may be half written.
    async fn check(&mut self, moment: &str, halves: usize) {
        self.nats.restart().await;
        std::fs::remove_file(self.work.path().join("plan")).unwrap();
        self.bridge.restart().await;
        drained(&self.bridge).await;
        let told = |number: usize| {
            let answer = self.sent.get(number).and_then(|(_, _, answer)| answer.as_ref());
            answer.is_some_and(|answer| answer.status < 300)
        };
        let stored = Broker::stored_in(self.nats, "EVENTS").await;
        let dead_letters = self.bridge.metric("hookbus_dead_letters").await as usize;
        let log = self.bridge.log();
        let sent: Vec<Sent> = self
            .sent
            .iter()
            .filter(|(_, number, _)| *number != LARGE)
            .filter_map(|(key, number, answer)| {
                Some(Sent { key: key.clone(), number: *number, answer: answer.clone()? })
            })
            .collect();
        assert!(sent.iter().all(|sent| sent.answer.status < 300), "{moment}:\n{log}");
        let lost = sent.iter().find(|sent| !stored.contains(&sent.stored()));
        assert!(lost.is_none(), "{moment}: {:?} is lost:\n{log}", lost.map(Sent::stored));
        assert_eq!(assert_kept(&sent, &stored), 0, "{moment}: JetStream knows ids:\n{log}");
        // It may have died between keeping the dead letter and noting that.
        let expected = usize::from(told(LARGE))..=2;
        assert!(expected.contains(&dead_letters), "{moment}: {dead_letters} dead letters:\n{log}");
        let damaged = log.matches("a part of the spool was set aside").count();
        assert!(damaged <= halves, "{moment}: {damaged} are damaged:\n{log}");
        self.bridge.kill();
        let stream = self.nats.jetstream().await.get_stream("EVENTS").await.unwrap();
        stream.purge().await.unwrap();
    }
}

/// What a directory holds; nothing if it isn't there.
fn list(path: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn segments(queues: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = list(queues).iter().flat_map(|queue| list(queue)).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "segment"));
    files
}

fn shim(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("crash.so");
    let source = project().join("tests/end_to_end/spool/crash.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    let output = command.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(library)
}

/// Lives one life for each moment, on several brokers at once. Those of one life aren't quite those of another; so `live`
/// says whether it came, and once for each kind and way it has to.
async fn sweep(
    brokers: &mut [Nats],
    moments: &[Moment],
    live: impl AsyncFn(&mut Nats, &Moment) -> bool,
) {
    let next = AtomicUsize::new(0);
    let missed: Mutex<BTreeSet<(&str, Way)>> = Mutex::default();
    missed.lock().unwrap().extend(moments.iter().map(|moment| (&*moment.kind, moment.way)));
    let lanes = brokers.iter_mut().map(async |nats| {
        while let Some(moment) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
            if live(nats, moment).await {
                missed.lock().unwrap().remove(&(&*moment.kind, moment.way));
            }
        }
    });
    join_all(lanes).await;
    assert_eq!(missed.into_inner().unwrap(), BTreeSet::new());
}

/// From the first start of a bridge to its end in good order. Returns what was done.
async fn first_life(nats: &mut Nats, shim: &Path, moment: &Moment) -> Vec<String> {
    let mut life = Life::start(nats, shim, moment).await;
    life.live().await;
    let notes = life.notes();
    // When the power is cut, all that wasn't synced is gone.
    let halves = usize::from(moment.way == Way::Kill);
    life.check(&format!("{moment:?}"), halves).await;
    notes
}

/// The start of one whose last life ended amid a record, until it has written down what it found.
async fn second_life(nats: &mut Nats, shim: &Path, amid: &Moment, moment: &Moment) -> Vec<String> {
    let mut life = Life::start(nats, shim, amid).await;
    life.nats.kill();
    life.post(7).await;
    life.bridge.wait().await;
    moment.plan(life.work.path());
    life.bridge.restart_or_end().await;
    let queues = life.work.path().join("disk/spool/queues");
    let has_cursor = |queue: &PathBuf| queue.join("cursor").exists();
    life.until("a cursor", async |_| list(&queues).iter().any(has_cursor)).await;
    life.bridge.kill();
    let notes = life.notes();
    life.check(&format!("{moment:?} of the second life"), 2).await;
    notes
}

fn is_it(notes: &[String], moment: &Moment) -> bool {
    let count = notes.iter().filter(|note| **note == moment.kind).count();
    notes.last() == Some(&moment.kind) && count == moment.number
}

async fn at_any_moment(ways: &[Way]) {
    let _load = LOAD.write().await;
    if !cfg!(target_os = "linux") {
        return missing("a preloaded library (Linux)");
    }
    let library = folder();
    let Some(shim) = shim(library.path()) else {
        return missing("a C compiler");
    };
    let mut brokers = Vec::new();
    for _ in 0..LANES {
        let Some(nats) = Nats::start().await else { return };
        let config = async_nats::jetstream::stream::Config {
            name: "EVENTS".to_owned(),
            subjects: vec!["events.>".to_owned()],
            max_message_size: MOST,
            ..Default::default()
        };
        nats.create_stream_with(config).await;
        brokers.push(nats);
    }
    let expect = |notes: &[String], expected: &[&str]| {
        for kind in expected {
            assert!(notes.iter().any(|note| note == kind), "{kind} isn't among {notes:?}");
        }
    };

    let first = first_life(&mut brokers[0], &shim, &Moment::never()).await;
    let appending = ["create segment", "write segment", "sync segment", "sync names"];
    let dead_letter =
        ["create dead-letters segment", "write dead-letters segment", "sync dead-letters segment"];
    let noting = ["write cursor.new", "sync cursor.new", "rename cursor", "rename destination"];
    expect(&first, &[&appending[..], &dead_letter, &noting, &["remove segment"]].concat());
    let moments = Moment::all(&first, ways);
    sweep(&mut brokers, &moments, async |nats, moment| {
        is_it(&first_life(nats, &shim, moment).await, moment)
    })
    .await;

    // The last record that was kept before a segment was removed is in the second segment.
    let removal = first.iter().position(|note| note == "remove segment").expect("a removal");
    let number = first[..removal].iter().filter(|note| *note == "write segment").count();
    let amid = Moment { kind: "write segment".to_owned(), number, way: Way::Kill };
    let second = second_life(&mut brokers[0], &shim, &amid, &Moment::never()).await;
    let setting_aside = ["create corrupt", "write corrupt"];
    let sealing = ["cut segment", "write segment", "sync segment", "rename cursor"];
    expect(&second, &[&setting_aside[..], &sealing].concat());
    let moments = Moment::all(&second, ways);
    sweep(&mut brokers, &moments, async |nats, moment| {
        is_it(&second_life(nats, &shim, &amid, moment).await, moment)
    })
    .await;
    println!("{} and {} moments, in {} ways", first.len(), second.len(), ways.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_end_at_any_moment() {
    at_any_moment(&Way::SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes, and is a part of `make faults`"]
async fn it_may_end_at_any_moment_in_every_way() {
    at_any_moment(&Way::ALL).await;
}
