//! What the service manager hears of this process, where one wants to: systemd's protocol, `sd_notify(3)`.
//!
//! Without one (no `NOTIFY_SOCKET` in the environment) all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// It gets traffic from now on, or has reloaded.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] follows, whether the new one is taken over or not.
pub(super) fn reloading() {
    // systemd wants the time with it.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It ends, which takes at most so long: by its own configuration, so that no unit has to repeat that.
pub(super) fn stopping(at_most: Duration) {
    let microseconds = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(microseconds)]);
}

/// Say again and again that it is alive, if that is asked for. It is said by the runtime that serves: when that is stuck,
/// it isn't said.
pub(super) async fn stay_alive() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(limit / 3).await;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "the service manager doesn't listen");
    }
}
