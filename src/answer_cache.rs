//! The answers of workers, kept for senders that retry: a repeated tool call gets the stored answer, a running one
//! is joined, and neither is executed twice.
//!
//! Only what a worker said is kept, its reply or its error: whatever else ends a call may go better the next time.
//! When a running call ends without such an answer, the one that has waited longest asks in its place, and the
//! others wait on. Nobody waits longer than until its own deadline.
//!
//! Everything is in the memory of this process, bounded in entries and in bytes; the answer that ends first goes
//! first. Calls are known by a hash, so that no arguments are kept.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::message::{Outcome, Replied};

/// Answers that are kept.
const MAX_ENTRIES: usize = 65_536;
/// Bytes of all answers that are kept.
const MAX_BYTES: usize = 64 << 20;
/// A larger answer goes to those who wait for it, and is not kept.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// What an answer takes beside its own bytes, roughly.
const ENTRY_OVERHEAD: usize = 256;
/// Expired answers that a call evicts: more than the one it may add, few enough to delay no caller.
const EVICTED_AT_ONCE: usize = 8;

/// What came of a call: the worker's reply, or how it failed and what the worker said about it.
pub type Answered = Result<Replied, (Outcome, Option<String>)>;

/// What makes a call the same as another one: a hash of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of these parts, which are told apart by their lengths.
    pub fn new(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The answers of one process.
pub struct AnswerCache {
    state: Mutex<State>,
    entries: usize,
    bytes: usize,
}

/// The answer to a call, and where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct CachedAnswer {
    /// What came of it.
    pub answered: Answered,
    /// Somebody else has asked, before or at the same time.
    pub reused: bool,
}

#[derive(Default)]
struct State {
    calls: HashMap<Key, Call>,
    /// The calls that are kept, by when that ends.
    kept: BTreeSet<(Instant, Key)>,
    /// Bytes of those.
    bytes: usize,
}

/// One call, running or answered.
#[derive(Default)]
struct Call {
    said: Arc<Cell>,
    /// Those who ask or wait.
    seats: usize,
    /// When it is forgotten; unset while it isn't kept.
    expires: Option<Instant>,
}

type Cell = OnceCell<StoredAnswer>;

/// What a worker said, and when.
struct StoredAnswer {
    answered: Answered,
    came: Instant,
}

impl CachedAnswer {
    /// What came of a call that nobody else has asked.
    pub fn asked(answered: Answered) -> Self {
        Self { answered, reused: false }
    }
}

impl Default for AnswerCache {
    fn default() -> Self {
        Self::within(MAX_ENTRIES, MAX_BYTES)
    }
}

impl AnswerCache {
    fn within(entries: usize, bytes: usize) -> Self {
        Self { state: Mutex::default(), entries, bytes }
    }

    /// The answer of an earlier call of this key, that of a running one if it comes before `deadline`, or else that
    /// of `ask`, which minds the time itself. What a worker said is kept for `window`.
    pub async fn once<F>(
        &self,
        key: Key,
        window: Duration,
        deadline: Instant,
        ask: impl FnOnce() -> F,
    ) -> CachedAnswer
    where
        F: Future<Output = Answered>,
    {
        let waiter = self.register(key, window);
        let asks = AtomicBool::new(false);
        let asking = async || {
            asks.store(true, Ordering::Relaxed);
            StoredAnswer::of(ask().await)
        };
        let mut said = pin!(waiter.said.get_or_try_init(asking));
        let said = match timeout_at(deadline, &mut said).await {
            Ok(said) => said,
            Err(_) if asks.load(Ordering::Relaxed) => said.await,
            Err(_) => Err((Outcome::Timeout, None)),
        };
        let reused = said.is_ok() && !asks.load(Ordering::Relaxed);
        let answered = said.and_then(|said| said.answered.clone());
        CachedAnswer { answered, reused }
    }

    fn register(&self, key: Key, window: Duration) -> Waiter<'_> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.clear(now);
        let expires = state.calls.get(&key).and_then(|call| call.expires);
        if expires.is_some_and(|expires| expires <= now) {
            state.forget(key);
        }
        let call = state.calls.entry(key).or_default();
        call.seats += 1;
        Waiter { answers: self, key, window, said: call.said.clone() }
    }

    fn unregister(&self, waiter: &Waiter<'_>) {
        let mut state = self.state.lock();
        // It may have been forgotten meanwhile, and asked anew.
        let call = state.calls.get_mut(&waiter.key);
        let Some(call) = call.filter(|call| Arc::ptr_eq(&call.said, &waiter.said)) else {
            return;
        };
        call.seats -= 1;
        match waiter.said.get() {
            Some(_) if call.expires.is_some() => {}
            Some(said) if said.size() <= MAX_ANSWER_BYTES => {
                let expires = said.came + waiter.window;
                call.expires = Some(expires);
                state.kept.insert((expires, waiter.key));
                state.bytes += said.size() + ENTRY_OVERHEAD;
                while state.kept.len() > self.entries || state.bytes > self.bytes {
                    let Some((_, first)) = state.kept.first().copied() else {
                        break;
                    };
                    state.forget(first);
                }
            }
            None if call.seats > 0 => {}
            Some(_) | None => state.forget(waiter.key),
        }
    }
}

impl State {
    /// Forget some of what has expired.
    fn clear(&mut self, now: Instant) {
        for _ in 0..EVICTED_AT_ONCE {
            match self.kept.first().copied() {
                Some((expires, key)) if expires <= now => self.forget(key),
                _ => return,
            }
        }
    }

    fn forget(&mut self, key: Key) {
        let Some(call) = self.calls.remove(&key) else {
            return;
        };
        if let Some(expires) = call.expires {
            self.kept.remove(&(expires, key));
            self.bytes -= ENTRY_OVERHEAD + call.said.get().map_or(0, StoredAnswer::size);
        }
    }
}

impl StoredAnswer {
    /// What may be kept of an answer, if anything.
    fn of(answered: Answered) -> Result<Self, (Outcome, Option<String>)> {
        let answered = match answered {
            // A reply is a part of what was read from the connection, and would hold all of that.
            Ok(Replied { body, head }) if body.len() <= MAX_ANSWER_BYTES => {
                Ok(Replied { body: Bytes::copy_from_slice(&body), head })
            }
            Err(failed) if failed.0 != Outcome::WorkerError => return Err(failed),
            answered => answered,
        };
        Ok(Self { answered, came: Instant::now() })
    }

    fn size(&self) -> usize {
        match &self.answered {
            Ok(reply) => reply.body.len() + reply.head.as_ref().map_or(0, |head| head.size()),
            Err((_, text)) => text.as_ref().map_or(0, String::len),
        }
    }
}

/// Somebody who asks or waits. However it ends, also by a panic, the call is kept or forgotten, and those who wait
/// go on.
struct Waiter<'a> {
    answers: &'a AnswerCache,
    key: Key,
    window: Duration,
    said: Arc<Cell>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.answers.unregister(self);
    }
}

#[cfg(test)]
mod tests;
