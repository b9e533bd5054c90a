//! Tool calls: N calls in one webhook become N questions, N answers become one reply.
//!
//! The documentation prints several shapes of the same thing, and captures show others;
//! all are read (docs: server-url/events, tools/custom-tools).

mod excess;
mod read;

use std::borrow::Cow;
use std::cell::LazyCell;

use bytes::{BufMut, Bytes, BytesMut};

use self::excess::Excess;
use self::read::{Objects, Tool};
use super::call::{Arguments, Call};
use super::members::{Members, Part};
use super::{TOOL_CALLS, facts, payload, reply, results, server};
use crate::config::Context;
use crate::json::{Reader, Text, content};
use crate::message::{Answer, Question, Refusal, Replied, Reply};
use crate::source::{Dialogue, Identity, Questions, Unasked};

/// Calls of one webhook that are asked; for the rest nothing is built.
const MOST: usize = 64;

/// What all their keys may come to, in bytes: each call carries the key of the webhook, which is hashed and written anew
/// for it. That leaves 64 calls for a key of 128 KiB.
const KEYS: usize = 8 << 20;

/// The members of a message that calls are read from.
#[derive(Clone, Copy, Default)]
pub(super) struct Lists<'a> {
    pub(super) calls: Option<&'a str>,
    /// The same under another name.
    pub(super) copies: Option<&'a str>,
    /// The calls in the definitions of their tools.
    pub(super) tools: Option<&'a str>,
}

/// The calls of one webhook, until they are answered.
pub(super) struct Calls {
    members: Members,
    asked: Vec<Call>,
    excess: Option<Excess>,
    is_legacy: bool,
}

/// The questions of a `tool-calls` message whose key has this length.
pub(super) fn questions(
    members: Members,
    lists: Lists<'_>,
    holders: server::Holders<'_>,
    key: usize,
) -> Questions {
    let most = MOST.min(KEYS / key.max(1)).max(1);
    let tools = Objects::of(lists.tools);
    let begun = [(lists.calls, false), (lists.copies, false), (lists.tools, true)];
    let begun = begun.into_iter().find_map(|(list, in_tools)| {
        let mut list = Objects::of(list);
        let first = list.next(|reader| read::either(reader, in_tools))?;
        Some((first, list, in_tools))
    });
    let (mut found, mut excess) = (Vec::new(), None);
    if let Some((first, mut list, in_tools)) = begun {
        found.push(first.call);
        while found.len() < most
            && let Some(next) = list.next(|reader| read::either(reader, in_tools))
        {
            found.push(next.call);
        }
        excess = Excess::of(&members, list, in_tools);
    }
    // What is said of the whole message is only looked for where a tool says nothing.
    let by_server = LazyCell::new(|| server::limit(TOOL_CALLS, holders));
    let timeout = facts::timeout(TOOL_CALLS);
    let (mut all, mut asked) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
    for (call, tool) in found.iter().zip(tools_of(&found, tools)) {
        let name = call.name.or(tool.call.name).or(tool.name);
        all.push(Question {
            may_be_empty: false,
            function: Some(name.and_then(content).unwrap_or_default().into()),
            timeout,
            limit: tool.limit.or_else(|| *by_server),
            is_async: tool.is_async,
        });
        asked.push(Call {
            id: call.id.map(|id| members.part(id)),
            name: name.map(|name| members.part(name)),
            arguments: Arguments::of(&members, call.arguments.or(tool.call.arguments)),
        });
    }
    Questions { all, dialogue: Box::new(Calls { members, asked, excess, is_legacy: false }) }
}

/// The question of a legacy `function-call` message, which has no id.
pub(super) fn legacy(
    members: Members,
    call: Option<&str>,
    holders: server::Holders<'_>,
) -> Questions {
    let call = call.and_then(|call| read::call(&mut Reader::over(call)).ok()).unwrap_or_default();
    let question = Question {
        may_be_empty: false,
        function: Some(call.name.and_then(content).unwrap_or_default().into()),
        timeout: facts::timeout("function-call"),
        limit: server::limit("function-call", holders),
        is_async: false,
    };
    let call = Call {
        id: None,
        name: call.name.map(|name| members.part(name)),
        arguments: Arguments::of(&members, call.arguments),
    };
    let dialogue = Calls { members, asked: vec![call], excess: None, is_legacy: true };
    Questions { all: vec![question], dialogue: Box::new(dialogue) }
}

