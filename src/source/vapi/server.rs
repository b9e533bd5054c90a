//! How long the sender waits, as far as a webhook says it: `timeoutSeconds` of the server that it was sent to.
//!
//! Exactly one server gets a webhook, the first that is set of the tool's, the assistant's, the phone number's and the
//! organisation's; some types have one of their own (docs: server-url/setting-server-urls; OpenAPI: Server,
//! CustomVoice, CustomEndpointingModelSmartEndpointingPlan). That of the organisation is in no webhook.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;

use crate::json::{self, Kind, Reader};

/// What is left of a limit for the way there and back.
const TRAVEL: Duration = Duration::from_secs(2);

/// The members of the message that servers stand in.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Holders<'a> {
    pub(super) assistant: Option<&'a str>,
    pub(super) call: Option<&'a str>,
    pub(super) phone_number: Option<&'a str>,
}

/// Where a server stands: in one of the members, at this path.
type ServerPath = (Holder, &'static [&'static str]);

#[derive(Clone, Copy)]
enum Holder {
    Assistant,
    Call,
    PhoneNumber,
}

/// In this order.
const ORDER: [ServerPath; 4] = [
    (Holder::Assistant, &["server"]),
    (Holder::Call, &["assistant", "server"]),
    (Holder::PhoneNumber, &["server"]),
    (Holder::Call, &["phoneNumber", "server"]),
];

/// Then that of the assistant; the phone number's is not asked.
const ENDPOINTING: [ServerPath; 4] = [
    (Holder::Assistant, &["startSpeakingPlan", "smartEndpointingPlan", "server"]),
    (Holder::Call, &["assistant", "startSpeakingPlan", "smartEndpointingPlan", "server"]),
    (Holder::Assistant, &["server"]),
    (Holder::Call, &["assistant", "server"]),
];

/// No other one can speak.
const VOICE: [ServerPath; 2] =
    [(Holder::Assistant, &["voice", "server"]), (Holder::Call, &["assistant", "voice", "server"])];

/// The limit of a question of this type, less the time for the way; nothing where the webhook says none, or the platform
/// has one of its own: 7.5 s for `assistant-request`, 10 s for `knowledge-base-request`.
pub(super) fn limit(kind: &str, holders: Holders<'_>) -> Option<Duration> {
    let places: &[ServerPath] = match kind {
        super::TOOL_CALLS
        | "function-call"
        | "transfer-destination-request"
        | "handoff-destination-request" => &ORDER,
        "call.endpointing.request" => &ENDPOINTING,
        "voice-request" => &VOICE,
        _ => return None,
    };
    let Holders { assistant, call, phone_number } = holders;
    if ![assistant, call, phone_number].into_iter().flatten().any(may_name_a_limit) {
        return None;
    }
    places.iter().find_map(|(holder, path)| {
        let value = match holder {
            Holder::Assistant => assistant,
            Holder::Call => call,
            Holder::PhoneNumber => phone_number,
        };
        let server = path.iter().try_fold(value?, |value, name| inner(value, name))?;
        of_server(&mut Reader::over(server)).ok()?
    })
}

/// Whether a value may hold a limit anywhere: few webhooks do, and to look for the name costs much less than to read the
/// whole of an assistant. Written with an escape it is any name.
fn may_name_a_limit(value: &str) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("timeoutSeconds"));
    static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u"));
    NAME.find(value.as_bytes()).is_some() || ESCAPE.find(value.as_bytes()).is_some()
}

/// `timeoutSeconds` of a server object, less the time for the way.
pub(super) fn of_server(reader: &mut Reader<'_>) -> Result<Option<Duration>, json::Error> {
    let mut limit = None;
    if reader.peek()? == Kind::Object {
        reader.object(|reader, key| {
            if key == "timeoutSeconds" {
                limit = reader
                    .skip()?
                    .parse::<f64>()
                    .ok()
                    .filter(|seconds| *seconds > 0.0)
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    // Less than that would leave nothing at all of a short one.
                    .map(|whole| whole.saturating_sub(TRAVEL).max(whole / 4));
            }
            Ok(())
        })?;
    }
    Ok(limit)
}

/// A member of an object; of several with this name the last.
fn inner<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    let mut reader = Reader::over(value);
    if reader.peek() != Ok(Kind::Object) {
        return None;
    }
    let read = reader.object(|reader, key| {
        if key == *name {
            found = Some(reader.skip()?);
        }
        Ok(())
    });
    read.ok().and(found)
}

#[cfg(test)]
mod tests;
