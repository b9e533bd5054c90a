//! Senders that keep their connections, and take any request that gets no 200 for one that failed.

use super::Wire;
use crate::http::wire::post;
use crate::support::eventually;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub(super) struct Pool {
    shared: Arc<Shared>,
    senders: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Pool {
    pub(super) fn start(address: &str, path: &str, body: &str, senders: usize) -> Pool {
        let shared = Arc::<Shared>::default();
        let mut pool = Pool { shared: shared.clone(), senders: JoinSet::new() };
        for number in 0..senders {
            let sender = Sender {
                address: address.to_owned(),
                request: post(path, body),
                // Most are busy; some connections are idle for longer than a restart takes.
                pause: Duration::from_millis(if number % 8 == 0 { 700 } else { 15 }),
                shared: shared.clone(),
            };
            pool.senders.spawn(sender.run());
        }
        pool
    }

    /// Waits until so many more are answered.
    pub(super) async fn answered(&self, more: usize) {
        let before = self.shared.answered.load(Ordering::Relaxed);
        eventually("answers", Duration::from_secs(30), async || {
            (self.shared.answered.load(Ordering::Relaxed) >= before + more).then_some(())
        })
        .await;
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().unwrap().clone()
    }

    /// Lets each end what it has begun; returns how many were answered, and what failed.
    pub(super) async fn stop(self) -> (usize, Vec<String>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.senders.join_all().await;
        let failures = std::mem::take(&mut *self.shared.failures.lock().unwrap());
        (self.shared.answered.load(Ordering::Relaxed), failures)
    }
}

struct Sender {
    address: String,
    request: String,
    pause: Duration,
    shared: Arc<Shared>,
}

impl Sender {
    async fn run(self) {
        let mut kept = None;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let wire = match kept.take().filter(Wire::is_open) {
                Some(wire) => wire,
                None => match TcpStream::connect(&self.address).await {
                    Ok(stream) => Wire::of(stream),
                    // Nobody listens: nothing was sent, and nothing failed.
                    Err(_) => {
                        sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                },
            };
            let uses = wire.uses();
            match self.ask(wire).await {
                Ok(wire) => {
                    self.shared.answered.fetch_add(1, Ordering::Relaxed);
                    kept = wire;
                }
                Err(error) => {
                    let text = format!("after {uses} requests on its connection: {error}");
                    self.shared.failures.lock().unwrap().push(text);
                }
            }
            sleep(self.pause).await;
        }
    }

    /// Returns the connection, if it may be used again.
    async fn ask(&self, mut wire: Wire) -> io::Result<Option<Wire>> {
        wire.try_send(&self.request).await?;
        let response = wire.try_response().await?;
        if response.status != 200 {
            return Err(io::Error::other(format!("status {}", response.status)));
        }
        Ok((response.header("connection") != Some("close")).then_some(wire))
    }
}
