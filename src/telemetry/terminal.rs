//! Text from outside on its way to a terminal: it may change nothing there but its own place.

use std::fmt::Write as _;

/// What a terminal obeys or is confused by: control characters (also those of 8 bits, which some take for the begin of
/// a sequence), what ends a line in Unicode, and what turns the direction of writing around.
fn is_harmful(character: char) -> bool {
    let confuses = matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || confuses
}

/// A part of a line.
pub fn line(text: &str) -> String {
    text.replace(is_harmful, "\u{fffd}")
}

/// Lines, whose breaks and tabs are meant.
pub fn lines(text: &str) -> String {
    text.replace(|character| is_harmful(character) && !matches!(character, '\n' | '\t'), "\u{fffd}")
}

/// JSON, whose strings may hold some of them as they are: the same value without them. Line breaks stand between values
/// only.
pub fn json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_harmful(character) && character != '\n' {
            // All of them have four digits; writing to a String can't fail.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_harmful_is_left() {
        let odd = "a\u{1b}[2J\u{9b}31m\u{7f}\r\n\tb\u{202e}c\u{2028}d é 日";
        assert_eq!(
            line(odd),
            "a\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}d é 日"
        );
        assert_eq!(
            lines(odd),
            "a\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}\n\tb\u{fffd}c\u{fffd}d é 日"
        );
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({"a": ["\u{9b}\u{7f}\u{202e}", "é\n"]});
        let text = json(&value.to_string());
        assert_eq!(text, r#"{"a":["\u009b\u007f\u202e","é\n"]}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }
}
