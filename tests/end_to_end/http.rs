//! The public listener as a sender meets it: statuses, limits, the time limits of connections, start and stop.

mod encodings;
mod descriptors;
mod flood;
mod frames;
mod half_closed;
mod health;
pub(crate) mod held;
mod idle;
mod late;
mod lifetime;
mod limits;
mod restart;
mod order;
mod smuggling;
mod statuses;
mod stop;
mod strangers;
mod stray;
mod streams;
mod timing;
mod unread;
pub(crate) mod wire;

/// An endpoint at `/{name}` that lets everybody in.
pub(crate) fn open(name: &str) -> String {
    crate::support::endpoint(name).to_string()
}

/// An event of this call.
pub(crate) fn event(call: &str) -> String {
    format!(r#"{{"message":{{"type":"status-update","status":"ended","call":{{"id":"{call}"}}}}}}"#)
}

/// A question of this type.
pub(crate) fn question(kind: &str) -> String {
    format!(r#"{{"message":{{"type":"{kind}","call":{{"id":"call-1"}}}}}}"#)
}

/// A call of each of these functions, with the ids `call_1`, `call_2`, …
pub(crate) fn tool_calls(functions: &[&str]) -> String {
    let calls: Vec<_> = (1..)
        .zip(functions)
        .map(|(number, function)| {
            serde_json::json!({
                "id": format!("call_{number}"),
                "type": "function",
                "function": {"name": function, "arguments": {}},
            })
        })
        .collect();
    serde_json::json!({"message": {"type": "tool-calls", "call": {"id": "call-1"}, "toolCallList": calls}})
        .to_string()
}
