//! Webhooks of a wanted size, in the proportions of recorded ones: most of a large body is the conversation.

use std::ops::Range;

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