impl Dialogue for Calls {
    fn payloads<'a>(
        &mut self,
        context: &dyn Fn(usize) -> &'a Context,
        take: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Option<Bytes>> {
        let copied: usize = self.asked.iter().map(|call| call.arguments.copied()).sum();
        if copied > 0 && !take(copied) {
            return vec![None; self.asked.len()];
        }
        payload::payloads(&self.members, &self.asked, context, take)
    }

    fn identity(&self, question: usize) -> Option<Identity<'_>> {
        let call = self.asked.get(question)?;
        let id = self.members.bytes(call.id.as_ref()?);
        Some(Identity { id, arguments: call.arguments.bytes(&self.members) })
    }

    fn check(&self, reply: &Replied) -> Result<(), &'static str> {
        reply::text(&reply.body)
    }

    fn has_unasked(&self) -> bool {
        self.excess.is_some()
    }

    /// `{"results":[…]}`, one entry per call, in their order.
    fn reply(self: Box<Self>, answers: Vec<Answer>, unasked: Unasked) -> Result<Reply, Refusal> {
        if self.is_legacy {
            return results::legacy(&answers);
        }
        let mut body = BytesMut::with_capacity(32 + 128 * self.asked.len());
        body.put_slice(br#"{"results":["#);
        for (place, (call, answer)) in self.asked.iter().zip(answers).enumerate() {
            if place > 0 {
                body.put_u8(b',');
            }
            let bytes = |part: &Option<Part>| part.as_ref().map(|part| self.members.bytes(part));
            results::entry(&mut body, bytes(&call.name), bytes(&call.id), &answer);
        }
        if let Some(excess) = self.excess {
            return Ok(excess.reply(body, unasked));
        }
        body.put_slice(b"]}");
        Ok(Reply::json(body.freeze()))
    }
}

/// What the list of tools says of each of these calls. The id ties a call to its tool; without one its place in the list
/// does. However long the list is, it is read once, and only what belongs to a call is kept.
fn tools_of<'a>(calls: &[read::Call<'a>], mut list: Objects<'a>) -> Vec<Tool<'a>> {
    let mut by_place = vec![Tool::default(); calls.len()];
    if list.is_empty() {
        return by_place;
    }
    // Sorted, since they are few.
    let ids = calls.iter().filter_map(|call| call.id).map(|id| (meaning(id), None));
    let mut by_id: Vec<(Cow<'_, str>, Option<Tool<'a>>)> = ids.collect();
    by_id.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    by_id.dedup_by(|(one, _), (other, _)| one == other);
    let find = |by_id: &[(Cow<'_, str>, _)], id| {
        let id = meaning(id);
        by_id.binary_search_by(|(known, _)| known.cmp(&id))
    };
    let mut missing = by_id.len();
    let mut place = 0;
    while (missing > 0 || place < calls.len())
        && let Some(tool) = list.next(read::tool)
    {
        match tool.call.id {
            // The first one of an id counts.
            Some(id) => {
                if let Ok(at) = find(&by_id, id)
                    && by_id[at].1.is_none()
                {
                    by_id[at].1 = Some(tool);
                    missing -= 1;
                }
            }
            None => {
                if let Some(found) = by_place.get_mut(place) {
                    *found = tool;
                }
            }
        }
        place += 1;
    }
    for (call, tool) in calls.iter().zip(&mut by_place) {
        if let Some(id) = call.id {
            *tool = find(&by_id, id).ok().and_then(|at| by_id[at].1).unwrap_or_default();
        }
    }
    by_place
}

/// An id as it is compared: a string without its escapes, any other value as it is written.
fn meaning(raw: &str) -> Cow<'_, str> {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    inner.map_or(Cow::Borrowed(raw), |inner| Text::over(inner).unescape())
}

#[cfg(test)]
mod tests;
