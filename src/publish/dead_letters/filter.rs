//! Which dead letters are meant, and how a query says it.

use std::time::{Duration, SystemTime};

use form_urlencoded::Serializer;

use super::line::time;
use crate::config::units::Time;
use crate::spool::DeadLetter;
use crate::template::glob::{self, fits};

/// Which dead letters are meant: those that fit every part that says something. A part is a list of exact texts, or
/// patterns with `*`, of which one has to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of endpoints.
    pub endpoints: Vec<String>,
    /// CloudEvents types, or what they end with behind a dot.
    pub types: Vec<String>,
    /// Reasons.
    pub reasons: Vec<String>,
    /// Ids of events.
    pub ids: Vec<String>,
    /// Destinations as they are configured.
    pub destinations: Vec<String>,
    /// Dead letters from then or later.
    pub since: Option<SystemTime>,
    /// Dead letters from then or earlier.
    pub until: Option<SystemTime>,
    /// Dead letters from this position on.
    pub from: Option<u64>,
    /// Dead letters before this position.
    pub before: Option<u64>,
    /// No part has to say something.
    pub all: bool,
}

impl Filter {
    /// Read it from the query of an address. What isn't known is an error: it could be a misspelt part, without which
    /// more would be meant.
    pub fn read(query: &str) -> Result<Self, String> {
        Self::read_with(query, |_, _| Ok(false))
    }

    /// The same of a query with other parameters beside it. `other` says whether it knows one.
    pub fn read_with(
        query: &str,
        mut other: impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let failed = |error| format!("`{name}`: {error}");
            let patterns = match &*name {
                "endpoint" => &mut filter.endpoints,
                "type" => &mut filter.types,
                "reason" => &mut filter.reasons,
                "id" => &mut filter.ids,
                "destination" => &mut filter.destinations,
                "since" => {
                    filter.since = Some(moment(&value).map_err(failed)?);
                    continue;
                }
                "until" => {
                    filter.until = Some(moment(&value).map_err(failed)?);
                    continue;
                }
                "from" | "before" => {
                    let position = Some(number(&name, &value)?);
                    *(if name == "from" { &mut filter.from } else { &mut filter.before }) =
                        position;
                    continue;
                }
                "all" => {
                    let error = |_| format!("`{name}` is true or false, and not `{value}`");
                    filter.all = value.parse().map_err(error)?;
                    continue;
                }
                _ if other(&name, &value)? => continue,
                _ => return Err(format!("unknown parameter `{name}`")),
            };
            patterns.push(value.into_owned());
        }
        Ok(filter)
    }

    /// Write it as the query of an address.
    pub fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        for (name, patterns) in self.patterns() {
            for pattern in patterns {
                query.append_pair(name, pattern);
            }
        }
        for (name, moment) in [("since", self.since), ("until", self.until)] {
            if let Some(moment) = moment {
                query.append_pair(name, &time(moment));
            }
        }
        for (name, position) in [("from", self.from), ("before", self.before)] {
            if let Some(position) = position {
                query.append_pair(name, &position.to_string());
            }
        }
        if self.all {
            query.append_pair("all", "true");
        }
        query.finish()
    }

    fn patterns(&self) -> [(&'static str, &[String]); 5] {
        [
            ("endpoint", &self.endpoints),
            ("type", &self.types),
            ("reason", &self.reasons),
            ("id", &self.ids),
            ("destination", &self.destinations),
        ]
    }

    /// Whether no part says something.
    pub fn is_empty(&self) -> bool {
        let times = [self.since, self.until];
        self.patterns().iter().all(|(_, patterns)| patterns.is_empty())
            && times.iter().all(Option::is_none)
            && [self.from, self.before].iter().all(Option::is_none)
    }

    /// Whether it was said what is meant.
    pub fn is_explicit(&self) -> bool {
        self.all || !self.is_empty()
    }

    /// Whether a dead letter with this position, stored then, is meant.
    pub fn matches(&self, (position, stored): (u64, SystemTime), letter: &DeadLetter) -> bool {
        let event = &letter.record.event;
        self.from.is_none_or(|from| position >= from)
            && self.before.is_none_or(|before| position < before)
            && self.since.is_none_or(|since| stored >= since)
            && self.until.is_none_or(|until| stored <= until)
            && fits(&self.endpoints, &event.endpoint)
            && fits(&self.reasons, &letter.reason)
            && fits(&self.ids, &event.id)
            && fits(&self.destinations, &letter.destination)
            && (fits(&self.types, &event.kind)
                || self.types.iter().any(|end| ends(&event.kind, end)))
    }
}

/// The value of a parameter that is a number.
pub(super) fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{name}` is a number, and not `{value}`"))
}

/// Whether a type, or what follows one of its dots, fits: people say `push` for `com.github.push`.
fn ends(kind: &str, pattern: &str) -> bool {
    kind.match_indices('.').any(|(dot, _)| glob::matches(pattern, &kind[dot + 1..]))
}

/// A moment, as RFC 3339, as a date, or as a time ago such as `2h`. Without an offset it is UTC.
pub fn moment(text: &str) -> Result<SystemTime, String> {
    let text = text.trim();
    if let Ok(ago) = text.parse::<Time>() {
        let then = SystemTime::now().checked_sub(ago.get());
        return then.ok_or_else(|| format!("`{text}` is too long ago"));
    }
    let failed = || {
        format!(
            "`{text}` is no moment: write such as 2026-11-23T13:00:00Z, 2026-11-23, or 2h for two hours ago"
        )
    };
    let (local, offset) = split_offset(text).ok_or_else(failed)?;
    let whole = if local.len() == 10 { format!("{local}T00:00:00") } else { local.to_owned() };
    let local = humantime::parse_rfc3339_weak(&whole).map_err(|_| failed())?;
    let moment = match offset {
        (true, offset) => local.checked_add(offset),
        (false, offset) => local.checked_sub(offset),
    };
    moment.ok_or_else(failed)
}

/// What stands before the offset, and whether and how much has to be added for UTC.
fn split_offset(text: &str) -> Option<(&str, (bool, Duration))> {
    const TIME: usize = "2026-11-23T".len();
    let sign = text.get(TIME..).and_then(|time| Some(TIME + time.rfind(['+', '-'])?));
    let Some(at) = sign else {
        return Some((text, (true, Duration::ZERO)));
    };
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let two = |digits: &str, below: u64| {
        let number: u64 = digits.parse().ok()?;
        (digits.len() == 2 && number < below).then_some(number)
    };
    let offset = Duration::from_secs((two(hours, 24)? * 60 + two(minutes, 60)?) * 60);
    Some((&text[..at], (text.as_bytes()[at] == b'-', offset)))
}

#[cfg(test)]
mod tests;
