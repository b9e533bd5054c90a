//! Replies and PubAcks, to the tasks that wait for them.
//!
//! One wildcard subscription per connection, and a slab of those who wait. The last token
//! of a reply subject names the slot and its generation, so that a reply finds its waiter
//! without a map, and a late one finds out that it is late. Whoever stops waiting, for
//! whatever reason, frees the slot: what is never answered leaves nothing behind.
//!
//! Anybody who hears a message may reply to it. A reply that isn't of the kind that is waited
//! for is counted and passed over: the right one may still come.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use bytes::Bytes;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::nats::{Connection, Receive, Unsent};

/// Messages and bytes of one streamed answer that may wait to be passed on.
const MAX_STREAM_PARTS: usize = 1_024;
const MAX_STREAM_BYTES: usize = 1 << 20;

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no connection, so that nothing was sent.
    Disconnected,
    /// It is larger than the server takes: so many bytes, headers included.
    TooLarge(usize),
    /// The server doesn't permit it: to send this, or to hear the reply.
    NotPermitted,
    /// The subject has no subscriber.
    NoResponders,
    /// No reply in time.
    Timeout,
    /// Replies came, and none of the kind that was waited for.
    Strange,
    /// The connection went away while a reply was awaited.
    Lost,
}

impl From<Unsent> for Failure {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Disconnected => Self::Disconnected,
            Unsent::NotPermitted => Self::NotPermitted,
            Unsent::TooLarge(limit) => Self::TooLarge(limit),
            Unsent::Late => Self::Timeout,
        }
    }
}

/// What happens to waiters when the connection goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// They go on waiting: a worker may still reply through the next connection.
    Wait,
    /// They are told, and may send again.
    Fail,
}

/// What is sent and wants a reply.
#[derive(Debug, Clone)]
pub struct Request<H> {
    /// The subject it is sent to.
    pub subject: String,
    /// Its headers, asked for when it leaves.
    pub headers: H,
    /// Its payload.
    pub payload: Bytes,
    /// What is asked, if late replies to it are to be told.
    pub number: Option<u32>,
}

/// Makes of a message the reply that is waited for; nothing if it is no such reply.
pub type Read<T> = fn(Message) -> Result<T, Message>;

/// Told of a reply that isn't one, and of the subject that it replies to.
pub type Strange = Box<dyn Fn(&str, &Message) + Send + Sync>;

/// Told of a reply that came when nobody waited any more, and of what was asked.
pub type Late = Box<dyn Fn(u32, Lateness) + Send + Sync>;

/// Why nobody waits for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    /// It is the first one, and came after its time.
    TooLate,
    /// It isn't the first one, or was given up.
    Extra,
}

/// How many requests that got no reply in time are remembered, to tell their late replies from others.
const MAX_TIMED_OUT: usize = 4_096;

/// What others want to know of replies.
pub struct Told {
    /// A reply came when nobody waited any more.
    pub late: Late,
    /// A reply to what was sent on this subject isn't one.
    pub strange: Strange,
}

/// The reply inbox of one connection.
pub struct Inbox<T = Message> {
    connection: Arc<Connection>,
    /// `<inbox_prefix>.<unique>.`
    prefix: String,
    on_loss: OnLoss,
    read: Read<T>,
    told: Told,
    slots: Mutex<Slots<T>>,
    /// The generations of requests that got no reply in time, each at its own place; zero is none.
    timed_out: Box<[AtomicU32]>,
}

struct Slots<T> {
    slab: Slab<Slot<T>>,
    /// Differs for each use of a slot.
    generation: u32,
}

struct Slot<T> {
    generation: u32,
    subject: Subject,
    /// A reply came that was none.
    is_strange: bool,
    waiter: Waiter<T>,
}

enum Waiter<T> {
    One(oneshot::Sender<Result<T, Failure>>),
    Many { sender: mpsc::Sender<Result<T, Failure>>, unread: Arc<AtomicUsize> },
}

