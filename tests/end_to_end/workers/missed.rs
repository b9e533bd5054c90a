//! Workers on subjects that look like those of questions, and on which nothing is asked.

use super::config;
use crate::support::bridge::run;
use crate::support::worker::serve;
use crate::support::{Nats, eventually};
use std::time::Duration;

#[tokio::test]
async fn near_misses_are_named() {
    let Some(nats) = Nats::start().await else { return };
    let mut services = Vec::new();
    let missed = [
        ("w1", "hook.tools.weather", "hook.tool.weather"),
        ("w2", "hook.weather", "hook.tool.weather"),
        ("w3", "hok.tool.book", "hook.tool.book"),
        ("w4", "hook.tools.unnamed", "hook.tool.unnamed"),
        ("w5", "hook.asks.assistant-request", "hook.ask.assistant-request"),
    ];
    // Asked, or nothing to do with it.
    let others = ["hook.tool.unnamed", "hook.ask.voice-request", "shop.orders.list", "weather"];
    for (name, subject, _) in missed {
        services.push(serve(&nats, name, "q", subject).await);
    }
    for subject in others {
        services.push(serve(&nats, "other", "q", subject).await);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let text = format!("[nats]\nservers = [\"{}\"]\n{}", nats.url(), config());
    std::fs::write(&file, text).unwrap();
    let arguments = ["check", "--connect", "--config", file.to_str().unwrap()];
    let said = eventually("all services", Duration::from_secs(20), async || {
        let output = run(&arguments).await;
        assert!(output.stdout.contains("nats: reached"), "{output:?}");
        let count = output.stderr.matches("which nobody asks").count();
        (count >= missed.len()).then_some(output.stderr)
    })
    .await;
    for (name, subject, near) in missed {
        let line = format!(
            "warning: nats: `{name}` answers `{subject}`, which nobody asks\n  hint: questions are asked on `{near}`"
        );
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert!(!said.contains("`other`"), "{said}");
    drop(services);
}
