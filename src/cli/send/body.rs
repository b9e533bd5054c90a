//! What is posted: a sample, a file or standard input, as it is or with changes.

use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;

use super::Arguments;
use super::edit::{self, Edit};
use super::ids::Ids;
use crate::cli::Failure;
use crate::source::{self, Sample};

/// The body to post: bytes as they are, or what the edits and new ids make of them.
pub(super) struct Body {
    original: Bytes,
    edits: Vec<Edit>,
    numbered: bool,
    ids: Ids,
}

impl Body {
    /// The body of the request with this number.
    pub(super) fn render(&self, number: u64) -> Result<Bytes, Failure> {
        let body = self.edited(number)?;
        Ok(if self.ids.is_empty() { body } else { self.ids.renew(&body).into() })
    }

    fn edited(&self, number: u64) -> Result<Bytes, Failure> {
        if self.edits.is_empty() {
            return Ok(self.original.clone());
        }
        let text = std::str::from_utf8(&self.original)
            .map_err(|_| Failure::wrong("can't change the body: it is not UTF-8"))?;
        edit::apply(text, &self.edits, number)
            .map(Bytes::from)
            .map_err(|problem| Failure::wrong(format_args!("can't change the body: {problem}")))
    }
}

pub(super) fn body(arguments: &Arguments, provider: &str) -> Result<Body, Failure> {
    let what = arguments.what.as_deref().unwrap_or_default();
    let original = read(what, provider)?;
    // What is the user's own is sent as it is.
    let renewed = sample(what, provider).filter(|_| !arguments.keep_ids);
    let ids = renewed.map(|sample| Ids::of(&sample.body)).unwrap_or_default();
    let mut edits = Vec::new();
    if arguments.function.is_some() || arguments.arguments.is_some() {
        edits = call_edits(&original, arguments)?;
    }
    edits.extend(arguments.edits.iter().cloned());
    let mut body = Body { original, numbered: edits.iter().any(Edit::is_numbered), edits, ids };
    // Every mistake shows here, before anything is sent.
    let first = body.edited(1)?;
    if !body.numbered {
        body.original = first;
        body.edits.clear();
    }
    Ok(body)
}

/// The sample of this name.
pub(super) fn sample(what: &str, provider: &str) -> Option<&'static Sample> {
    source::samples(provider).iter().find(|sample| sample.name == what)
}

fn read(what: &str, provider: &str) -> Result<Bytes, Failure> {
    if let Some(sample) = sample(what, provider) {
        return Ok(Bytes::from_static(sample.body.as_bytes()));
    }
    if what == "-" {
        let mut bytes = Vec::new();
        return match io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => Ok(Bytes::from(bytes)),
            Err(error) => Err(Failure::failed(format_args!("can't read standard input: {error}"))),
        };
    }
    let path = Path::new(what);
    if !path.exists() {
        return Err(unknown(what, provider));
    }
    std::fs::read(path)
        .map(Bytes::from)
        .map_err(|error| Failure::failed(format_args!("can't read {what}: {error}")))
}

fn unknown(what: &str, provider: &str) -> Failure {
    let failure = Failure::wrong(format_args!("there is no sample and no file `{what}`"));
    let likeness = |name: &str| strsim::jaro_winkler(what, name);
    let nearest = source::samples(provider)
        .iter()
        .map(|sample| &*sample.name)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(name) if likeness(name) > 0.8 => failure
            .hint(format_args!("did you mean `{name}`? `hookbus send --list` shows all samples")),
        _ => match source::names().into_iter().find(|other| sample(what, other).is_some()) {
            Some(other) => failure.hint(format_args!("{other} has one: add `--provider {other}`")),
            None => failure.hint("`hookbus send --list` shows all samples"),
        },
    }
}

/// The edits that `--function` and `--arguments` stand for: wherever the webhook says them.
fn call_edits(body: &[u8], arguments: &Arguments) -> Result<Vec<Edit>, Failure> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Failure::wrong("can't change the body: it is not UTF-8"))?;
    let mut edits = Vec::new();
    if let Some(function) = &arguments.function {
        // Also of a function that is called `true` or `1`.
        let value = serde_json::Value::from(function.as_str()).to_string();
        edits.extend(Edit::wherever(text, edit::FUNCTION_NAMES, &value));
    }
    if let Some(value) = &arguments.arguments {
        edits.extend(Edit::wherever(text, edit::FUNCTION_ARGUMENTS, value));
    }
    if edits.is_empty() {
        return Err(Failure::wrong(
            "--function and --arguments need a webhook that holds a tool call",
        )
        .hint("such as `tool-calls`; --set changes any other webhook"));
    }
    Ok(edits)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::cli::send::tests::arguments;

    fn rendered(words: &[&str], number: u64) -> serde_json::Value {
        let body = body(&arguments(words).unwrap(), "vapi").unwrap();
        serde_json::from_slice(&body.render(number).unwrap()).unwrap()
    }
    #[test]
    fn a_sample_is_sent_byte_for_byte_but_for_its_ids() {
        for sample in source::samples("vapi") {
            let kept = arguments(&[&sample.name, "--keep-ids"]).unwrap();
            let kept = body(&kept, "vapi").unwrap().render(1).unwrap();
            assert_eq!(kept, sample.body.as_bytes());
            let body = body(&arguments(&[&sample.name]).unwrap(), "vapi").unwrap();
            let (one, other) = (body.render(1).unwrap(), body.render(1).unwrap());
            assert!(one.len().abs_diff(kept.len()) < 200, "{}", sample.name);
            assert_eq!(one == other, body.ids.is_empty(), "{}", sample.name);
        }
        let calls = rendered(&["tool-calls--parallel3"], 1);
        assert_ne!(
            calls["message"]["toolCallList"],
            rendered(&["tool-calls--parallel3"], 1)["message"]["toolCallList"]
        );
    }

    #[test]
    fn the_number_of_the_request_goes_into_values() {
        let words =
            ["transcript", "--set", "message.call.id=call-{n}", "--set", "message.turn={n}"];
        let body = rendered(&words, 7);
        assert_eq!(body["message"]["call"]["id"], "call-7");
        assert_eq!(body["message"]["turn"], 7);
    }

    #[test]
    fn the_function_changes_wherever_a_sample_says_it() {
        let samples = source::samples("vapi").iter().filter(|sample| {
            sample.name.starts_with("tool-calls") || sample.name.starts_with("function-call")
        });
        for sample in samples {
            let words =
                [&*sample.name, "--function", "get_weather", "--arguments", r#"{"city": "Oslo"}"#];
            let text = rendered(&words, 1)["message"].to_string();
            assert!(text.contains("get_weather") && text.contains("Oslo"), "{}", sample.name);
            if !sample.name.contains("parallel") && !sample.name.contains("mixed") {
                let first = rendered(&words, 1)["message"]["toolCallList"].to_string();
                assert!(!first.contains("lookup_appointment"), "{}: {first}", sample.name);
            }
        }
        let refused =
            body(&arguments(&["hang", "--function", "x"]).unwrap(), "vapi").err().unwrap();
        assert!(refused.text.contains("holds a tool call"), "{}", refused.text);
    }

    #[test]
    fn a_misspelt_sample_gets_a_suggestion() {
        let text = unknown("tool-call", "vapi").text;
        assert!(text.contains("did you mean `tool-calls`?"), "{text}");
        assert!(!unknown("zzz", "vapi").text.contains("did you mean"));
    }
}
