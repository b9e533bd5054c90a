//! Signals, from the first instruction of a command on.
//!
//! They have a thread of their own, which hears them whatever the rest of the process does or is stuck in. Until
//! something has begun that must be stopped in order, SIGINT and SIGTERM exit at once. After that they ask the command to
//! stop, and one more than its [`SignalPolicy`] allows exits at once.

mod terminal;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::warn;

use self::terminal::Terminal;
use crate::telemetry::stderr;

/// Time for the last lines to be written when the process exits at once.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(100);

/// What the signals mean to a command.
#[derive(Debug, Clone, Copy)]
pub struct SignalPolicy {
    /// SIGINT asks it to stop; else it kills.
    pub interrupts: bool,
    /// SIGTERM does the same; else it kills.
    pub terminates: bool,
    /// SIGHUP has a meaning. Else it asks the command to stop if its terminal has been closed, and does nothing if not:
    /// it was meant for a bridge on the same machine.
    pub hangs_up: bool,
    /// The exit code before anything has begun.
    pub early_exit_code: u8,
    /// How often the command is asked to stop; one signal more exits at once.
    pub max_requests: u32,
}

/// The signals of this process.
pub struct Signals {
    shared: Arc<SignalState>,
    /// Made with the rest, so that one that came before anything listened counts.
    hangups: watch::Receiver<u32>,
}

struct SignalState {
    policy: SignalPolicy,
    has_begun: AtomicBool,
    /// How often it was asked to end.
    ends: watch::Sender<u32>,
    hangups: watch::Sender<u32>,
}

impl Signals {
    /// Listen from now on.
    pub fn listen(policy: SignalPolicy) -> io::Result<Self> {
        let (hangup_sender, hangups) = watch::channel(0);
        let shared = Arc::new(SignalState {
            policy,
            has_begun: AtomicBool::new(false),
            ends: watch::Sender::new(0),
            hangups: hangup_sender,
        });
        let (sender, listening) = mpsc::channel();
        let heard = shared.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            // The receiver notices the end of the channel too.
            let ready = |result| drop(sender.send(result));
            match Builder::new_current_thread().enable_io().build() {
                Ok(runtime) => runtime.block_on(heard.listen_for(ready)),
                Err(error) => ready(Err(error)),
            }
        })?;
        listening.recv().map_err(io::Error::other)??;
        Ok(Self { shared, hangups })
    }

    /// From now on there is something that has to be ended in order.
    pub fn begun(&self) {
        self.shared.has_begun.store(true, Ordering::SeqCst);
    }

    /// Wait until the command is asked to end.
    pub async fn end(&self) {
        self.ends(1).await;
    }

    /// Wait until it is asked a second time, where that doesn't exit.
    pub async fn hurry(&self) {
        self.ends(2).await;
    }

    async fn ends(&self, count: u32) {
        // The sender lives as long as `self`, so that the wait can't fail.
        let _ = self.shared.ends.subscribe().wait_for(|ends| *ends >= count).await;
    }

    /// Changes with each SIGHUP; one that came before counts as a change.
    pub fn hangups(&self) -> watch::Receiver<u32> {
        self.hangups.clone()
    }
}

impl SignalState {
    /// The thread; it ends with the process.
    async fn listen_for(&self, ready: impl FnOnce(io::Result<()>)) {
        let SignalPolicy { interrupts, terminates, hangs_up, .. } = self.policy;
        let terminal = Terminal::now();
        let listen = || {
            let heard = |is_heard: bool, kind| is_heard.then(|| signal(kind)).transpose();
            let interrupt = heard(interrupts, SignalKind::interrupt())?;
            let terminate = heard(terminates, SignalKind::terminate())?;
            // What `nohup` has said stays so.
            let hangup = heard(hangs_up || !terminal::ignores_hangups(), SignalKind::hangup())?;
            Ok((interrupt, terminate, hangup))
        };
        let (mut interrupt, mut terminate, mut hangup) = match listen() {
            Ok(signals) => {
                ready(Ok(()));
                signals
            }
            Err(error) => return ready(Err(error)),
        };
        loop {
            tokio::select! {
                () = next(&mut interrupt) => self.end_requested(),
                () = next(&mut terminate) => self.end_requested(),
                () = next(&mut hangup) => match hangs_up {
                    true => self.hangups.send_modify(|count| *count += 1),
                    false if terminal.is_closed() => self.end_requested(),
                    false => {}
                },
            }
        }
    }

    fn end_requested(&self) {
        if !self.has_begun.load(Ordering::SeqCst) {
            exit_now(self.policy.early_exit_code);
        }
        let mut count = 0;
        self.ends.send_modify(|ends| {
            *ends += 1;
            count = *ends;
        });
        if count > self.policy.max_requests {
            let which = if self.policy.max_requests == 1 { "second" } else { "further" };
            warn!("stopped at once, by a {which} signal");
            exit_now(1);
        }
    }
}

/// Exit without stopping in order, which could wait for a disk or for a broker.
fn exit_now(code: u8) -> ! {
    stderr::flush(FLUSH_TIMEOUT);
    std::process::exit(code.into())
}

/// The next signal of a kind; none of one that isn't listened for.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
