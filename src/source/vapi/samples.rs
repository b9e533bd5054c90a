//! Webhooks as Vapi posts them, one or more of every type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::provider::Method;
use crate::source::Sample;

macro_rules! sample {
    ($name:literal, $about:literal) => {
        Sample {
            name: Cow::Borrowed($name),
            about: Cow::Borrowed($about),
            method: Method::Post,
            query: Cow::Borrowed(""),
            content_type: Cow::Borrowed("application/json"),
            headers: BTreeMap::new(),
            body: Cow::Borrowed(include_str!(concat!("samples/", $name, ".json"))),
        }
    };
}

/// All samples, questions first.
pub static ALL: &[Sample] = &[
    sample!("assistant-request", "question: which assistant takes this inbound call"),
    sample!("tool-calls", "question: one tool call, lookup_appointment"),
    sample!("tool-calls--string-arguments", "the same, its arguments as JSON in a string"),
    sample!("tool-calls--parallel3", "three tool calls in one webhook"),
    sample!("tool-calls--async", "a tool call whose caller doesn't wait: a job"),
    sample!("tool-calls--mixed-async", "one call that is waited for and one that is not"),
    sample!("tool-calls--chat", "a tool call of a text chat: chat.id is the key"),
    sample!("tool-calls--flat-parameters", "a call written as id, name, parameters"),
    sample!("tool-calls--flat-arguments", "a call written as id, name, arguments"),
    sample!("tool-calls--wire-2024", "a tool call as it was sent in 2024"),
    sample!("function-call", "question: the legacy form of a tool call, without an id"),
    sample!("function-call--string-parameters", "the same, its parameters as JSON in a string"),
    sample!("transfer-destination-request", "question: where to transfer this call"),
    sample!("handoff-destination-request", "question: which assistant takes over"),
    sample!("knowledge-base-request", "question: documents for the next turn"),
    sample!(
        "knowledge-base-request--openai-messages",
        "the same, with messages as role and content"
    ),
    sample!("voice-request", "question: audio for a text, answered with PCM"),
    sample!("call.endpointing.request", "question: how long to wait before speaking"),
    sample!("campaign.predial", "question: whether this contact may be called"),
    sample!("assistant.started", "event: an assistant starts"),
    sample!("assistant.speechStarted", "event: audio plays"),
    sample!("assistant.speechStarted--text-only", "the same, without timing"),
    sample!("assistant.speechStarted--word-progress", "the same, with the words so far"),
    sample!("conversation-update", "event: the history has changed"),
    sample!("end-of-call-report", "event: the report after a call"),
    sample!("hang", "event: the assistant is slow"),
    sample!("language-change-detected", "event: the transcriber switched its language"),
    sample!("language-changed", "event: the same under its other name"),
    sample!("model-output--token", "event: one token of the model"),
    sample!("model-output", "event: the model calls a tool"),
    sample!("phone-call-control", "event: carry out a transfer"),
    sample!("phone-call-control--hang-up", "event: carry out a hang-up"),
    sample!("speech-update", "event: someone starts to speak"),
    sample!("speech-update--user-stopped", "event: the caller stops speaking"),
    sample!("status-update", "event: the call changes its status"),
    sample!("status-update--backoff-plan", "the same, with a backoff plan in the assistant"),
    sample!("status-update--forwarding", "the call is forwarded"),
    sample!("status-update--ended", "the call has ended"),
    sample!(
        "status-update--ended-assistant-request-failed",
        "the call ended because nobody named an assistant"
    ),
    sample!("transcript", "event: what was said, so far"),
    sample!("transcript--final", "event: what was said, complete"),
    sample!(
        "transcript--final-typed",
        "the same, with transcript[transcriptType=\"final\"] as its type"
    ),
    sample!("transfer-update", "event: the call was transferred"),
    sample!("transfer-update--assistant", "event: the call went to another assistant"),
    sample!("user-interrupted", "event: the caller interrupts"),
    sample!("voice-input", "event: text handed to the voice"),
    sample!(
        "tool.completed",
        "event: a type that servers should not get; treated like an unknown one"
    ),
    sample!("chat.created", "event: a chat was created"),
    sample!("chat.deleted", "event: a chat was deleted"),
    sample!("session.created", "event: a session was created"),
    sample!("session.updated", "event: a session was changed"),
    sample!("session.deleted", "event: a session was deleted"),
    sample!(
        "simulation.run.started",
        "event: a simulated call has begun; without `message`, as the next one"
    ),
    sample!("simulation.run.ended", "event: a simulated call has ended"),
    sample!("call.deleted", "event: a call was deleted"),
    sample!("call.delete.failed", "event: a call could not be deleted"),
    sample!("call.artifact.upload", "event: recordings were uploaded to your storage"),
];

/// A webhook that calls one function.
pub fn function_call(id: &str, function: &str, arguments: &Value, context: usize) -> Bytes {
    let body = json!({
        "message": {
            "type": super::TOOL_CALLS,
            "call": { "id": format!("conform-{id}"), "filling": "x".repeat(context) },
            "toolCallList": [{
                "id": format!("call_{id}"),
                "type": "function",
                "function": { "name": function, "arguments": arguments },
            }],
        },
    });
    body.to_string().into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// What a Vapi server URL may get, and one name that it should not.
    const TYPES: &[&str] = &[
        "assistant-request",
        "tool-calls",
        "function-call",
        "transfer-destination-request",
        "handoff-destination-request",
        "knowledge-base-request",
        "voice-request",
        "call.endpointing.request",
        "campaign.predial",
        "status-update",
        "end-of-call-report",
        "conversation-update",
        "speech-update",
        "transcript",
        "transcript[transcriptType=\"final\"]",
        "model-output",
        "voice-input",
        "assistant.speechStarted",
        "user-interrupted",
        "hang",
        "transfer-update",
        "language-change-detected",
        "phone-call-control",
        "assistant.started",
        "chat.created",
        "chat.deleted",
        "session.created",
        "session.updated",
        "session.deleted",
        "call.deleted",
        "call.delete.failed",
        "call.artifact.upload",
        "language-changed",
        "tool.completed",
        "simulation.run.started",
        "simulation.run.ended",
    ];

    fn kind(sample: &Sample) -> String {
        let body: serde_json::Value = serde_json::from_str(&sample.body).unwrap();
        body["message"]["type"].as_str().or(body["type"].as_str()).unwrap().to_owned()
    }

    #[test]
    fn there_is_one_of_every_type() {
        let kinds: BTreeSet<String> = ALL.iter().map(kind).collect();
        let expected: BTreeSet<String> = TYPES.iter().map(|kind| (*kind).to_owned()).collect();
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_plain_name_is_the_type() {
        for sample in ALL {
            let base = sample.name.split("--").next().unwrap();
            let kind = kind(sample);
            assert_eq!(base, kind.split('[').next().unwrap(), "{}", sample.name);
            assert!(ALL.iter().any(|sample| sample.name == base), "{base}");
        }
    }

    #[test]
    fn every_file_is_built_in_except_the_large_ones() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/vapi/samples");
        let files: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
            .filter(|name| name != "index" && !name.ends_with("--large"))
            .collect();
        let names: BTreeSet<String> = ALL.iter().map(|sample| sample.name.to_string()).collect();
        assert_eq!(files, names);
    }
}
