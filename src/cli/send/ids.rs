//! Ids that differ from request to request: a sample that came with the ids of the last one would get the answer that was
//! given to that, and not a worker's.

use memchr::memmem;
use serde_json::Value;
use uuid::Uuid;

/// Lists of calls, and where their ids are in them.
const CALLS: [(&str, &str); 3] = [
    ("/message/toolCallList", "/id"),
    ("/message/toolCalls", "/id"),
    ("/message/toolWithToolCallList", "/toolCall/id"),
];

/// The ids in a sample that are another one in each request.
#[derive(Debug, Default)]
pub(super) struct Ids(Vec<Id>);

#[derive(Debug)]
struct Id {
    /// As JSON.
    old: String,
    is_call: bool,
}

impl Ids {
    /// Those of a sample: that of the call that it belongs to, and those of the functions that it calls.
    pub(super) fn of(sample: &str) -> Self {
        let body: Value = serde_json::from_str(sample).unwrap_or_default();
        let calls = CALLS.iter().flat_map(|(list, id)| {
            let calls = body.pointer(list).and_then(Value::as_array).into_iter().flatten();
            calls.filter_map(|call| call.pointer(id))
        });
        let all = body.pointer("/message/call/id").map(|id| (id, true)).into_iter();
        let mut ids: Vec<Id> = Vec::new();
        for (id, is_call) in all.chain(calls.map(|id| (id, false))) {
            let old = id.to_string();
            // Shorter ones could be something else elsewhere.
            let is_id = id.as_str().is_some_and(|id| id.len() >= 8);
            if is_id && !ids.iter().any(|known| known.old == old) {
                ids.push(Id { old, is_call });
            }
        }
        Self(ids)
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body with others in their places.
    pub(super) fn renew(&self, body: &[u8]) -> Vec<u8> {
        self.0.iter().fold(body.to_vec(), |body, id| {
            let new = Uuid::new_v4();
            let new = match id.is_call {
                true => format!("\"{new}\""),
                false => format!("\"call_{}\"", &new.simple().to_string()[..24]),
            };
            replace(&body, id.old.as_bytes(), new.as_bytes())
        })
    }
}

fn replace(body: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(body.len() + new.len());
    let mut rest = 0;
    for at in memmem::find_iter(body, old) {
        replaced.extend_from_slice(&body[rest..at]);
        replaced.extend_from_slice(new);
        rest = at + old.len();
    }
    replaced.extend_from_slice(&body[rest..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_renewed_everywhere_and_nothing_else_is() {
        let body = r#"{"message": {"call": {"id": "call-0001"}, "toolCallList": [{"id": "t-000001"}, {"id": "t-000002"}],
            "toolWithToolCallList": [{"toolCall": {"id": "t-000001"}}], "text": "call-0001 of t-000001", "t-000001x": "t"}}"#;
        let ids = Ids::of(body);
        let first = String::from_utf8_lossy(&ids.renew(body.as_bytes())).into_owned();
        let value: Value = serde_json::from_str(&first).unwrap_or_default();
        let at = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let tool = at("/message/toolCallList/0/id");
        assert!(tool.starts_with("call_") && tool.len() == 29, "{first}");
        assert_eq!(tool, at("/message/toolWithToolCallList/0/toolCall/id"));
        assert_ne!(tool, at("/message/toolCallList/1/id"));
        assert_eq!(at("/message/call/id").len(), 36);
        assert_eq!(at("/message/text"), "call-0001 of t-000001");
        assert!(first.contains(r#""t-000001x": "t"}}"#), "{first}");
        assert_ne!(first.as_bytes(), ids.renew(body.as_bytes()));
    }

    #[test]
    fn what_has_no_ids_stays_as_it_is() {
        for body in
            [r#"{"message":{"call":{"id":7},"toolCallList":[{"id":"short"}, 1]}}"#, "a=b", ""]
        {
            assert!(Ids::of(body).is_empty(), "{body}");
        }
    }
}
