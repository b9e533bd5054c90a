//! Webhooks of a wanted size, in the proportions of recorded ones: most of a large body is the conversation.

use std::ops::Range;

use hookbus::json::compact;
use serde_json::Value;

/// The sizes that are measured, in bytes.
pub(crate) const SIZES: [usize; 3] = [300, 3_000, 80_000];

/// One body, in which the id of the call can be changed in place.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    key: Range<usize>,
}

/// What people say: with the escapes and the letters beyond ASCII that a transcript holds.
const TURNS: [(&str, &str); 4] = [
    ("bot", r"Hello, this is the front desk of Example Dental. How can I help you today?"),
    ("user", r#"Hi, I'd like to move my appointment, please. It's \"the one on Thursday\"."#),
    (
        "bot",
        r"Of course, I'm glad to help with that. Could you tell me your name and your date of birth?\nTake your time.",
    ),
    ("user", "Sure: it's Zoë Müller, and I was born on the fourth of May, nineteen eighty-seven."),
];

impl Body {
    /// An event of `size` bytes: a `status-update` or another type that has the same members.
    pub(crate) fn event(kind: &str, size: usize) -> Self {
        Self::new(
            &format!(r#""timestamp":1700000000000,"type":"{kind}","status":"in-progress""#),
            size,
        )
    }

    /// A question of `size` bytes: `tool-calls` with one call of `get_weather`.
    pub(crate) fn question(size: usize) -> Self {
        let call = r#"{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":{"city":"Oslo"}}}"#;
        Self::new(&format!(r#""type":"tool-calls","toolCallList":[{call}]"#), size)
    }

    /// Members of the message, then as much conversation as it takes, then the call.
    fn new(members: &str, size: usize) -> Self {
        const KEY: &str = "00000000-0000-4000-8000-000000000000";
        const CALL: &str = r#","type":"inboundPhoneCall","status":"in-progress","createdAt":"2026-01-01T00:00:00.000Z""#;
        let start = format!(r#"{{"message":{{{members}"#);
        let mut end = String::from(r#","call":{"id":""#);
        let key = end.len();
        end.push_str(KEY);
        end.push('"');
        if size >= 1_000 {
            end.push_str(CALL);
        }
        end.push_str("}}}");

        let mut text = start;
        let mut conversation = String::new();
        let mut seconds = 0.0;
        for (role, words) in TURNS.iter().cycle() {
            seconds += 4.27;
            let turn = format!(
                r#"{{"role":"{role}","time":{:.0},"message":"{words}","secondsFromStart":{seconds:.2}}}"#,
                1_700_000_000_000.0 + seconds * 1_000.0,
            );
            let frame = r#","artifact":{"messages":[]},"pad":"""#.len();
            if text.len() + conversation.len() + frame + 1 + turn.len() + end.len() > size {
                break;
            }
            if !conversation.is_empty() {
                conversation.push(',');
            }
            conversation.push_str(&turn);
        }
        if !conversation.is_empty() {
            text.push_str(&format!(r#","artifact":{{"messages":[{conversation}]}}"#));
        }
        let missing = size.saturating_sub(text.len() + end.len() + r#","pad":"""#.len());
        text.push_str(&format!(r#","pad":"{}""#, "x".repeat(missing)));
        let key = text.len() + key;
        text.push_str(&end);
        Self { bytes: text.into(), key: key..key + KEY.len() }
    }

    /// A recorded webhook of this type, as it is sent: without white space.
    fn recorded(kind: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/vapi/samples");
        let text = std::fs::read_to_string(format!("{folder}/{kind}.json")).expect("the sample");
        Self::of_text(compact(&text))
    }

    fn of_text(text: String) -> Self {
        const CALL: &str = r#""call":{"id":""#;
        const LENGTH: usize = "00000000-0000-4000-8000-000000000000".len();
        let key = text.find(CALL).expect("the call") + CALL.len();
        Self { bytes: text.into(), key: key..key + LENGTH }
    }

    /// The report at the end of a call, which had as many messages as to make it this large: small values, for the most part.
    fn report(size: usize) -> Self {
        let mut text = String::from_utf8(Self::recorded("end-of-call-report").bytes).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let missing = size.saturating_sub(text.len());
        // Both lists of what was said grow with the call.
        for list in ["messages", "messagesOpenAIFormatted"] {
            let turns = report["message"]["artifact"][list].to_string();
            let turns = format!("{},", turns.trim_matches(['[', ']']));
            let start = format!(r#""{list}":["#);
            let more = turns.repeat(missing / 2 / turns.len());
            text = text.replacen(&start, &format!("{start}{more}"), 1);
        }
        Self::of_text(text)
    }

    /// What a call sends, in its order: 40 transcripts, 30 speech updates, 12 conversation updates, 6 tool calls, and the
    /// report.
    pub(crate) fn call() -> Vec<Self> {
        const REPORT: usize = 60_000;
        let kinds = [
            ("transcript", 40),
            ("speech-update", 30),
            ("conversation-update", 12),
            ("tool-calls", 6),
        ];
        let all: usize = kinds.iter().map(|(_, count)| count).sum();
        let mut call = Vec::new();
        for (kind, count) in kinds {
            let body = Self::recorded(kind);
            // Evenly over the call.
            call.extend((0..count).map(|number| (number * all / count, body.clone())));
        }
        call.sort_by_key(|(at, _)| *at);
        call.into_iter().map(|(_, body)| body).chain([Self::report(REPORT)]).collect()
    }

    /// Where the key is.
    pub(crate) fn key(&self) -> Range<usize> {
        self.key.clone()
    }
}

/// Write a number into the last digits of a key.
pub(crate) fn set_key(key: &mut [u8], mut number: usize) {
    for digit in key.iter_mut().rev().take(8) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
