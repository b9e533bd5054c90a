//! A set of sequence numbers, as the ranges that it is made of.

use std::collections::BTreeMap;
use std::ops::Range;

/// Numbers that follow each other take the room of one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// End by start; no two touch.
    ends: BTreeMap<u64, u64>,
    count: u64,
}

impl Ranges {
    /// Put a range in; says how many of its numbers are new.
    pub(super) fn insert(&mut self, range: Range<u64>) -> u64 {
        let Range { mut start, mut end } = range;
        if start >= end {
            return 0;
        }
        let mut known = 0;
        while let Some((&from, &to)) = self.ends.range(..=end).next_back()
            && to >= start
        {
            self.ends.remove(&from);
            known += to - from;
            start = start.min(from);
            end = end.max(to);
        }
        self.ends.insert(start, end);
        let new = end - start - known;
        self.count += new;
        new
    }

    /// Whether a number is in.
    pub(super) fn contains(&self, number: u64) -> bool {
        let before = self.ends.range(..=number).next_back();
        before.is_some_and(|(_, &end)| number < end)
    }

    /// How many numbers are in.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// The lowest number from `start` on that isn't in.
    pub(super) fn first_missing(&self, start: u64) -> u64 {
        let before = self.ends.range(..=start).next_back();
        before.map_or(start, |(_, &end)| end.max(start))
    }

    /// The ranges, lowest first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.ends.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.insert(5..6), 1);
        assert_eq!(ranges.insert(7..8), 1);
        assert_eq!(ranges.insert(5..6), 0);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [5..6, 7..8]);
        assert_eq!(ranges.insert(6..7), 1);
        assert!(ranges.iter().eq(std::iter::once(5..8)));
        assert_eq!(ranges.insert(1..20), 16);
        assert_eq!(ranges.insert(30..40), 10);
        assert_eq!(ranges.insert(3..3), 0);
        assert_eq!(ranges.len(), 29);
        assert!(ranges.contains(1) && ranges.contains(19) && !ranges.contains(20));
        assert_eq!(ranges.first_missing(0), 0);
        assert_eq!(ranges.first_missing(1), 20);
        assert_eq!(ranges.first_missing(25), 25);
    }

    #[test]
    fn any_order_ends_alike() {
        let mut ranges = Ranges::default();
        // 7 has no factor in common with 100: every number comes once.
        for step in 0..100 {
            assert_eq!(ranges.insert(step * 7 % 100..step * 7 % 100 + 1), 1);
        }
        assert!(ranges.iter().eq(std::iter::once(0..100)));
    }
}
