//! Reading a body: within its size, its time and the bytes that may be held.

mod encoding;

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::iter::successors;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{sleep_until, timeout};

pub use self::encoding::Encoding;
use crate::limit::{Pacer, Reading};
use crate::message::Refusal;

/// Room that is made before anything has arrived, whatever the sender announces.
const READ_AHEAD_BYTES: usize = 256 << 10;

/// How much and how long a body that nobody wants is still read, so that its sender gets to read the refusal.
const LEFTOVER: (usize, Duration) = (16 << 20, Duration::from_secs(2));

/// Read a whole body of at most `limit` bytes within `time`, charging what arrives. A body that comes in several pieces
/// is shown to `each` piece by piece as they come.
pub async fn read<B>(
    body: &mut B,
    limit: usize,
    time: Duration,
    reading: &mut Reading,
    mut each: impl FnMut(&[u8]),
) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes, Error: Error + 'static> + Unpin,
{
    let announced = body.size_hint();
    if announced.lower() > limit as u64 {
        return Err(Refusal::TooLarge { limit });
    }
    let mut read = pin!(async {
        let mut first: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        while let Some(frame) = reading.wait(body.frame()).await? {
            let frame = frame.map_err(|error| broken(&error))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > limit {
                return Err(Refusal::TooLarge { limit });
            }
            reading.grow(data.len())?;
            // A body that comes in one piece, as small ones do, is passed on without a copy.
            match first.take() {
                None if whole.is_empty() => first = Some(data),
                None => {
                    each(&data);
                    whole.extend_from_slice(&data);
                }
                Some(begin) => {
                    each(&begin);
                    each(&data);
                    let announced = usize::try_from(announced.lower()).unwrap_or(usize::MAX);
                    whole.reserve(announced.min(READ_AHEAD_BYTES).max(begin.len() + data.len()));
                    whole.extend_from_slice(&begin);
                    whole.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    });
    // A small body is there already, and needs no clock.
    if let Poll::Ready(read) = poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await {
        return read;
    }
    timeout(time, read).await.map_err(|_| Refusal::Incomplete("in time"))?
}

/// Why a body has no end: its sender broke off, or wrote something that isn't one, such as a chunk without a size.
fn broken(error: &(dyn Error + 'static)) -> Refusal {
    use io::ErrorKind::{InvalidData, InvalidInput};
    let causes = successors(Some(error), |&error| error.source());
    let mut kinds = causes.filter_map(|error| Some(error.downcast_ref::<io::Error>()?.kind()));
    if kinds.any(|kind| matches!(kind, InvalidData | InvalidInput)) {
        Refusal::Malformed("the body is not transferred as HTTP says".into())
    } else {
        Refusal::Incomplete("in full")
    }
}

/// Read the rest of a body that was refused, and forget it. A client that is still sending would
/// otherwise find the connection reset before reading why. All of them together are read at a
/// steady pace: anybody can be refused, and the processor is for those who aren't.
pub async fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    static LEFTOVERS: Pacer = Pacer::new();
    let (mut room, time) = LEFTOVER;
    let read = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            room = room.saturating_sub(length);
            if room == 0 {
                break;
            }
            read += length;
            if read >= Pacer::SHARE {
                read = 0;
                sleep_until(LEFTOVERS.next()).await;
            }
        }
    };
    // Out of time: then it is cut off.
    let _ = timeout(time, read).await;
}

#[cfg(test)]
mod tests;
