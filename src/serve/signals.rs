//! The signals that a command is sent, from its first instruction on.
//!
//! They have a thread of their own: whatever the rest of the process does, waits for or is stuck in, a signal is heard.
//! Until something is begun that has to be ended in order, a signal that asks for the end is the end. After that the
//! command is told, and a further one, once it was told often enough, ends the process at once.

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

use crate::telemetry::stderr;

/// How long the last words may take when the process ends at once.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What a command makes of signals. SIGINT always asks for the end.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// SIGTERM does the same; else it kills.
    pub terminates: bool,
    /// SIGHUP has a meaning; else it kills.
    pub hangs_up: bool,
    /// The exit code of an end before anything was begun.
    pub early: u8,
    /// How often the command is asked for its end before that comes at once.
    pub asked: u32,
}

/// The signals of this process.
pub struct Signals {
    shared: Arc<Shared>,
    /// Made with the rest, so that it knows of those that came before somebody asked.
    hangups: watch::Receiver<u32>,
}

struct Shared {
    manner: Manner,
    has_begun: AtomicBool,
    /// How often it was asked to end.
    ends: watch::Sender<u32>,
    hangups: watch::Sender<u32>,
}

impl Signals {
    /// Listen from now on.
    pub fn listen(manner: Manner) -> io::Result<Self> {
        let (hangup_sender, hangups) = watch::channel(0);
        let shared = Arc::new(Shared {
            manner,
            has_begun: AtomicBool::new(false),
            ends: watch::Sender::new(0),
            hangups: hangup_sender,
        });
        let (sender, listening) = mpsc::channel();
        let heard = shared.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            // Whoever waits for it hears of the end of the channel too.
            let ready = |result| drop(sender.send(result));
            match Builder::new_current_thread().enable_io().build() {
                Ok(runtime) => runtime.block_on(heard.hear(ready)),
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

    /// Wait until it is asked a second time, where that isn't the end.
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

impl Shared {
    /// The thread; it ends with the process.
    async fn hear(&self, ready: impl FnOnce(io::Result<()>)) {
        let Manner { terminates, hangs_up, .. } = self.manner;
        let listen = || {
            let other = |is_heard: bool, kind| is_heard.then(|| signal(kind)).transpose();
            let interrupt = signal(SignalKind::interrupt())?;
            let terminate = other(terminates, SignalKind::terminate())?;
            Ok((interrupt, terminate, other(hangs_up, SignalKind::hangup())?))
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
                _ = interrupt.recv() => self.asked(),
                () = next(&mut terminate) => self.asked(),
                () = next(&mut hangup) => self.hangups.send_modify(|count| *count += 1),
            }
        }
    }

    fn asked(&self) {
        if !self.has_begun.load(Ordering::SeqCst) {
            leave(self.manner.early);
        }
        let mut count = 0;
        self.ends.send_modify(|ends| {
            *ends += 1;
            count = *ends;
        });
        if count > self.manner.asked {
            let which = if self.manner.asked == 1 { "second" } else { "further" };
            warn!("stopped at once, by a {which} signal");
            leave(1);
        }
    }
}

/// End the process now: ending it in order could wait for a disk, or for a broker.
fn leave(code: u8) -> ! {
    stderr::flush(LAST_WORDS);
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
