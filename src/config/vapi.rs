//! What the configuration has to know about Vapi: which types ask, which tell, and how long it waits.

use super::units::Time;

/// Types whose sender waits for an answer, except those that call tools.
pub const QUESTIONS: [&str; 7] = [
    "assistant-request",
    "transfer-destination-request",
    "handoff-destination-request",
    "knowledge-base-request",
    "voice-request",
    "call.endpointing.request",
    "campaign.predial",
];

/// Types that call tools; each call is a question of its own, by `[[endpoint.tool]]`.
pub const TOOL_CALLS: [&str; 2] = ["tool-calls", "function-call"];

/// Types whose sender only tells.
pub const EVENTS: [&str; 29] = [
    "assistant.speechStarted",
    "assistant.started",
    "call.artifact.upload",
    "call.delete.failed",
    "call.deleted",
    "chat.created",
    "chat.deleted",
    "conversation-update",
    "end-of-call-report",
    "hang",
    "language-change-detected",
    "language-changed",
    "model-output",
    "phone-call-control",
    "session.created",
    "session.deleted",
    "session.updated",
    "simulation.run.ended",
    "simulation.run.started",
    "speech-update",
    "status-update",
    "tool.completed",
    "transcript",
    "transcript[transcriptType=\"final\"]",
    "transfer-update",
    "user-interrupted",
    "voice-input",
    "workflow.node.started",
    "metadata",
];

/// How long a question of this type may take when no rule says otherwise.
pub fn default_timeout(kind: &str) -> Time {
    Time::seconds(match kind {
        "assistant-request" => 6,
        "knowledge-base-request" => 8,
        "call.endpointing.request" => 3,
        _ => 18,
    })
}
