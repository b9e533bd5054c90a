//! What is shown of a bridge, and how: kept between two drawings of the screen.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::figures::Look;
use crate::discovery::Overview;

/// Rates and latencies are those of so long: long enough for a quantile, short enough to see what happens.
const WINDOW: Duration = Duration::from_secs(10);

/// Which of the tables have the room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Focus {
    #[default]
    All,
    Endpoints,
    Functions,
    Destinations,
}

/// What the rows are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Rate,
    P99,
    Name,
}

impl Focus {
    fn next(self) -> Self {
        match self {
            Self::All => Self::Endpoints,
            Self::Endpoints => Self::Functions,
            Self::Functions => Self::Destinations,
            Self::Destinations => Self::All,
        }
    }
}

impl Sort {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::P99 => "p99",
            Self::Name => "name",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Rate => Self::P99,
            Self::P99 => Self::Name,
            Self::Name => Self::Rate,
        }
    }
}

/// What a bridge said lately.
#[derive(Default)]
pub(super) struct View {
    /// Host and port of the bridge.
    pub(super) place: String,
    looks: VecDeque<Look>,
    pub(super) workers: Option<Result<Overview, String>>,
    /// Why it can't be asked at the moment.
    pub(super) lost: Option<String>,
    pub(super) is_paused: bool,
    pub(super) focus: Focus,
    pub(super) sort: Sort,
    pub(super) has_colours: bool,
}

impl View {
    pub(super) fn new(place: String, has_colours: bool) -> Self {
        Self { place, has_colours, ..Self::default() }
    }

    /// This is what it says now.
    pub(super) fn looked(&mut self, look: Look) {
        if self.lost.take().is_some() {
            // What it was like before says nothing of now.
            self.looks.clear();
        }
        // The oldest is the youngest that is old enough.
        while self.looks.get(1).is_some_and(|second| look.at.duration_since(second.at) >= WINDOW) {
            self.looks.pop_front();
        }
        self.looks.push_back(look);
    }

    /// What it said now, and what it said before, which is the same at first.
    pub(super) fn looks(&self) -> Option<(&Look, &Look)> {
        self.looks.front().zip(self.looks.back())
    }

    /// A key was pressed. Returns whether it ends the command.
    pub(super) fn pressed(&mut self, key: Key) -> bool {
        match key {
            Key::Quit => return true,
            Key::Pause => self.is_paused = !self.is_paused,
            Key::Focus => self.focus = self.focus.next(),
            Key::Sort => self.sort = self.sort.next(),
        }
        false
    }

    /// When it was looked at last.
    pub(super) fn age(&self) -> Option<Duration> {
        self.looks.back().map(|look| Instant::now().duration_since(look.at))
    }
}

/// What a key means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Quit,
    Pause,
    Focus,
    Sort,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::samples::Samples;

    fn look(at: Instant) -> Look {
        Look { at, is_ready: true, readiness: Vec::new(), samples: Samples::default() }
    }

    #[test]
    fn rates_are_those_of_the_last_ten_seconds() {
        let (start, mut view) = (Instant::now(), View::default());
        for second in (0..60).step_by(2) {
            view.looked(look(start + Duration::from_secs(second)));
        }
        let seconds = view.looks().map(|(before, now)| now.at - before.at);
        assert_eq!(seconds, Some(WINDOW));
        assert_eq!(view.looks.len(), 6);
    }

    #[test]
    fn with_a_longer_interval_they_are_those_of_one() {
        let (start, mut view) = (Instant::now(), View::default());
        for minute in 0..3 {
            view.looked(look(start + Duration::from_secs(60 * minute)));
        }
        let seconds = view.looks().map(|(before, now)| now.at - before.at);
        assert_eq!(seconds, Some(Duration::from_secs(60)));
    }

    #[test]
    fn after_a_loss_they_begin_anew() {
        let (start, mut view) = (Instant::now(), View::default());
        view.looked(look(start));
        view.lost = Some("gone".to_owned());
        view.looked(look(start + Duration::from_secs(5)));
        assert_eq!(view.looks.len(), 1);
    }
}
