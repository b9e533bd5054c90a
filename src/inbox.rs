//! Replies and PubAcks, to whoever waits for them.
//!
//! One wildcard subscription per connection, and a slab of those who wait. The last token
//! of a reply subject names the slot and its generation, so that a reply finds its waiter
//! without a map, and a late one finds out that it is late. Whoever stops waiting, for
//! whatever reason, frees the slot: what is never answered leaves nothing behind.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::client::PublishErrorKind;
use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::nats::Link;

/// Messages and bytes of one streamed answer that may wait to be passed on.
const STREAM_QUEUE: usize = 1_024;
const STREAM_BYTES: usize = 1 << 20;

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no connection, so that nothing was sent.
    Disconnected,
    /// It is larger than the server takes.
    TooLarge,
    /// Nobody listens on the subject.
    NoResponders,
    /// No reply in time.
    Timeout,
    /// The connection went away while a reply was awaited.
    Lost,
}

/// What becomes of those who wait when the connection goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// They go on waiting: a worker may still reply through the next connection.
    Wait,
    /// They are told, and may send again.
    Fail,
}

/// What is sent and wants a reply.
#[derive(Debug, Clone)]
pub struct Request {
    /// The subject it is sent to.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its payload.
    pub payload: Bytes,
    /// Whose request it is; `late` is called with it when the reply is late.
    pub tag: u32,
}

/// The reply inbox of one connection.
pub struct Inbox {
    link: Arc<Link>,
    /// `<inbox_prefix>.<unique>.`
    prefix: String,
    on_loss: OnLoss,
    slots: Mutex<Slots>,
    late: Box<dyn Fn(u32) + Send + Sync>,
}

#[derive(Default)]
struct Slots {
    slab: Slab<Slot>,
    /// Differs for each use of a slot.
    generation: u32,
}

struct Slot {
    generation: u32,
    waiter: Waiter,
}

enum Waiter {
    One(oneshot::Sender<Result<Message, Failure>>),
    Many { sender: mpsc::Sender<Message>, unread: Arc<AtomicUsize> },
}

impl Inbox {
    /// The inbox of `link`, below `inbox_prefix`. `late` is told the tag of requests whose replies come too late.
    pub fn new(
        link: Arc<Link>,
        inbox_prefix: &str,
        on_loss: OnLoss,
        late: impl Fn(u32) + Send + Sync + 'static,
    ) -> Self {
        Self {
            link,
            prefix: format!("{inbox_prefix}.{}.", uuid::Uuid::new_v4().simple()),
            on_loss,
            slots: Mutex::default(),
            late: Box::new(late),
        }
    }

