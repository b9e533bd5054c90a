//! What a request must look like for a rule to hold.

use std::collections::BTreeMap;

use super::text;
use crate::places::{Places, Text, Values};
use crate::template::glob;

/// Conditions that must all hold; none holds always.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Texts that must fit patterns.
    when: Vec<(Text, String)>,
    present: Vec<Text>,
    absent: Vec<Text>,
}

impl Condition {
    /// As configured; nothing where a place of it can't be read.
    pub(super) fn new(
        when: &BTreeMap<String, String>,
        present: &[String],
        absent: &[String],
        places: &mut Places,
    ) -> Option<Self> {
        let when = when.iter().map(|(at, pattern)| Some((text(at, places)?, pattern.clone())));
        let when = when.collect::<Option<_>>()?;
        let mut all = |texts: &[String]| -> Option<Vec<Text>> {
            texts.iter().map(|at| text(at, places)).collect()
        };
        Some(Self { when, present: all(present)?, absent: all(absent)? })
    }

    pub(super) fn holds(&self, values: &Values<'_>) -> bool {
        let fits = |(text, pattern): &(Text, String)| {
            text.fill(values).is_some_and(|text| glob::matches(pattern, &text))
        };
        let is_there = |text: &Text| text.is_there(values);
        self.when.iter().all(fits)
            && self.present.iter().all(is_there)
            && !self.absent.iter().any(is_there)
    }
}
