//! What a worker gets for a tool call: the call, and the members of the message that its rule hands on.
//!
//! The message is gone through once for all calls of a webhook, in a time that depends on its size alone, and nothing is
//! built before somebody has agreed to its size.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::config::Context;
use crate::message::{Members, ToolCall};

/// The members of the payload that no context overwrites.
const OWN: [&str; 3] = ["id", "name", "arguments"];

/// Members whose keys are told apart when all are handed on: many more than a real message has.
const TOLD_APART: usize = 4_096;

/// The contexts of some rules, as they are written into payloads.
pub struct Contexts<'a> {
    all: Vec<(&'a Context, Bytes)>,
}

impl<'a> Contexts<'a> {
    /// Those that are wanted. `may` is told how many bytes are about to be taken; nothing if it refuses.
    pub fn of(
        members: &Members,
        wanted: impl IntoIterator<Item = &'a Context>,
        mut may: impl FnMut(usize) -> bool,
    ) -> Option<Self> {
        let mut distinct: Vec<&Context> = Vec::new();
        for context in wanted {
            if !distinct.contains(&context) {
                distinct.push(context);
            }
        }
        let named = distinct.iter().filter_map(|context| match context {
            Context::Members(names) => Some(names),
            Context::All(_) => None,
        });
        let found = Found::of(members, named.flatten().map(String::as_str));
        let write = |context: &'a Context| {
            let written = match context {
                Context::Members(names) => found.write(names, &mut may),
                Context::All(_) => everything(members, &mut may),
            };
            Some((context, written?))
        };
        Some(Self { all: distinct.into_iter().map(write).collect::<Option<_>>()? })
    }

    /// The payload of a call whose rule has this context, which was wanted. `may` is told its size.
    pub fn payload(
        &self,
        call: &ToolCall,
        context: &Context,
        may: impl FnOnce(usize) -> bool,
    ) -> Option<Bytes> {
        let found = self.all.iter().find(|(known, _)| *known == context);
        let context = found.map(|(_, written)| written.as_ref()).unwrap_or_default();
        let own = [
            ("id", call.id.as_ref()),
            ("name", call.name.as_ref()),
            ("arguments", Some(&call.arguments)),
        ];
        let own_size: usize = own
            .iter()
            .map(|(name, value)| value.map_or(0, |value| name.len() + 4 + value.len()))
            .sum();
        let size = own_size + context.len() + 1;
        if !may(size) {
            return None;
        }
        let mut body = BytesMut::with_capacity(size);
        for (name, value) in own {
            if let Some(value) = value {
                body.put_u8(if body.is_empty() { b'{' } else { b',' });
                member(&mut body, name, value);
            }
        }
        body.put_slice(context);
        body.put_u8(b'}');
        Some(body.freeze())
    }
}

/// A member's place among all, its key and its value.
type Place<'a> = (usize, &'a str, &'a [u8]);

/// The members that some rule names, sorted by their names: of each the last one, with its place among all.
struct Found<'a>(Vec<(&'a str, Option<Place<'a>>)>);

impl<'a> Found<'a> {
    fn of(members: &'a Members, names: impl Iterator<Item = &'a str>) -> Self {
        let names = names.filter(|name| !OWN.contains(name));
        let mut found = Self(names.map(|name| (name, None)).collect());
        found.0.sort_unstable_by_key(|(name, _)| *name);
        found.0.dedup_by_key(|(name, _)| *name);
        let mut place = 0;
        if !found.0.is_empty() {
            members.each(|key, value| {
                if let Some(at) = found.place(&key.unescape()) {
                    found.0[at].1 = Some((place, key.raw(), value));
                }
                place += 1;
            });
        }
        found
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by_key(&name, |(known, _)| known).ok()
    }

    /// These members in their order, each after a comma.
    fn write(&self, names: &[String], may: &mut impl FnMut(usize) -> bool) -> Option<Bytes> {
        let found = names.iter().filter_map(|name| self.0[self.place(name)?].1);
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(place, ..)| *place);
        found.dedup_by_key(|(place, ..)| *place);
        let size = found.iter().map(|(_, key, value)| key.len() + value.len() + 4).sum();
        if !may(size) {
            return None;
        }
        let mut out = BytesMut::with_capacity(size);
        for (_, key, value) in found {
            out.put_u8(b',');
            member(&mut out, key, value);
        }
        Some(out.freeze())
    }
}

/// All members in their order, each after a comma; of a key that occurs twice only the last. Where there are more than
/// anybody sends, all of them: a reader takes the last one by itself, and nothing has to be remembered of each.
fn everything(members: &Members, may: &mut impl FnMut(usize) -> bool) -> Option<Bytes> {
    // Each member is there with its quotes, its colon and what parts it from the next one.
    if !may(members.size()) {
        return None;
    }
    let (mut last, mut count) = (HashMap::new(), 0);
    members.each(|key, _| {
        if count < TOLD_APART {
            last.insert(key.unescape(), count);
        }
        count += 1;
    });
    let is_known = count <= TOLD_APART;
    let mut out = BytesMut::with_capacity(members.size());
    let mut place = 0;
    members.each(|key, value| {
        let name = key.unescape();
        let is_last = !is_known || last.get(&name) == Some(&place);
        if is_last && !OWN.contains(&&*name) {
            out.put_u8(b',');
            member(&mut out, key.raw(), value);
        }
        place += 1;
    });
    Some(out.freeze())
}

fn member(out: &mut BytesMut, key: &str, value: &[u8]) {
    out.put_u8(b'"');
    out.put_slice(key.as_bytes());
    out.put_slice(b"\":");
    out.put_slice(value);
}

#[cfg(test)]
mod tests;
