//! What a service manager such as systemd hears, over the socket that it names.

use std::path::Path;
use std::time::Duration;

use crate::support::{Bridge, endpoint};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// The socket of a service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn new(folder: &Path) -> Self {
        Self(UnixDatagram::bind(folder.join("notify")).unwrap())
    }

    /// The next message, apart from those that only say that it is alive.
    async fn hears(&self) -> String {
        loop {
            let text = self.hears_anything().await;
            if text.trim() != "WATCHDOG=1" {
                return text;
            }
        }
    }

    async fn hears_anything(&self) -> String {
        let mut buffer = [0; 512];
        let length = timeout(SOON, self.0.recv(&mut buffer)).await.expect("a message").unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

#[tokio::test]
async fn a_service_manager_hears_of_the_start_a_reload_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::new(folder.path());
    let text = format!(
        "[http]\nlisten = \"{{http}}\"\nshutdown_delay = \"1s\"\ndrain = \"7s\"\n{}",
        endpoint("hook").events_to(&[])
    );
    let mut bridge = Bridge::config(text)
        .environment("NOTIFY_SOCKET", folder.path().join("notify").to_str().unwrap())
        .environment("WATCHDOG_USEC", "300000")
        .start_ready()
        .await;
    assert_eq!(manager.hears().await.trim(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hears_anything().await.trim(), "WATCHDOG=1");
    }
    bridge.signal("HUP");
    let reloading = manager.hears().await;
    let (first, time) = reloading.trim().split_once('\n').expect("two lines");
    let time = time.strip_prefix("MONOTONIC_USEC=").map(str::parse::<u64>);
    assert!(first == "RELOADING=1" && matches!(time, Some(Ok(1..))), "{reloading}");
    assert_eq!(manager.hears().await.trim(), "READY=1");
    bridge.signal("TERM");
    // 1 s and 7 s as configured, and what the disk may take beyond that.
    assert_eq!(manager.hears().await.trim(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=28000000");
    assert!(bridge.wait().await.success());
}

#[tokio::test]
async fn a_service_manager_that_has_gone_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    drop(Manager::new(folder.path()));
    let mut bridge = Bridge::config(endpoint("hook").events_to(&[]))
        .environment("NOTIFY_SOCKET", socket.to_str().unwrap())
        .start_ready()
        .await;
    bridge.signal("TERM");
    assert!(bridge.wait().await.success(), "{}", bridge.log());
}
