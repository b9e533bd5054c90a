//! Histograms as Prometheus has them: how many values are at most so large. What lies between two bounds is taken to be
//! spread evenly, as `histogram_quantile` does.

/// Bounds in ascending order, and how many values are at most as large as each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// So many values more are at most as large as this.
    pub fn add(&mut self, bound: f64, count: f64) {
        match self.0.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => self.0.insert(at, (bound, count)),
        }
    }

    /// Only what came since. A process that began anew in between had less.
    pub fn since(&self, before: &Self) -> Self {
        if self.count() < before.count() {
            return self.clone();
        }
        let earlier = |bound: f64| {
            before.0.iter().find(|(known, _)| *known == bound).map_or(0.0, |(_, count)| *count)
        };
        Self(self.0.iter().map(|(bound, count)| (*bound, count - earlier(*bound))).collect())
    }

    /// How many values there are.
    pub fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value that this part of all is below; nothing if there are none.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let rank = part * self.count();
        if self.count() <= 0.0 {
            return None;
        }
        let mut below = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= rank && count > below.1 {
                // Above the last bound nothing is known but that.
                let share = (rank - below.1) / (count - below.1);
                return Some(if bound.is_finite() {
                    below.0 + (bound - below.0) * share
                } else {
                    below.0
                });
            }
            below = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(buckets: &[(f64, f64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for &(bound, count) in buckets {
            histogram.add(bound, count);
        }
        histogram
    }

    #[test]
    fn a_quantile_is_between_two_bounds() {
        // In any order, as texts may have them.
        let histogram = of(&[(f64::INFINITY, 100.0), (2.0, 100.0), (1.0, 50.0), (0.5, 0.0)]);
        assert_eq!(histogram.quantile(0.25), Some(0.75));
        assert_eq!(histogram.quantile(0.5), Some(1.0));
        assert_eq!(histogram.quantile(0.99), Some(1.98));
    }

    #[test]
    fn above_the_last_bound_it_is_that_bound() {
        let histogram = of(&[(0.1, 1.0), (20.0, 1.0), (f64::INFINITY, 2.0)]);
        assert_eq!(histogram.quantile(0.99), Some(20.0));
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(of(&[(0.1, 0.0), (f64::INFINITY, 0.0)]).quantile(0.5), None);
    }

    #[test]
    fn the_difference_has_what_came_since() {
        let before = of(&[(0.1, 100.0), (0.2, 100.0), (f64::INFINITY, 100.0)]);
        let now = of(&[(0.1, 100.0), (0.2, 110.0), (f64::INFINITY, 110.0)]);
        let since = now.since(&before);
        assert_eq!(since.count(), 10.0);
        assert!(since.quantile(0.01).is_some_and(|low| low > 0.1));
    }

    #[test]
    fn a_process_that_began_anew_counts_from_nothing() {
        let before = of(&[(0.1, 100.0), (f64::INFINITY, 100.0)]);
        let now = of(&[(0.1, 3.0), (f64::INFINITY, 4.0)]);
        assert_eq!(now.since(&before), now);
    }
}
