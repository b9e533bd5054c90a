//! The text that `/metrics` answers with, read again: samples, and sums of them.
//!
//! Lines that can't be read are left out: another version may say more than this one knows.

use std::collections::BTreeMap;

use super::histogram::Histogram;

/// One number.
#[derive(Debug, PartialEq)]
pub(super) struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Sample {
    /// The value of a label; empty if it has no such label.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }
}

/// All samples of a text.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    pub(super) fn read(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// Those of this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The first of this name, where there is one only.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.named(name).next().map(|sample| sample.value)
    }

    /// The sums of those that have a key in common. Those without one don't count.
    pub(super) fn sums<'a, K: Ord>(
        &'a self,
        name: &str,
        key: impl Fn(&'a Sample) -> Option<K>,
    ) -> BTreeMap<K, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.named(name) {
            if let Some(key) = key(sample) {
                *sums.entry(key).or_default() += sample.value;
            }
        }
        sums
    }

    /// The same of histograms.
    pub(super) fn histograms<'a, K: Ord>(
        &'a self,
        name: &str,
        key: impl Fn(&'a Sample) -> K,
    ) -> BTreeMap<K, Histogram> {
        let mut histograms = BTreeMap::<K, Histogram>::new();
        for sample in self.named(&format!("{name}_bucket")) {
            if let Ok(bound) = sample.label("le").parse() {
                histograms.entry(key(sample)).or_default().add(bound, sample.value);
            }
        }
        histograms
    }
}

/// `name{label="value"} 1`, with a time and an exemplar behind it or not.
fn sample(line: &str) -> Option<Sample> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Vec::new();
    if let Some(list) = rest.strip_prefix('{') {
        rest = list;
        while !rest.starts_with('}') {
            let (label, text) = rest.split_once("=\"")?;
            let (value, after) = unquote(text)?;
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
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
    fn names_labels_and_values_are_read() {
        let read =
            sample(r#"a_total{endpoint="vapi",odd="a\"b\\c\nd}"} 12 1700000000 # {id="7"} 3"#);
        let read = read.unwrap();
        assert_eq!((&*read.name, read.value), ("a_total", 12.0));
        assert_eq!(read.label("endpoint"), "vapi");
        assert_eq!(read.label("odd"), "a\"b\\c\nd}");
        assert_eq!(read.label("none"), "");
        assert_eq!(sample("plain 0.5").unwrap().value, 0.5);
        assert_eq!(sample("empty{} +Inf").unwrap().value, f64::INFINITY);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_left_out() {
        let text = "# HELP a b\na 1\nb{le=\"0.1\n{\n\nc{x=\"\\\nd\ne{x=\"1\"\nf{x=\"1\"} nothing\n<html>\ng 2";
        let samples = Samples::read(text);
        let names: Vec<_> = samples.0.iter().map(|sample| &*sample.name).collect();
        assert_eq!(names, ["a", "g"]);
    }

    #[test]
    fn sums_are_made_by_key() {
        let samples =
            Samples::read("a{x=\"1\",y=\"1\"} 1\na{x=\"1\",y=\"2\"} 2\na{x=\"2\"} 4\nb 8\n");
        let sums = samples.sums("a", |sample| Some(sample.label("x")));
        assert_eq!(sums, BTreeMap::from([("1", 3.0), ("2", 4.0)]));
        let some = samples.sums("a", |sample| (sample.label("y") != "2").then_some(()));
        assert_eq!(some, BTreeMap::from([((), 5.0)]));
        assert_eq!(samples.value("b"), Some(8.0));
    }
}
