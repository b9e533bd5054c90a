//! Changes to members of a body, as the command line says them.

use std::str::FromStr;

use serde_json::value::RawValue;

use crate::json::edit::{has, set, text_or_json};

/// Where webhooks say the name of the function that they call first.
pub(super) const FUNCTION_NAMES: &[&str] = &[
    "message.functionCall.name",
    "message.toolCallList.0.function.name",
    "message.toolCallList.0.name",
    "message.toolCalls.0.function.name",
    "message.toolWithToolCallList.0.function.name",
    "message.toolWithToolCallList.0.name",
    "message.toolWithToolCallList.0.toolCall.function.name",
    "message.toolWithToolCallList.0.toolCall.name",
];

/// Where they say its arguments.
pub(super) const FUNCTION_ARGUMENTS: &[&str] = &[
    "message.functionCall.parameters",
    "message.toolCallList.0.function.arguments",
    "message.toolCallList.0.function.parameters",
    "message.toolCallList.0.arguments",
    "message.toolCallList.0.parameters",
    "message.toolCalls.0.function.arguments",
    "message.toolWithToolCallList.0.toolCall.function.arguments",
    "message.toolWithToolCallList.0.toolCall.function.parameters",
    "message.toolWithToolCallList.0.toolCall.arguments",
    "message.toolWithToolCallList.0.toolCall.parameters",
];

/// What `{n}` stands for in a value.
const NUMBER: &str = "{n}";

/// One change: a path and the value that goes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    path: Vec<String>,
    value: String,
}

impl Edit {
    /// A change at each of these paths that the text has.
    pub(super) fn wherever(text: &str, paths: &[&str], value: &str) -> Vec<Self> {
        let edits = paths.iter().map(|path| Self { path: steps(path), value: value.to_owned() });
        edits.filter(|edit| has(text, &edit.path)).collect()
    }

    /// Whether the value is another one for every request.
    pub(super) fn is_numbered(&self) -> bool {
        self.value.contains(NUMBER)
    }

    /// The value as JSON text: itself if it is JSON, else as a string.
    fn json(&self, number: u64) -> String {
        text_or_json(&self.value.replace(NUMBER, &number.to_string()))
    }
}

impl FromStr for Edit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((path, value)) if path.split('.').all(|step| !step.is_empty()) => {
                Ok(Self { path: steps(path), value: value.to_owned() })
            }
            _ => Err("write it as path=value, such as message.call.id=call-1".to_owned()),
        }
    }
}

fn steps(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

/// The text with all changes made, one after the other.
pub(super) fn apply(text: &str, edits: &[Edit], number: u64) -> Result<String, String> {
    edits.iter().try_fold(text.to_owned(), |text, edit| {
        set(&text, &edit.path, &edit.json(number))
            .map_err(|problem| format!("{}: {problem}", edit.path.join(".")))
    })
}

/// JSON with line breaks and indentation, values as they are; anything else unchanged.
pub(super) fn indent(text: &str) -> String {
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        if quoted {
            out.push(char);
            quoted = escaped || char != '"';
            escaped = !escaped && char == '\\';
            continue;
        }
        match char {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                out.push(char);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                quoted = char == '"';
                out.push(char);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    // Deep nesting from outside must not become megabytes of spaces.
    out.extend(std::iter::repeat_n("  ", depth.min(40)));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn changed(text: &str, changes: &[&str]) -> Result<String, String> {
        let edits: Vec<Edit> = changes.iter().map(|change| change.parse().unwrap()).collect();
        apply(text, &edits, 7)
    }

    #[test]
    fn a_value_is_json_if_it_reads_as_json() {
        for (value, json) in [
            ("call-1", r#""call-1""#),
            ("7", "7"),
            ("\"7\"", r#""7""#),
            ("null", "null"),
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("{not json", r#""{not json""#),
            ("", r#""""#),
            ("a=b", r#""a=b""#),
            ("n{n}", r#""n7""#),
            ("{n}", "7"),
        ] {
            let text = changed(r#"{"a":0}"#, &[&format!("a={value}")]).unwrap();
            assert_eq!(text, format!(r#"{{"a":{json}}}"#));
        }
    }

    #[test]
    fn everything_else_stays_as_it_was() {
        let text = r#"{"z": 12345678901234567890123, "a": {"k": 1.50, "b": [1, {"c": "\u0041"}]}, "y": "\ud800"}"#;
        assert_eq!(
            changed(text, &["a.b.1.c=x"]).unwrap(),
            r#"{"z":12345678901234567890123,"a":{"k":1.50,"b":[1,{"c":"x"}]},"y":"\ud800"}"#
        );
    }

    #[test]
    fn missing_objects_are_made_and_lists_grow_by_one() {
        assert_eq!(changed("{}", &["a.b.c=1"]).unwrap(), r#"{"a":{"b":{"c":1}}}"#);
        assert_eq!(changed(r#"{"a":null}"#, &["a.b=1"]).unwrap(), r#"{"a":{"b":1}}"#);
        assert_eq!(
            changed(r#"{"a":[1]}"#, &["a.1=2", "a.2.b=3"]).unwrap(),
            r#"{"a":[1,2,{"b":3}]}"#
        );
    }

    #[test]
    fn of_repeated_keys_the_last_changes() {
        assert_eq!(changed(r#"{"a":1,"a":2}"#, &["a=3"]).unwrap(), r#"{"a":1,"a":3}"#);
    }

    #[test]
    fn what_cannot_be_changed_is_said() {
        for (text, change, problem) in [
            (r#"{"a":[1]}"#, "a.5=1", "a.5: `5` is no position in a list of 1"),
            (r#"{"a":[1]}"#, "a.x=1", "a.x: `x` is no position in a list of 1"),
            (r#"{"a":"text"}"#, "a.b=1", "a.b: `b` would be inside of something that is no object"),
        ] {
            assert_eq!(changed(text, &[change]).unwrap_err(), problem);
        }
        assert!(changed("{", &["a=1"]).unwrap_err().contains("not JSON"));
        assert!("a..b=1".parse::<Edit>().is_err());
        assert!("=1".parse::<Edit>().is_err());
    }

    #[test]
    fn indentation_leaves_strings_alone() {
        assert_eq!(
            indent(r#"{"a":[1,{"b":"x, {\"y\": [1]}"}],"c":{ },"d":[]}"#),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x, {\\\"y\\\": [1]}\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}"
        );
        assert_eq!(indent("not json"), "not json");
        assert_eq!(indent("7"), "7");
    }
}
