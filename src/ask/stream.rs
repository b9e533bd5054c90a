//! Answers that come in parts: passed on as they come, at the pace of their reader.
//!
//! A part that is followed by another says so in `Hookbus-More`. One that was sent as a request gets a reply as soon as
//! there is room for more, which holds a worker back; others are kept up to the limit of the inbox, and beyond it the
//! response breaks. It breaks as well when a part is missing (`Hookbus-Seq`), an error comes, or nothing does: a hole is
//! never silent, and half an answer never looks whole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::head::{CONTENT_TYPE, content_type};
use super::{Failed, served};
use crate::inbox::{Inbox, Replies, Unread};
use crate::message::{Body, Outcome};

/// Marks a reply that is followed by another one.
const MORE: &str = "Hookbus-More";

/// The number of a part, one more than that of the part before.
const SEQUENCE: &str = "Hookbus-Seq";

/// Bytes that wait to be read by the sender before workers are held back.
const ROOM: usize = 256 << 10;

/// Parts that wait to be read, of whatever size.
const PARTS: usize = 256;

/// How long a sender may read nothing while there is no room.
const STALLED: Duration = Duration::from_secs(30);

/// An answer that is passed on as it comes.
pub struct Streamed {
    /// The whole of it, or its first part and all that follow.
    pub body: Body,
    /// What the worker says that it is: a media type.
    pub content_type: Option<String>,
}

/// The whole answer, or its first part and all that follow; between two of them at most `pause`.
pub(super) async fn body(
    first: Message,
    replies: Replies,
    inbox: &Arc<Inbox>,
    pause: Duration,
) -> Result<Streamed, Failed> {
    let first = served(first)?;
    let said = header(&first, CONTENT_TYPE);
    let content_type = said.and_then(|said| content_type(said.trim()));
    if !is_followed(&first) {
        acknowledge(inbox, &first, pause).await;
        return match first.payload {
            empty if empty.is_empty() => Err((Outcome::BadReply, None)),
            whole => Ok(Streamed { body: Body::Whole(whole), content_type }),
        };
    }
    let (sender, receiver) = mpsc::channel(PARTS);
    let room = Arc::new(Semaphore::new(ROOM));
    let pump = Pump { replies, inbox: inbox.clone(), room, sender, pause, sequence: None };
    tokio::spawn(pump.run(first));
    Ok(Streamed { body: parts(receiver), content_type })
}

/// What is read of a stream; its room is free again once it is taken.
struct Part {
    payload: Bytes,
    is_last: bool,
    _unread: Unread,
    _room: OwnedSemaphorePermit,
}

/// The parts as they come. An end that isn't one breaks the response.
fn parts(receiver: mpsc::Receiver<Part>) -> Body {
    let parts = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        let Some(part) = receiver.recv().await else {
            // An error ends the connection at once: first let what came go out.
            tokio::task::yield_now().await;
            return Some((Err(io::Error::other("the worker did not finish")), None));
        };
        Some((Ok(part.payload), (!part.is_last).then_some(receiver)))
    });
    Body::Stream(Box::pin(parts))
}

/// Takes parts from the inbox to the response, for as long as there is room.
struct Pump {
    replies: Replies,
    inbox: Arc<Inbox>,
    room: Arc<Semaphore>,
    sender: mpsc::Sender<Part>,
    pause: Duration,
    /// The number of the part before, if it had one.
    sequence: Option<u64>,
}

impl Pump {
    async fn run(self, first: Message) {
        let reader_is_gone = self.sender.clone();
        let result = tokio::select! {
            result = self.pump(first) => result,
            () = reader_is_gone.closed() => return,
        };
        if let Err(why) = result {
            debug!(why, "a streamed answer ended before its end");
        }
    }

    async fn pump(mut self, mut message: Message) -> Result<(), &'static str> {
        loop {
            self.count(&message)?;
            let is_last = !is_followed(&message);
            // A part larger than all the room takes all of it.
            let size = message.payload.len().min(ROOM) as u32;
            let room = timeout(STALLED, self.room.clone().acquire_many_owned(size)).await;
            let Ok(Ok(room)) = room else { return Err("the sender doesn't read it") };
            let unread = self.replies.unread(message.payload.len());
            let payload = message.payload.clone();
            let part = Part { payload, is_last, _unread: unread, _room: room };
            if self.sender.send(part).await.is_err() {
                return Ok(());
            }
            acknowledge(&self.inbox, &message, self.pause).await;
            if is_last {
                return Ok(());
            }
            let next = self.replies.next(Instant::now() + self.pause).await;
            let next = next.map_err(|_| "the next part doesn't come, or was one too many")?;
            message = served(next).map_err(|_| "the worker says that it failed")?;
        }
    }

    /// Each part that has a number follows the one before.
    fn count(&mut self, message: &Message) -> Result<(), &'static str> {
        let number = header(message, SEQUENCE).map(str::parse::<u64>);
        let number = number.transpose().map_err(|_| "a part has no proper number")?;
        let follows = match (self.sequence, number) {
            (Some(before), Some(number)) => before.checked_add(1) == Some(number),
            _ => true,
        };
        self.sequence = number.or(self.sequence);
        if follows { Ok(()) } else { Err("a part is missing") }
    }
}

/// Tell a worker that asked for it that there is room for its next part.
async fn acknowledge(inbox: &Inbox, message: &Message, limit: Duration) {
    let (Some(reply), Some(client)) = (&message.reply, inbox.connection().client()) else { return };
    // Without a connection, or with one that takes nothing, the worker finds out by itself.
    let _ = timeout(limit, client.publish(reply.clone(), Bytes::new())).await;
}

fn is_followed(message: &Message) -> bool {
    header(message, MORE).is_some_and(|more| more.eq_ignore_ascii_case("true"))
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}
