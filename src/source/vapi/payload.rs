//! What a worker gets for a tool call: the call, and the members of the message that its rule hands on.
//!
//! The message is gone through once for all calls of a webhook, in a time that depends on its size alone, and nothing is
//! built before somebody has agreed to its size. What several calls are handed on is copied from the first of them.

use bytes::{BufMut, Bytes, BytesMut};

use super::call::Call;
use super::members::{Key, Members};
use crate::config::Context;

/// The members of the payload that no context overwrites.
const OWN: [&str; 3] = ["id", "name", "arguments"];

/// Up to this many names are compared with each key one by one; more are looked up.
const FEW: usize = 8;

/// The payloads of these calls, each with the context of its rule. `take` is told the size of each before it is built.
pub(super) fn payloads<'c>(
    members: &Members,
    calls: &[Call],
    context: &dyn Fn(usize) -> &'c Context,
    take: &mut dyn FnMut(usize) -> bool,
) -> Vec<Option<Bytes>> {
    let found =
        NamedMembers::new(members, (0..calls.len()).map(|place| -> &Context { context(place) }));
    // The contexts that have been written, each as a part of a payload.
    let mut written: Vec<(&Context, Bytes)> = Vec::new();
    let build = |(place, call): (usize, &Call)| {
        let context = context(place);
        let known = written.iter().find(|(known, _)| *known == context);
        let picked = match known {
            Some((_, bytes)) => Picked::Written(bytes.clone()),
            None => found.pick(members, context),
        };
        let own = own(members, call);
        let size = size(&own) + picked.size() + 1;
        if !take(size) {
            return None;
        }
        let mut body = BytesMut::with_capacity(size);
        for (name, value) in own {
            if let Some(value) = value {
                body.put_u8(if body.is_empty() { b'{' } else { b',' });
                member(&mut body, name.as_bytes(), value);
            }
        }
        let start = body.len();
        let is_new = picked.write(&mut body);
        let end = body.len();
        body.put_u8(b'}');
        let payload = body.freeze();
        if is_new && calls.len() > 1 {
            written.push((context, payload.slice(start..end)));
        }
        Some(payload)
    };
    calls.iter().enumerate().map(build).collect()
}

type Own<'a> = [(&'static str, Option<&'a [u8]>); OWN.len()];

fn own<'a>(members: &'a Members, call: &'a Call) -> Own<'a> {
    let bytes = |part: &Option<_>| part.as_ref().map(|part| members.bytes(part));
    let values = [bytes(&call.id), bytes(&call.name), Some(call.arguments.bytes(members))];
    let [id, name, arguments] = values;
    [(OWN[0], id), (OWN[1], name), (OWN[2], arguments)]
}

fn size(own: &Own<'_>) -> usize {
    own.iter().map(|(name, value)| value.map_or(0, |value| name.len() + 4 + value.len())).sum()
}

/// A member: its place among all, its key and its value.
type Member<'a> = (usize, &'a [u8], &'a [u8]);

/// The members that some rule names; of each the last one.
struct NamedMembers<'a> {
    /// Sorted where they are many.
    names: Vec<&'a str>,
    members: Vec<Option<Member<'a>>>,
}

impl<'a> NamedMembers<'a> {
    fn new(members: &'a Members, contexts: impl Iterator<Item = &'a Context>) -> Self {
        let (mut names, mut before) = (Vec::new(), None);
        for context in contexts {
            // Mostly it is that of the call before.
            if let Context::Members(some) = context
                && before.is_none_or(|before| !std::ptr::eq(before, context))
            {
                let new = some.iter().map(String::as_str).filter(|name| !OWN.contains(name));
                names.extend(new);
            }
            before = Some(context);
        }
        if names.len() > FEW {
            names.sort_unstable();
            names.dedup();
        }
        let mut found = Self { members: vec![None; names.len()], names };
        if !found.names.is_empty() {
            let mut place = 0;
            members.each(|key, value| {
                if let Some(name) = found.place(key) {
                    found.members[name] = Some((place, key.raw, value));
                }
                place += 1;
            });
        }
        found
    }

    fn place(&self, key: Key<'_>) -> Option<usize> {
        match self.names.len() {
            ..=FEW => self.names.iter().position(|name| key.is(name)),
            _ => {
                let key = key.unescape();
                self.names.binary_search_by(|name| name.as_bytes().cmp(&key)).ok()
            }
        }
    }

    fn named(&self, name: &str) -> Option<Member<'a>> {
        let place = match self.names.len() {
            ..=FEW => self.names.iter().position(|known| *known == name),
            _ => self.names.binary_search(&name).ok(),
        };
        self.members[place?]
    }

    /// The members that a context hands on.
    fn pick(&self, members: &'a Members, context: &Context) -> Picked<'a> {
        let mut picked: Vec<Member<'a>> = match context {
            Context::Members(names) => names.iter().filter_map(|name| self.named(name)).collect(),
            Context::All(_) if members.are_few() => all(members),
            Context::All(_) => return Picked::All(members),
        };
        picked.sort_unstable_by_key(|(place, ..)| *place);
        picked.dedup_by_key(|(place, ..)| *place);
        Picked::Some(picked)
    }
}

/// All members, of each name the last one.
fn all(members: &Members) -> Vec<Member<'_>> {
    let mut all: Vec<(usize, Key<'_>, &[u8])> = Vec::new();
    members.each(|key, value| all.push((all.len(), key, value)));
    let is_last = |(place, key, _): &(usize, Key<'_>, _)| {
        let key = key.unescape();
        all[place + 1..].iter().all(|(_, later, _)| later.unescape() != key)
    };
    let is_own = |key: &Key<'_>| OWN.iter().any(|name| key.is(name));
    let kept = all.iter().filter(|member| !is_own(&member.1) && is_last(member));
    kept.map(|(place, key, value)| (*place, key.raw, *value)).collect()
}

/// What is handed on beside a call.
enum Picked<'a> {
    /// These members.
    Some(Vec<Member<'a>>),
    /// All of those that are too many to be told apart: of a key that occurs twice a reader takes the last one by itself.
    All(&'a Members),
    /// What another payload holds, each member after a comma.
    Written(Bytes),
}

impl Picked<'_> {
    /// No less than it takes, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Some(members) => {
                members.iter().map(|(_, key, value)| key.len() + value.len() + 4).sum()
            }
            // Each member is there with its quotes, its colon and what parts it from the next one.
            Self::All(members) => members.size(),
            Self::Written(bytes) => bytes.len(),
        }
    }

    /// Writes each member after a comma. Returns whether they had to be gathered for that.
    fn write(self, out: &mut BytesMut) -> bool {
        let mut put = |key: &[u8], value: &[u8]| {
            out.put_u8(b',');
            member(out, key, value);
        };
        match self {
            Self::Some(members) => members.iter().for_each(|(_, key, value)| put(key, value)),
            Self::All(members) => members.each(|key, value| {
                if !OWN.iter().any(|name| key.is(name)) {
                    put(key.raw, value);
                }
            }),
            Self::Written(bytes) => {
                out.put_slice(&bytes);
                return false;
            }
        }
        true
    }
}

fn member(out: &mut BytesMut, key: &[u8], value: &[u8]) {
    out.put_u8(b'"');
    out.put_slice(key);
    out.put_slice(b"\":");
    out.put_slice(value);
}

#[cfg(test)]
mod tests;
