//! The text that `/metrics` answers with, read again line by line.

/// `name{label="value"} 1`, with a time and an exemplar behind it or not.
#[derive(Debug, PartialEq)]
pub struct Sample<'a> {
    /// The name.
    pub name: &'a str,
    /// Labels and their values.
    pub labels: Vec<(&'a str, String)>,
    /// The number, as it is written.
    pub value: &'a str,
    /// What stands behind it.
    pub exemplar: Option<Exemplar<'a>>,
}

/// `{label="value"} 1 1700000000`
#[derive(Debug, PartialEq)]
pub struct Exemplar<'a> {
    /// Labels and their values.
    pub labels: Vec<(&'a str, String)>,
    /// The number, as it is written.
    pub value: &'a str,
    /// When that was, in seconds since 1970; empty if it isn't said.
    pub time: &'a str,
}

impl<'a> Sample<'a> {
    /// Read a line; nothing if it is none of these.
    pub fn read(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_at(line.find(['{', ' ']).filter(|_| !line.starts_with('#'))?);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let (number, behind) =
            rest.split_once(" # {").map_or((rest, None), |(number, behind)| (number, Some(behind)));
        let value = number.split_whitespace().next()?;
        Some(Self { name, labels, value, exemplar: behind.and_then(exemplar) })
    }
}

fn exemplar(text: &str) -> Option<Exemplar<'_>> {
    let (labels, rest) = labels(text)?;
    let mut numbers = rest.split_whitespace();
    let (value, time) = (numbers.next()?, numbers.next().unwrap_or_default());
    Some(Exemplar { labels, value, time })
}

/// Labels up to the brace, and what follows it.
fn labels(mut text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (label, rest) = text.split_once("=\"")?;
        let (value, after) = unquote(rest)?;
        labels.push((label, value));
        text = after.strip_prefix(',').unwrap_or(after);
    }
}

/// A value up to its closing quote, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_line_is_read() {
        let line = r#"a_total{endpoint="vapi",odd="a\"b\\c\nd}"} 12 1700000000 # {id="7"} 3 1.5"#;
        let read = Sample::read(line).unwrap();
        assert_eq!((read.name, read.value), ("a_total", "12"));
        let labels = [("endpoint", "vapi".to_owned()), ("odd", "a\"b\\c\nd}".to_owned())];
        assert_eq!(read.labels, labels);
        let exemplar = Exemplar { labels: vec![("id", "7".to_owned())], value: "3", time: "1.5" };
        assert_eq!(read.exemplar, Some(exemplar));
        for (line, value) in [("plain 0.5", "0.5"), ("empty{} +Inf", "+Inf"), ("a 1 # {", "1")] {
            let read = Sample::read(line).unwrap();
            assert_eq!((read.labels.len(), read.value, read.exemplar), (0, value, None), "{line}");
        }
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_none() {
        for line in
            ["", "# HELP a b", "a", "b{le=\"0.1", "{", "c{x=\"\\", "d", "e{x=\"1\"", "f{x=\"1\"}"]
        {
            assert_eq!(Sample::read(line), None, "{line}");
        }
    }
}