impl<T> Inbox<T> {
    /// The inbox of `connection`, below `inbox_prefix`, for replies that `read` understands.
    pub fn new(
        connection: Arc<Connection>,
        inbox_prefix: &str,
        on_loss: OnLoss,
        read: Read<T>,
        told: Told,
    ) -> Self {
        Self {
            connection,
            prefix: format!("{inbox_prefix}.{}.", uuid::Uuid::new_v4().simple()),
            on_loss,
            read,
            told,
            slots: Mutex::new(Slots { slab: Slab::new(), generation: 0 }),
            timed_out: (0..MAX_TIMED_OUT).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// What the subjects that the connection listens on begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Send, and wait for one reply until `deadline`. A "no responders" reply is a failure.
    pub async fn request(
        self: &Arc<Self>,
        request: Request<impl Fn() -> HeaderMap>,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        let registration = self.send(request, Waiter::One(sender), deadline).await?;
        let reply = match timeout_at(deadline, receiver).await {
            Ok(Ok(reply)) => reply?,
            Ok(Err(_)) => return Err(Failure::Lost),
            Err(_) => return Err(self.silence(registration.token)),
        };
        Ok(reply)
    }

    async fn send(
        self: &Arc<Self>,
        request: Request<impl Fn() -> HeaderMap>,
        waiter: Waiter<T>,
        deadline: Instant,
    ) -> Result<Registration<T>, Failure> {
        let Request { subject, headers, payload, number } = request;
        let subject = Subject::from(subject);
        let (registration, reply) = self.register(waiter, subject.clone(), number);
        self.connection.send(subject, Some(reply), headers, payload, deadline).await?;
        Ok(registration)
    }

    /// Why nothing came within the time.
    fn silence(&self, token: Token) -> Failure {
        self.timed_out(token).store(token.generation, Ordering::Relaxed);
        match self.slots.lock().get(token) {
            Some(slot) if slot.is_strange => Failure::Strange,
            _ => Failure::Timeout,
        }
    }

    fn register(
        self: &Arc<Self>,
        waiter: Waiter<T>,
        subject: Subject,
        number: Option<u32>,
    ) -> (Registration<T>, String) {
        let mut slots = self.slots.lock();
        slots.generation = slots.generation.wrapping_add(1);
        let generation = slots.generation;
        let slot = Slot { generation, subject, is_strange: false, waiter };
        let slot = slots.slab.insert(slot);
        drop(slots);
        let token = Token { slot, generation, number };
        (Registration { inbox: self.clone(), token }, token.subject(&self.prefix))
    }

    fn unregister(&self, token: Token) {
        let mut slots = self.slots.lock();
        if slots.get(token).is_some() {
            slots.slab.remove(token.slot);
        }
    }

    /// Hand a reply to its waiter. Returns whether there was one.
    fn hand(&self, token: Token, reply: Result<T, Failure>, bytes: usize) -> bool {
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get(token) else { return false };
        if let Waiter::Many { sender, unread } = &slot.waiter {
            let before = unread.fetch_add(bytes, Ordering::Relaxed);
            // Dropping a message would be a hole in the answer: closing it breaks the answer instead.
            if before > MAX_STREAM_BYTES || sender.try_send(reply).is_err() {
                slots.slab.remove(token.slot);
            }
            return true;
        }
        let slot = slots.slab.remove(token.slot);
        drop(slots);
        self.connection.record_success(&slot.subject);
        match slot.waiter {
            // The waiter may just have stopped: then this is a late reply too.
            Waiter::One(sender) => sender.send(reply).is_ok(),
            Waiter::Many { .. } => true,
        }
    }

    /// A reply that isn't one.
    fn pass_over(&self, token: Token, message: &Message) {
        let subject = match self.slots.lock().get(token) {
            Some(slot) => {
                slot.is_strange = true;
                Some(slot.subject.clone())
            }
            None => None,
        };
        match subject {
            Some(subject) => (self.told.strange)(&subject, message),
            None => self.late(token),
        }
    }

    /// Where it is remembered that a request got no reply in time.
    fn timed_out(&self, token: Token) -> &AtomicU32 {
        &self.timed_out[token.generation as usize % MAX_TIMED_OUT]
    }

    /// A reply came when its waiter was gone.
    fn late(&self, token: Token) {
        let Some(number) = token.number else { return };
        let (known, none) = (self.timed_out(token), 0);
        // The first one is the late answer, and any other one is too many.
        let is_first = known
            .compare_exchange(token.generation, none, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        let lateness = if is_first { Lateness::TooLate } else { Lateness::Extra };
        (self.told.late)(number, lateness);
    }

    /// End the wait of these slots with a failure.
    fn fail(&self, which: impl Fn(&Slot<T>) -> bool, failure: Failure) {
        let mut slots = self.slots.lock();
        let found: Vec<usize> =
            slots.slab.iter().filter(|(_, slot)| which(slot)).map(|(place, _)| place).collect();
        let found: Vec<_> = found.into_iter().map(|place| slots.slab.remove(place)).collect();
        drop(slots);
        for slot in found {
            // A waiter that has stopped needn't be told.
            match slot.waiter {
                Waiter::One(sender) => drop(sender.send(Err(failure))),
                Waiter::Many { sender, .. } => drop(sender.try_send(Err(failure))),
            }
        }
    }
}

impl Inbox<Message> {
    /// Send, and wait for the first of several replies until `deadline`.
    pub async fn stream(
        self: &Arc<Self>,
        request: Request<impl Fn() -> HeaderMap>,
        deadline: Instant,
    ) -> Result<(Message, Replies), Failure> {
        let (sender, receiver) = mpsc::channel(MAX_STREAM_PARTS);
        let unread = Arc::new(AtomicUsize::new(0));
        let waiter = Waiter::Many { sender, unread: unread.clone() };
        let subject = request.subject.clone();
        let registration = self.send(request, waiter, deadline).await?;
        let mut replies = Replies { receiver, unread, registration };
        match replies.next(deadline).await {
            Ok(first) => {
                self.connection.record_success(&subject);
                Ok((first, replies))
            }
            Err(Failure::Timeout) => Err(self.silence(replies.registration.token)),
            Err(failure) => Err(failure),
        }
    }
}

impl<T: Send> Receive for Inbox<T> {
    fn deliver(&self, message: Message) {
        let Some(token) = message.subject.strip_prefix(self.prefix.as_str()).and_then(Token::parse)
        else {
            return;
        };
        let bytes = message.payload.len();
        let reply = if message.status == Some(StatusCode::NO_RESPONDERS) {
            Err(Failure::NoResponders)
        } else {
            match (self.read)(message) {
                Ok(reply) => Ok(reply),
                Err(message) => return self.pass_over(token, &message),
            }
        };
        if !self.hand(token, reply, bytes) {
            self.late(token);
        }
    }

    fn lost(&self) {
        if self.on_loss == OnLoss::Fail {
            self.fail(|_| true, Failure::Lost);
        }
    }

    fn refused(&self, subject: &str) {
        self.fail(|slot| *slot.subject == *subject, Failure::NotPermitted);
    }

    fn inbox_denied(&self) {
        self.fail(|_| true, Failure::NotPermitted);
    }
}

impl<T> Slots<T> {
    /// The slot of a token, if it is still its own.
    fn get(&mut self, token: Token) -> Option<&mut Slot<T>> {
        self.slab.get_mut(token.slot).filter(|slot| slot.generation == token.generation)
    }
}

/// The last token of a reply subject.
#[derive(Clone, Copy)]
struct Token {
    slot: usize,
    generation: u32,
    /// What was asked: a late reply finds no slot that could tell.
    number: Option<u32>,
}

impl Token {
    fn subject(self, prefix: &str) -> String {
        let mut subject = String::with_capacity(prefix.len() + 24);
        subject.push_str(prefix);
        // Writing to a String can't fail.
        let _ = write!(subject, "{:x}-{:x}", self.slot, self.generation);
        if let Some(number) = self.number {
            let _ = write!(subject, "-{number:x}");
        }
        subject
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let slot = usize::from_str_radix(parts.next()?, 16).ok()?;
        let mut next = || parts.next().map(|part| u32::from_str_radix(part, 16)).transpose().ok();
        Some(Self { slot, generation: next()??, number: next()? })
    }
}

/// A place in the slab, freed when it is dropped.
struct Registration<T> {
    inbox: Arc<Inbox<T>>,
    token: Token,
}

impl<T> Drop for Registration<T> {
    fn drop(&mut self) {
        self.inbox.unregister(self.token);
    }
}

/// Bytes of a streamed answer that were not read yet.
#[derive(Debug)]
pub struct Unread {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The further replies to one request.
pub struct Replies {
    receiver: mpsc::Receiver<Result<Message, Failure>>,
    unread: Arc<AtomicUsize>,
    registration: Registration<Message>,
}

impl Replies {
    /// What of a reply is still to be read, until this is dropped. It is to be called once for each.
    pub fn unread(&self, bytes: usize) -> Unread {
        Unread { all: self.unread.clone(), bytes }
    }

    /// The next reply, if it comes before `deadline` and none was lost.
    pub async fn next(&mut self, deadline: Instant) -> Result<Message, Failure> {
        match timeout_at(deadline, self.receiver.recv()).await {
            Ok(Some(reply)) => reply,
            Ok(None) => Err(Failure::Lost),
            Err(_) => Err(Failure::Timeout),
        }
    }
}

#[cfg(test)]
mod tests;
