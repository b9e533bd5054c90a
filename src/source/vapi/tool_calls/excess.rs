//! The entries of calls that are too many to be asked, written while they are sent.
//!
//! An element of two bytes becomes an entry of sixty, so that the reply to a body of some MiB is many times as large.
//! Nothing is kept of it but a position in the body, and what goes out next.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;

use super::read::{self, Objects, Tool};
use crate::json::{self, Reader, content};
use crate::message::{Body, Reply};
use crate::source::Unasked;
use crate::source::vapi::members::Members;
use crate::source::vapi::results;

/// How many bytes are written at a time, and an entry more.
const PART: usize = 32 << 10;

/// The calls that are too many.
pub(super) struct Excess {
    /// The list of all calls, as a slice of the body.
    list: Bytes,
    /// Where in the list the last call ends that is asked.
    after: usize,
    /// Whether the calls stand in the definitions of their tools.
    in_tools: bool,
}

impl Excess {
    /// What is left of a list, if anything is.
    pub(super) fn of(members: &Members, list: Objects<'_>, in_tools: bool) -> Option<Self> {
        let (text, after) = list.position();
        let mut rest = list;
        rest.next(|_| Ok(()))?;
        Some(Self { list: members.share(&members.part(text)), after, in_tools })
    }

    /// The reply that begins with these entries.
    pub(super) fn reply(self, mut begin: BytesMut, unasked: Unasked) -> Reply {
        let mut rest = Rest { excess: self, unasked, is_done: false };
        rest.write(&mut begin);
        if rest.is_done {
            return Reply::json(begin.freeze());
        }
        let begin = Some(begin.freeze());
        let parts = stream::unfold((begin, rest), |(begin, mut rest)| async move {
            match begin {
                Some(begin) => Some((Ok(begin), (None, rest))),
                None if rest.is_done => None,
                None => {
                    let mut part = BytesMut::with_capacity(PART + 256);
                    rest.write(&mut part);
                    Some((Ok(part.freeze()), (None, rest)))
                }
            }
        });
        Reply::json_in_parts(Body::Stream(Box::pin(parts)))
    }
}

/// What is still to be written.
struct Rest {
    excess: Excess,
    unasked: Unasked,
    is_done: bool,
}

impl Rest {
    fn write(&mut self, out: &mut BytesMut) {
        let full = out.len() + PART;
        while out.len() < full {
            let Excess { list, after, .. } = &mut self.excess;
            let Some(place) = json::element(list, *after) else {
                out.put_slice(b"]}");
                self.is_done = true;
                return;
            };
            *after = place.end;
            let element = list.slice(place);
            // The list was read as text before.
            if let (Some(b'{'), Ok(object)) = (element.first(), std::str::from_utf8(&element)) {
                out.put_u8(b',');
                self.entry(out, object);
            }
        }
    }

    fn entry(&self, out: &mut BytesMut, object: &str) {
        let read = read::either(&mut Reader::over(object), self.excess.in_tools);
        let Tool { call, name, is_async, .. } = read.unwrap_or_default();
        let name = call.name.or(name);
        let function = name.and_then(content).unwrap_or_default();
        let answer = (self.unasked)(&function, is_async);
        let [name, id] = [name, call.id].map(|raw| raw.map(str::as_bytes));
        results::entry(out, name, id, &answer);
    }
}
