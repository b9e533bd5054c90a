//! The entries of calls that are too many to be asked, written while they are sent.
//!
//! An element of two bytes becomes an entry of sixty, so that the reply to a body of some MiB is many times as large.
//! Nothing is kept of it but a position in the body, and what goes out next.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;

use super::{Tool, content, entry, in_list};
use crate::json;
use crate::message::{Body, Excess, Reply};
use crate::source::Unasked;

/// So many bytes are written at a time, and an entry more.
const PART: usize = 32 << 10;

/// The reply that begins with these entries.
pub(super) fn reply(mut begin: BytesMut, excess: &Excess, unasked: Unasked) -> Reply {
    let Excess { list, after, in_tools } = excess.clone();
    let mut rest = Rest { list, after, in_tools, unasked, is_done: false };
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

/// What is still to be written.
struct Rest {
    list: Bytes,
    after: usize,
    in_tools: bool,
    unasked: Unasked,
    is_done: bool,
}

impl Rest {
    fn write(&mut self, out: &mut BytesMut) {
        let full = out.len() + PART;
        while out.len() < full {
            let Some(place) = json::element(&self.list, self.after) else {
                out.put_slice(b"]}");
                self.is_done = true;
                return;
            };
            self.after = place.end;
            let element = self.list.get(place).unwrap_or_default();
            // The list was read as text before.
            if let (Some(b'{'), Ok(object)) = (element.first(), std::str::from_utf8(element)) {
                out.put_u8(b',');
                self.entry(out, object);
            }
        }
    }

    fn entry(&self, out: &mut BytesMut, object: &str) {
        let Tool { call, name, is_async, .. } = in_list(object, self.in_tools);
        let name = call.name.or(name);
        let function = name.and_then(content).unwrap_or_default();
        let answer = (self.unasked)(&function, is_async);
        let [name, id] = [name, call.id].map(|raw| raw.map(str::as_bytes));
        entry(out, name, id, &answer);
    }
}
