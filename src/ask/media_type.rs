//! Media types that a worker may give to its answer (RFC 9110, §8.3.1).

/// The longest one, in bytes. Those that are registered have some dozens of characters.
const LONGEST: usize = 256;

/// Whether a text is one media type, perhaps with parameters, that may stand in a header as it is. A range such as
/// `audio/*` is none.
pub(super) fn is_one(text: &str) -> bool {
    let Some((kind, rest)) = text.split_once('/') else { return false };
    let (subtype, mut rest) = token(rest);
    let is_name = |name: &str| is_token(name) && name != "*";
    let mut is_one = text.len() <= LONGEST && is_name(kind) && is_name(subtype);
    while is_one && !rest.is_empty() {
        (is_one, rest) = parameter(rest);
    }
    is_one
}

/// Whether a text begins with `; name=value`, and what follows it.
fn parameter(text: &str) -> (bool, &str) {
    let Some(text) = blanks(text).strip_prefix(';') else { return (false, "") };
    let (name, text) = token(blanks(text));
    let Some(text) = text.strip_prefix('=').filter(|_| is_token(name)) else { return (false, "") };
    match text.strip_prefix('"') {
        Some(quoted) => {
            let end = quoted.bytes().position(|byte| byte == b'"');
            let (value, rest) = quoted.split_at(end.unwrap_or(0));
            let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\');
            (end.is_some() && is_plain, rest.strip_prefix('"').unwrap_or_default())
        }
        None => {
            let (value, rest) = token(text);
            (is_token(value), rest)
        }
    }
}

/// What a text begins with up to what can't stand in a token, and the rest.
fn token(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_tchar(byte)).unwrap_or(text.len()))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// RFC 9110, §5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_what_only_looks_like_one() {
        for good in [
            "audio/L16",
            "audio/L16; rate=16000; channels=1",
            "audio/L16;rate=16000",
            "audio/x-raw ; note=\"a, b\"",
            "application/vnd.api+json",
            "application/octet-stream",
        ] {
            assert!(is_one(good), "{good}");
        }
        let long = format!("audio/{}", "x".repeat(LONGEST));
        for bad in [
            "",
            "audio",
            "audio/",
            "/L16",
            " audio/L16",
            "audio/L16 ",
            "audio/L16;",
            "audio/L16, text/html",
            "audio/L16; rate",
            "audio/L16; rate=",
            "audio/L16; =16000",
            "audio/L16; rate=\"16000",
            "audio/L16; rate=\"16000\"x",
            "audio/L16; rate=\"16\\\"000\"",
            "audio/L16/x",
            "audio/L16\r\nset-cookie: a=b",
            "audio/L16; x=\"\r\n\"",
            "audio/L 16",
            "audio/\u{fc}",
            "audio/L16; note=\"\u{fc}\"",
            "*/*",
            "audio/*",
            &long,
        ] {
            assert!(!is_one(bad), "{bad}");
        }
    }
}
