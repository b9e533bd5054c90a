//! Types and names of rules: exact, or with `*` for any run of characters.

/// Whether the text fits the pattern.
///
/// Only the last `*` is ever tried again: a match of what stands before it can't become better by
/// moving. That keeps the work at length times length for any pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, from));
            at += 1;
        } else if pattern.get(at) == text.get(from) {
            at += 1;
            from += 1;
        } else if let Some((place, taken)) = star {
            star = Some((place, taken + 1));
            at = place + 1;
            from = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Whether everything that fits `narrow` fits `wide` too.
///
/// A `*` of the narrow pattern can only be taken up by one of the wide pattern, so that it may be
/// looked at as a character like any other.
pub fn covers(wide: &str, narrow: &str) -> bool {
    matches(wide, narrow)
}

/// Whether some text fits both patterns.
pub fn overlaps(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Whether what is left of both, from these places on, has a text in common: the last row first.
    let is_open = |rest: &[u8]| rest.iter().all(|byte| *byte == b'*');
    let mut below: Vec<bool> = (0..=b.len()).map(|place| is_open(&b[place..])).collect();
    for at in (0..a.len()).rev() {
        let mut row = vec![is_open(&a[at..]); b.len() + 1];
        for place in (0..b.len()).rev() {
            row[place] = match (a[at], b[place]) {
                (b'*', _) | (_, b'*') => below[place] || row[place + 1],
                (left, right) => left == right && below[place + 1],
            };
        }
        below = row;
    }
    below[0]
}

/// Whether a text fits one of these patterns, or there are none.
pub fn fits(patterns: &[String], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("chat.*", "chat.created", true),
            ("chat.*", "chat", false),
            ("*update", "status-update", true),
            ("*-*-*", "a-b", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("transcript[transcriptType=\"final\"]", "transcript[transcriptType=\"final\"]", true),
            ("**a**", "bab", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn overlap() {
        for (a, b, expected) in [
            ("get_*", "*_weather", true),
            ("get_*", "book_*", false),
            ("get_*", "get_w*", true),
            ("get_*", "get_", true),
            ("get_*", "get", false),
            ("*", "", true),
            ("**", "a*", true),
            ("a*c", "*b", false),
            ("a*b", "*ab*", true),
            ("a", "a", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(overlaps(a, b), expected, "{a} {b}");
            assert_eq!(overlaps(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let pattern = "a*".repeat(500);
        assert!(!matches(&format!("{pattern}b"), &"a".repeat(20_000)));
    }

    #[test]
    fn cover() {
        assert!(covers("*", "chat.*"));
        assert!(covers("chat.*", "chat.created"));
        assert!(covers("a*", "a*b"));
        assert!(!covers("chat.*", "*"));
        assert!(!covers("a*b", "a*"));
    }
}
