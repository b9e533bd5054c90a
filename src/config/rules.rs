//! The rules of an endpoint: where events go, how questions and tool calls are asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::Time;

/// `[[endpoint.event]]`: where events of some types go.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// Types, exact or with `*` as a wildcard.
    #[schemars(example = ["end-of-call-report"])]
    pub types: Vec<String>,
    /// Destinations that all must store the event; an empty list drops it on purpose.
    #[schemars(example = ["nats:{endpoint}.events.{type}"])]
    pub to: Vec<String>,
}

/// `[[endpoint.question]]`: how questions of some types are asked. The first rule whose types match decides.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionRule {
    /// Types, exact or with `*` as a wildcard.
    #[schemars(example = ["assistant-request"])]
    pub types: Vec<String>,
    /// Subject that workers listen on.
    #[serde(default = "ask_subject")]
    pub subject: String,
    /// Time from the request head to the answer; unset: 6 s for assistant-request, 8 s for
    /// knowledge-base-request, 3 s for call.endpointing.request, 18 s for all others. Where the webhook says how long
    /// its sender waits, by `server.timeoutSeconds`, and the sender keeps to that, the answer comes 2 s before.
    #[serde(default)]
    pub timeout: Option<Time>,
    /// When no worker is there: ask again every 250 ms for so long (rolling restarts).
    #[serde(default)]
    pub no_responders_grace: Time,
    /// How long a streamed answer may pause between two parts; then the response breaks.
    #[serde(default = "chunk_timeout")]
    pub chunk_timeout: Time,
    /// Answer when no worker gives one; any value that the sender understands.
    #[serde(default)]
    pub fallback: Option<serde_json::Value>,
    /// Destinations that store the webhook as an event too, beside the answer and never in its way.
    #[serde(default)]
    pub copy_to: Vec<String>,
}

/// `[[endpoint.tool]]`: how tool calls of some functions are asked. The first rule whose names match decides.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolRule {
    /// Functions, exact or with `*` as a wildcard.
    #[schemars(example = ["get_weather"])]
    pub names: Vec<String>,
    /// Subject that workers listen on.
    #[serde(default = "tool_subject")]
    pub subject: String,
    /// Time from the request head to the answer; unset: 18 s. Where the webhook says how long its sender waits, by
    /// `server.timeoutSeconds` of the tool, the assistant or the phone number, the answer comes 2 s before that.
    #[serde(default)]
    pub timeout: Option<Time>,
    /// When no worker is there: ask again every 250 ms for so long (rolling restarts).
    #[serde(default)]
    pub no_responders_grace: Time,
    /// Result when no worker gives one; text, or any value, which becomes text.
    #[serde(default)]
    pub fallback: Option<serde_json::Value>,
    /// Members of the message that are handed on beside the arguments.
    #[serde(default)]
    pub context: Context,
    /// Destinations that store the webhook as an event too, beside the answer and never in its way.
    #[serde(default)]
    pub copy_to: Vec<String>,
}

/// Which members of the message a tool worker gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Context {
    /// These members.
    Members(Vec<String>),
    /// `"all"`: every member of the message.
    All(All),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// Every member.
    All,
}

impl Default for Context {
    fn default() -> Self {
        let members = ["call", "chat", "customer", "phoneNumber"];
        Self::Members(members.map(str::to_owned).to_vec())
    }
}

/// Where JetStream stores the events of an endpoint unless a rule says otherwise.
pub const EVENT_SUBJECT: &str = "nats:{endpoint}.events.{type}";

/// Where the events of an endpoint go unless a rule says otherwise, without `[nats]`.
pub const EVENT_TOPIC: &str = "kafka:{endpoint}.events";

/// Where JetStream stores the jobs of an endpoint: tool calls that nobody waits for.
pub const JOB_SUBJECT: &str = "nats:{endpoint}.jobs.{function}";

/// Where the jobs of an endpoint go without `[nats]`.
pub const JOB_TOPIC: &str = "kafka:{endpoint}.jobs";

/// Where questions of an endpoint go unless a rule says otherwise.
pub const ASK_SUBJECT: &str = "{endpoint}.ask.{type}";

/// Where tool calls of an endpoint go unless a rule says otherwise.
pub const TOOL_SUBJECT: &str = "{endpoint}.tool.{function}";

/// How long a streamed answer may pause unless a rule says otherwise.
pub const CHUNK_TIMEOUT: Time = Time::seconds(5);

fn ask_subject() -> String {
    ASK_SUBJECT.to_owned()
}

fn tool_subject() -> String {
    TOOL_SUBJECT.to_owned()
}

fn chunk_timeout() -> Time {
    CHUNK_TIMEOUT
}
