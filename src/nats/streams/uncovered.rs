//! The warning about events whose subject no stream takes.

use super::{COVER, Finding};
use crate::config::homes::Names;

/// How many subjects are named.
const MAX_NAMED: usize = 3;

/// What a destination lacks.
pub(super) enum Lack {
    /// Events that will come have no stream.
    Now(Finding),
    /// Only events that may come.
    Perhaps(Finding),
}

/// What the destination of this text lacks, whose subjects `pattern` covers, when no stream covers all of that. `is_taken`
/// says whether a stream takes a subject.
pub(super) fn lack(
    pattern: &str,
    destination: &str,
    names: &Names,
    is_taken: impl Fn(&str) -> bool,
) -> Option<Lack> {
    let mut uncovered = names.known.iter().filter(|name| !is_taken(name));
    let named: Vec<_> =
        uncovered.by_ref().take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
    let more = uncovered.count();
    let missing = named.len() + more;
    if missing == names.known.len() && (names.is_open || missing == 0) {
        // Of what is known nothing has one, or nothing is known.
        let problem = format!("no stream stores `{pattern}`, where `{destination}` goes");
        return Some(Lack::Now(Finding::new(problem, COVER)));
    }
    if missing > 0 {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let problem = format!(
            "no stream stores {}{more}, where `{destination}` goes: these events would wait on disk",
            named.join(", ")
        );
        return Some(Lack::Now(Finding::new(
            problem,
            "give each a stream; the surest is one that takes every type, declared with [[nats.stream]]",
        )));
    }
    names.is_open.then(|| {
        let problem = format!(
            "streams store the types that are known, but not all of `{pattern}`, where `{destination}` goes: events of a new type would wait on disk"
        );
        Lack::Perhaps(Finding::new(problem, "let one stream take every type"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(known: &[&str], is_open: bool, taken: &[&str]) -> Option<String> {
        let known = known.iter().map(ToString::to_string).collect();
        let names = Names { known, is_open };
        let lack = lack("e.>", "nats:e.{type}", &names, |name| taken.contains(&name))?;
        Some(match lack {
            Lack::Now(finding) => finding.problem,
            Lack::Perhaps(finding) => format!("perhaps: {}", finding.problem),
        })
    }

    #[test]
    fn what_has_no_stream_is_named() {
        let all = ["e.a", "e.b", "e.c", "e.d", "e.e"];
        let none = Some("no stream stores `e.>`, where `nats:e.{type}` goes".to_owned());
        assert_eq!(logged(&[], true, &[]), none);
        assert_eq!(logged(&[], false, &[]), none);
        assert_eq!(logged(&all, true, &[]), none);
        let some = |named: &str| {
            Some(format!(
                "no stream stores {named}, where `nats:e.{{type}}` goes: these events would wait on disk"
            ))
        };
        assert_eq!(logged(&all[..2], false, &[]), some("`e.a`, `e.b`"));
        assert_eq!(logged(&all, false, &[]), some("`e.a`, `e.b`, `e.c` and 2 more"));
        assert_eq!(logged(&all, true, &["e.a", "e.b", "e.d"]), some("`e.c`, `e.e`"));
        assert_eq!(logged(&all, false, &all), None);
        assert!(logged(&all, true, &all).is_some_and(|logged| logged.starts_with("perhaps: ")));
    }
}
