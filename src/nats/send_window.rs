//! How much may be under way to the server at a time.
//!
//! What is handed to a client can't be taken back: it leaves when the socket takes it, however late that is. So only so
//! many bytes are under way at once, and what comes beyond waits on this side, where deadlines are known. The room is
//! given back when the server is known to have read what was sent: an empty message to a subject of our own, sent
//! after it, comes back. Where the server doesn't permit that, or where it doesn't matter how late something arrives,
//! it is given back when the socket has taken it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, Message};
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, TryAcquireError};
use tokio::time::timeout;

/// What a message takes beside its payload: subjects and headers.
const OVERHEAD: usize = 512;

/// How long an echo is waited for. A server that is silent for so long is gone before, since it doesn't answer pings
/// either; one that answers them has lost the echo.
const ECHO_TIMEOUT: Duration = Duration::from_secs(4);

/// When the room of what was sent is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// When the server has read it.
    Read,
    /// When the socket has taken it.
    Written,
}

/// The room of one connection. What is sent and who waits are looked at from both sides, hence the strict order.
#[derive(Debug)]
pub(super) struct SendWindow {
    room: Semaphore,
    max: usize,
    /// Bytes that were sent since the last mark.
    unmarked: AtomicUsize,
    /// Those who wait for room.
    waiting: AtomicUsize,
    /// It is time for a mark.
    due: Notify,
    /// Marks are echoes, which come to this subject.
    echo: String,
    echoes: AtomicBool,
    /// The number of the last echo that came back, and the tasks that wait for the next.
    echoed: AtomicU64,
    returned: Notify,
}

/// There will never be room: the connection is over.
#[derive(Debug)]
pub(super) struct Closed;

/// Room that was taken, and is given back when this is dropped.
pub(super) struct Reservation<'a> {
    window: &'a SendWindow,
    bytes: usize,
}

impl SendWindow {
    /// Room for `max` bytes; a larger message takes all of it. Echoes come to `echo`.
    pub(super) fn new(max: usize, release: Release, echo: String) -> Self {
        Self {
            room: Semaphore::new(max),
            max,
            unmarked: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            due: Notify::new(),
            echo,
            echoes: AtomicBool::new(release == Release::Read),
            echoed: AtomicU64::new(0),
            returned: Notify::new(),
        }
    }

    /// Wait for room for a message with such a payload. First come, first served.
    pub(super) async fn enter(&self, payload: usize) -> Result<Reservation<'_>, Closed> {
        let bytes = payload.saturating_add(OVERHEAD).min(self.max);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = match self.room.try_acquire_many(permits) {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed) => return Err(Closed),
            Err(TryAcquireError::NoPermits) => {
                let _waiting = Waiting::new(&self.waiting);
                self.due.notify_one();
                self.room.acquire_many(permits).await.map_err(|_| Closed)?
            }
        };
        permit.forget();
        Ok(Reservation { window: self, bytes })
    }

    /// From now on nothing gets in.
    pub(super) fn close(&self) {
        self.room.close();
    }

    /// Whether this message is an echo.
    pub(super) fn take_echo(&self, message: &Message) -> bool {
        if *message.subject != *self.echo {
            return false;
        }
        if let Ok(number) = message.payload.as_ref().try_into().map(u64::from_be_bytes) {
            self.echoed.fetch_max(number, Ordering::SeqCst);
            self.returned.notify_one();
        }
        true
    }

    /// Whether echoes go to this subject.
    pub(super) fn is_echo(&self, subject: &str) -> bool {
        self.echo == subject
    }

    /// The server doesn't permit echoes.
    pub(super) fn without_echoes(&self) {
        self.echoes.store(false, Ordering::SeqCst);
        self.returned.notify_one();
    }

    /// Give room back as it becomes free, for as long as the connection lasts.
    pub(super) async fn release_in_time(&self, client: &Client) {
        for number in 1.. {
            self.due.notified().await;
            let bytes = self.unmarked.swap(0, Ordering::SeqCst);
            if bytes == 0 {
                continue;
            }
            let is_read = self.echoes.load(Ordering::SeqCst) && self.echo(client, number).await;
            if !is_read && client.flush().await.is_err() {
                // It is over, as is soon noticed elsewhere.
                return std::future::pending().await;
            }
            self.room.add_permits(bytes);
        }
    }

    /// Whether the server has read all that was sent.
    async fn echo(&self, client: &Client, number: u64) -> bool {
        let is_back = async {
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            client.publish(self.echo.clone(), payload).await.ok()?;
            while self.echoed.load(Ordering::SeqCst) < number {
                self.returned.notified().await;
                if !self.echoes.load(Ordering::SeqCst) {
                    return None;
                }
            }
            Some(())
        };
        matches!(timeout(ECHO_TIMEOUT, is_back).await, Ok(Some(())))
    }
}

impl Reservation<'_> {
    /// The message is sent: its room is free when a mark that comes after it is back.
    pub(super) fn sent(mut self) {
        let window = self.window;
        let bytes = std::mem::take(&mut self.bytes);
        let before = window.unmarked.fetch_add(bytes, Ordering::SeqCst);
        // Soon enough that room comes back before it is needed; at once if somebody needs it.
        if before + bytes >= window.max / 4 || window.waiting.load(Ordering::SeqCst) > 0 {
            window.due.notify_one();
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.window.room.add_permits(self.bytes);
        }
    }
}

/// Counts for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
