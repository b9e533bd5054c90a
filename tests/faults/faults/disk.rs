//! A disk that is full, slow or read-only below the spool.
//!
//! A small file system of its own makes it full, where this user may mount one (in a name space of the bridge's own, so
//! that nothing is left behind). For all others, and for the rest, a shim stands before the C library's calls.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tokio::time::sleep;

use crate::history::Part;
use crate::stage::Stage;
use crate::support::bridge::Setup;
use crate::webhook::Broker;

/// Mounts a small disk for the spool, then is the bridge.
const SMALL: &str = r#"mkdir hookbus-spool
mount -t tmpfs -o size=512k tmpfs hookbus-spool || exit 1
exec "$@""#;

/// How this user comes to a name space of its own.
static UNSHARE: LazyLock<Option<&'static [&'static str]>> = LazyLock::new(|| {
    const WAYS: [&[&str]; 2] =
        [&["unshare", "--map-root-user", "--mount"], &["unshare", "--mount"]];
    let works = |way: &&&[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).args(["sh", "-c", SMALL, "sh", "true"]).current_dir(&folder);
        command.output().is_ok_and(|output| output.status.success())
    };
    WAYS.iter().find(works).copied()
});

/// The shim, once it is compiled.
static SHIM: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/faults/disk.c");
    let shim = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/disk.so"));
    let new = shim.with_extension(format!("{}.so", std::process::id()));
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&new).args([source, "-ldl"]);
    match command.output() {
        Ok(output) if output.status.success() => {
            std::fs::rename(new, &shim).map_err(|error| error.to_string())?;
            Ok(shim)
        }
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("cc: {error}")),
    }
});

pub(super) fn missing() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("a preloaded shim needs Linux".to_owned());
    }
    SHIM.as_ref().err().cloned()
}

/// A disk of half a megabyte.
pub(super) fn small(setup: Setup) -> Setup {
    let Some(way) = *UNSHARE else {
        return with_shim(setup);
    };
    setup.under(&[way, &["sh", "-c", SMALL, "sh"]].concat())
}

pub(super) fn with_shim(setup: Setup) -> Setup {
    let shim = SHIM.as_ref().expect("a shim, which was looked for");
    setup.environment("LD_PRELOAD", shim.to_str().expect("a path in UTF-8"))
}

pub(super) async fn fill(stage: &mut Stage<'_>) {
    if UNSHARE.is_none() {
        return with(stage, "full").await;
    }
    stage.freeze(Broker::Kafka);
    stage.trouble(Part::Disk);
    stage.spooled(20).await;
    stage.refused().await;
    sleep(stage.lengths.outage).await;
    // It is full still; then the drain makes room.
    stage.refused().await;
    stage.thaw(Broker::Kafka);
    stage.drained().await;
    stage.healed(Part::Disk);
}

pub(super) async fn slow(stage: &mut Stage<'_>) {
    with(stage, "slow").await;
}

/// Slower than anybody waits, from the event on that opens the outage: what is given up is kept all the same.
pub(super) async fn too_slow(stage: &mut Stage<'_>) {
    let control = stage.bridge.folder().join("disk-fault");
    for _ in 0..stage.lengths.rounds.div_ceil(2) {
        stage.drained().await;
        stage.trouble(Part::Disk);
        std::fs::write(&control, "very slow").unwrap();
        stage.freeze(Broker::Kafka);
        stage.refused().await;
        sleep(stage.lengths.outage).await;
        std::fs::remove_file(&control).unwrap();
        // The last of those syncs ends some time later.
        stage.spooled(1).await;
        stage.healed(Part::Disk);
        stage.spooled(50).await;
        stage.thaw(Broker::Kafka);
    }
}

pub(super) async fn read_only(stage: &mut Stage<'_>) {
    with(stage, "read-only").await;
}

/// While a broker is away: trouble with the disk, and then none any more.
async fn with(stage: &mut Stage<'_>, fault: &str) {
    let control = stage.bridge.folder().join("disk-fault");
    stage.freeze(Broker::Kafka);
    stage.spooled(20).await;
    stage.trouble(Part::Disk);
    std::fs::write(&control, fault).unwrap();
    if fault == "slow" {
        stage.spooled(20).await;
    } else {
        stage.refused().await;
    }
    sleep(stage.lengths.outage).await;
    std::fs::remove_file(&control).unwrap();
    stage.healed(Part::Disk);
    // Without a restart.
    stage.spooled(50).await;
    stage.thaw(Broker::Kafka);
}
