//! Samples in the text that `/metrics` answers with, and sums of them.
//!
//! Lines that can't be read are left out: another version may say more than this one knows.

use std::collections::BTreeMap;

use super::exposition;
use super::histogram::Histogram;

/// One number.
#[derive(Debug, PartialEq)]
pub struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    /// How much or how many.
    pub value: f64,
}

impl Sample {
    /// The value of a label; empty if it has no such label.
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }
}

/// All samples of a text.
#[derive(Debug, Default)]
pub struct Samples(Vec<Sample>);

impl Samples {
    /// Read a text.
    pub fn read(text: &str) -> Self {
        Self(text.lines().filter_map(sample).collect())
    }

    /// Those of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The first of this name, where there is one only.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.named(name).next().map(|sample| sample.value)
    }

    /// The sums of those that have a key in common. Those without one don't count.
    pub fn sums<'a, K: Ord>(
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
    pub fn histograms<'a, K: Ord>(
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

fn sample(line: &str) -> Option<Sample> {
    let exposition::Sample { name, labels, value, .. } = exposition::Sample::read(line)?;
    let labels = labels.into_iter().map(|(label, value)| (label.to_owned(), value));
    Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn labels_that_there_are_not_are_empty() {
        let read = sample(r#"a_total{endpoint="vapi"} 12 1700000000 # {id="7"} 3"#).unwrap();
        assert_eq!((&*read.name, read.value), ("a_total", 12.0));
        assert_eq!((read.label("endpoint"), read.label("none")), ("vapi", ""));
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