    /// The subject that the connection listens on.
    pub fn subject(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// The connection.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Hand a message to whoever waits for it.
    pub fn deliver(&self, message: Message) {
        let Some(token) = message.subject.strip_prefix(self.prefix.as_str()).and_then(Token::parse)
        else {
            return;
        };
        let waiter = {
            let mut slots = self.slots.lock();
            match slots.slab.get(token.slot) {
                Some(slot) if slot.generation == token.generation => match &slot.waiter {
                    Waiter::One(_) => Some(slots.slab.remove(token.slot).waiter),
                    Waiter::Many { sender, unread } => {
                        let before = unread.fetch_add(message.payload.len(), Ordering::Relaxed);
                        // Dropping a message would be a hole in the answer: closing it breaks the answer instead.
                        if before > STREAM_BYTES || sender.try_send(message).is_err() {
                            slots.slab.remove(token.slot);
                        }
                        return;
                    }
                },
                _ => None,
            }
        };
        // Whoever waited may just have stopped: then this is a late reply too.
        let is_taken = match waiter {
            Some(Waiter::One(sender)) => sender.send(Ok(message)).is_ok(),
            _ => false,
        };
        if !is_taken {
            (self.late)(token.tag);
        }
    }

    /// The connection is gone.
    pub fn lost(&self) {
        if self.on_loss == OnLoss::Wait {
            return;
        }
        let waiting: Vec<_> = self.slots.lock().slab.drain().collect();
        for slot in waiting {
            if let Waiter::One(sender) = slot.waiter {
                // Whoever stopped waiting doesn't need to be told.
                let _ = sender.send(Err(Failure::Lost));
            }
        }
    }

    /// Send, and wait for one reply until `deadline`. A "no responders" reply is a failure.
    pub async fn request(
        self: &Arc<Self>,
        request: Request,
        deadline: Instant,
    ) -> Result<Message, Failure> {
        let (sender, receiver) = oneshot::channel();
        let _seat = self.send(request, Waiter::One(sender), deadline).await?;
        match timeout_at(deadline, receiver).await {
            Ok(Ok(Ok(message))) => check(message),
            Ok(Ok(Err(failure))) => Err(failure),
            Ok(Err(_)) => Err(Failure::Lost),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// Send, and wait for the first of several replies until `deadline`.
    pub async fn stream(
        self: &Arc<Self>,
        request: Request,
        deadline: Instant,
    ) -> Result<(Message, Replies), Failure> {
        let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
        let unread = Arc::new(AtomicUsize::new(0));
        let waiter = Waiter::Many { sender, unread: unread.clone() };
        let seat = self.send(request, waiter, deadline).await?;
        let mut replies = Replies { receiver, unread, seat };
        let first = replies.next(deadline).await?;
        check(first).map(|message| (message, replies))
    }

    async fn send(
        self: &Arc<Self>,
        request: Request,
        waiter: Waiter,
        deadline: Instant,
    ) -> Result<Seat, Failure> {
        let client = self.link.client().ok_or(Failure::Disconnected)?;
        let (seat, reply) = self.sit_down(waiter, request.tag);
        let publish = client.publish_with_reply_and_headers(
            request.subject,
            reply,
            request.headers,
            request.payload,
        );
        match timeout_at(deadline, publish).await {
            Ok(Ok(())) => Ok(seat),
            Ok(Err(error)) => Err(match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => Failure::TooLarge,
                _ => Failure::Disconnected,
            }),
            Err(_) => Err(Failure::Timeout),
        }
    }

    fn sit_down(self: &Arc<Self>, waiter: Waiter, tag: u32) -> (Seat, String) {
        let mut slots = self.slots.lock();
        slots.generation = slots.generation.wrapping_add(1);
        let generation = slots.generation;
        let slot = slots.slab.insert(Slot { generation, waiter });
        drop(slots);
        let token = Token { slot, generation, tag };
        (Seat { inbox: self.clone(), token }, token.subject(&self.prefix))
    }

    fn stand_up(&self, token: Token) {
        let mut slots = self.slots.lock();
        if slots.slab.get(token.slot).is_some_and(|slot| slot.generation == token.generation) {
            slots.slab.remove(token.slot);
        }
    }
}

fn check(message: Message) -> Result<Message, Failure> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        Err(Failure::NoResponders)
    } else {
        Ok(message)
    }
}

/// The last token of a reply subject.
#[derive(Clone, Copy)]
struct Token {
    slot: usize,
    generation: u32,
    tag: u32,
}

impl Token {
    fn subject(self, prefix: &str) -> String {
        let mut subject = String::with_capacity(prefix.len() + 24);
        subject.push_str(prefix);
        // Writing to a String can't fail.
        let _ = write!(subject, "{:x}-{:x}-{:x}", self.slot, self.generation, self.tag);
        subject
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = || u64::from_str_radix(parts.next()?, 16).ok();
        Some(Self {
            slot: usize::try_from(next()?).ok()?,
            generation: u32::try_from(next()?).ok()?,
            tag: u32::try_from(next()?).ok()?,
        })
    }
}

/// A place in the slab, freed when it is dropped.
struct Seat {
    inbox: Arc<Inbox>,
    token: Token,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.inbox.stand_up(self.token);
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
    receiver: mpsc::Receiver<Message>,
    unread: Arc<AtomicUsize>,
    #[expect(dead_code, reason = "its drop frees the slot")]
    seat: Seat,
}

impl Replies {
    /// What of a reply is still to be read, until this is dropped. It is to be called once for each.
    pub fn unread(&self, bytes: usize) -> Unread {
        Unread { all: self.unread.clone(), bytes }
    }

    /// The next reply, if it comes before `deadline` and none was lost.
    pub async fn next(&mut self, deadline: Instant) -> Result<Message, Failure> {
        match timeout_at(deadline, self.receiver.recv()).await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Failure::Lost),
            Err(_) => Err(Failure::Timeout),
        }
    }
}
