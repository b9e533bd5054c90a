//! A disk that is full, read-only or slow while a bridge needs it: clear refusals, and no restart when it is well again.

use super::*;
use crate::support::{missing, project};
use std::path::PathBuf;
use std::process::Command;

/// A refusal that says what is wrong with the disk.
pub(super) fn assert_refused(answer: &Answer, reason: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.json()["detail"], format!("the event could not be stored: {reason}"));
}

/// An event of 100 KB.
fn large(key: &str, number: usize) -> String {
    let text = "x".repeat(100_000);
    json!({"message": {"type": "hang", "call": {"id": key}, "number": number, "text": text}})
        .to_string()
}

/// Posts large events of one key until one is refused for this reason.
async fn fill_up(bridge: &Bridge, first: usize, reason: &str) -> Vec<Sent> {
    let mut sent = Vec::new();
    for number in first..first + 1_000 {
        let answer = bridge.post("/hook", large("k", number), &[]).await;
        let is_refused = answer.status != 202;
        if is_refused {
            assert_refused(&answer, reason);
        }
        sent.push(Sent { key: "k".to_owned(), number, answer });
        if is_refused {
            return sent;
        }
    }
    panic!("it takes everything");
}

/// Posts an event until it is kept again; the key is one of its own.
pub(super) async fn kept_again(bridge: &Bridge) {
    eventually("202", RECOVERY, async || {
        let answer = bridge.post("/hook", event("again", 0), &[]).await;
        (answer.status == 202).then_some(())
    })
    .await;
}

async fn well_again(bridge: &Bridge) {
    eventually("nothing about the spool in /readyz", RECOVERY, async || {
        let ready = bridge.admin("/readyz").await;
        (!ready.text().contains("problem: spool")).then_some(())
    })
    .await;
    bridge.logs("the spool keeps events again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_is_full() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let spool = folder();
    let text = config(spool.path(), &["nats:events.{type}"]) + "max_bytes = \"1MiB\"\n";
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    nats.kill();
    bridge.readiness("nats: down").await;
    let mut sent = fill_up(&bridge, 0, "spool-full").await;
    assert!(sent.len() > 8, "{}", sent.len());
    let ready = bridge.readiness("problem: spool: the spool is full").await;
    assert_eq!(ready.status, 503, "neither a broker nor a disk: {}", ready.text());
    let errors =
        r#"hookbus_publish_errors_total{destination="nats:events.{type}",reason="spool-full"}"#;
    assert_eq!(bridge.metric(errors).await, 1.0);
    assert!(bridge.metric("hookbus_spool_bytes").await <= f64::from(1 << 20));
    bridge.logs("events can't be kept on disk").await;

    nats.restart().await;
    drained(&bridge).await;
    well_again(&bridge).await;
    let fresh = send(&bridge, "k", 2_000..2_005).await;
    assert_all(&fresh, 200);
    sent.extend(fresh);
    assert_eq!(assert_kept(&sent, &Broker::stored_in(&nats, "EVENTS").await), 0);
    assert_eq!(bridge.admin("/readyz").await.status, 200);
}

/// A file system of its own, in memory.
struct Mounted(TempDir);

impl Mounted {
    fn new(size: &str) -> Option<Self> {
        let folder = folder();
        let mount = |program: &[&str]| {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).args(["-t", "tmpfs", "-o"]);
            command.arg(format!("size={size},mode=0777")).arg("tmpfs").arg(folder.path());
            command.output().is_ok_and(|output| output.status.success())
        };
        if mount(&["mount"]) || mount(&["sudo", "-n", "mount"]) {
            return Some(Self(folder));
        }
        missing("the right to mount a small disk");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmount = |program: &[&str]| {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).arg("--lazy").arg(self.0.path());
            command.output().is_ok_and(|output| output.status.success())
        };
        let _ = unmount(&["umount"]) || unmount(&["sudo", "-n", "umount"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_full() {
    let Some(disk) = Mounted::new("3m") else { return };
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let text = config(&disk.0.path().join("spool"), &["nats:events.{type}"]);
    let mut bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    nats.kill();
    bridge.readiness("nats: down").await;
    let mut sent = fill_up(&bridge, 0, "spool-error").await;
    let ready = bridge.readiness("problem: spool: ").await;
    assert!(ready.text().contains("No space left on device"), "{}", ready.text());
    assert_eq!(ready.status, 503, "{}", ready.text());

    // Somebody makes room; nothing comes meanwhile.
    std::fs::remove_file(&ballast).unwrap();
    well_again(&bridge).await;
    assert_eq!(bridge.admin("/readyz").await.status, 200);
    let more = fill_up(&bridge, 1_000, "spool-error").await;
    assert!(more.len() > 5, "{}", more.len());
    sent.extend(more);

    // What is published makes room too.
    nats.restart().await;
    drained(&bridge).await;
    well_again(&bridge).await;
    nats.kill();
    kept_again(&bridge).await;
    sent.extend(fill_up(&bridge, 2_000, "spool-error").await);
    nats.restart().await;
    drained(&bridge).await;
    let stored = Broker::stored_in(&nats, "EVENTS").await;
    assert_eq!(assert_kept(&sent, &stored), 0);
    bridge.signal("TERM");
    assert_eq!(bridge.wait().await.code(), Some(0));
}

/// A bridge on a disk that does what it is told.
pub(super) struct Faulty {
    pub(super) bridge: Bridge,
    pub(super) nats: Nats,
    folder: TempDir,
}

impl Faulty {
    /// With a dead broker, and one event on the disk.
    async fn start() -> Option<Self> {
        let mut faulty = Self::start_with("").await?;
        faulty.nats.kill();
        faulty.bridge.readiness("nats: down").await;
        assert_all(&send(&faulty.bridge, "first", 0..1).await, 202);
        Some(faulty)
    }

    /// With a broker that works, and with these settings of the spool.
    pub(super) async fn start_with(settings: &str) -> Option<Self> {
        let folder = folder();
        let Some(shim) = shim(folder.path()) else {
            missing("cc, to make a disk that fails");
            return None;
        };
        let nats = Nats::start().await?;
        nats.create_stream("EVENTS", &["events.>"]).await;
        let spool = folder.path().join("spool");
        let text = format!("{}{settings}\n", config(&spool, &["nats:events.{type}"]));
        let bridge = Bridge::config(&text)
            .nats(&nats)
            .environment("LD_PRELOAD", shim.to_str().unwrap())
            .environment("FAULTY_DISK", spool.to_str().unwrap())
            .environment("FAULTY_DISK_IS", folder.path().join("is").to_str().unwrap())
            .start_ready()
            .await;
        Some(Self { bridge, nats, folder })
    }

    pub(super) fn is(&self, state: &str) {
        let (new, path) = (self.folder.path().join("new"), self.folder.path().join("is"));
        std::fs::write(&new, state).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// It is well again, and so is the broker: everything is there.
    async fn ends_well(mut self, sent: Vec<Sent>) {
        self.is("");
        well_again(&self.bridge).await;
        kept_again(&self.bridge).await;
        assert_eq!(self.bridge.admin("/readyz").await.status, 200);
        self.nats.restart().await;
        drained(&self.bridge).await;
        assert_all(&send(&self.bridge, "last", 0..1).await, 200);
        assert_eq!(assert_kept(&sent, &Broker::stored_in(&self.nats, "EVENTS").await), 0);
    }
}

fn shim(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("disk.so");
    let source = project().join("tests/end_to_end/spool/disk.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    let output = command.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(library)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_read_only() {
    let Some(mut faulty) = Faulty::start().await else { return };
    let mut sent = send(&faulty.bridge, "k", 0..5).await;
    assert_all(&sent, 202);
    faulty.is("read-only");
    for number in 5..10 {
        let answer = faulty.bridge.post("/hook", event("k", number), &[]).await;
        assert_refused(&answer, "spool-error");
        assert!(answer.elapsed < SLACK, "{:?}", answer.elapsed);
    }
    let ready = faulty.bridge.readiness("problem: spool: ").await;
    assert!(ready.text().contains("Read-only file system"), "{}", ready.text());
    assert_eq!(ready.status, 503, "{}", ready.text());

    // The broker needs no disk.
    faulty.nats.restart().await;
    drained(&faulty.bridge).await;
    let direct = send(&faulty.bridge, "k", 10..12).await;
    assert_all(&direct, 200);
    sent.extend(direct);
    assert_eq!(faulty.bridge.admin("/readyz").await.status, 200);
    faulty.nats.kill();
    faulty.bridge.readiness("nats: down").await;
    assert_refused(&faulty.bridge.post("/hook", event("k", 12), &[]).await, "spool-error");
    faulty.ends_well(sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_slow() {
    const SYNC: Duration = Duration::from_secs(2);
    const LIMIT: Duration = Duration::from_secs(3);
    let Some(faulty) = Faulty::start().await else { return };
    faulty.is("slow 2000");
    let mut sent = send(&faulty.bridge, "k", 0..2).await;
    assert_all(&sent, 202);
    assert!(sent.iter().all(|sent| sent.answer.elapsed >= SYNC));
    // Many at once share a sync; those that just missed one have to wait for two, which takes too long.
    let many = send_all(&faulty.bridge, 40, 0..2).await;
    for sent in &many {
        if sent.answer.status != 202 {
            assert_refused(&sent.answer, "spool-slow");
        }
        assert!(sent.answer.elapsed < LIMIT + SLACK, "{:?}", sent.answer.elapsed);
    }
    let statuses = statuses(&many);
    println!("{statuses:?}");
    assert!(statuses[&202] > 0, "{statuses:?}");
    sent.extend(many);

    faulty.is("slow 5000");
    let refused = send(&faulty.bridge, "k", 2..4).await;
    for sent in &refused {
        assert_refused(&sent.answer, "spool-slow");
        let took = sent.answer.elapsed;
        assert!(took + SLACK > LIMIT && took < LIMIT + SLACK, "{took:?}");
    }
    sent.extend(refused);
    let ready = faulty.bridge.readiness("problem: spool: the disk of the spool is too slow").await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    faulty.ends_well(sent).await;
}
