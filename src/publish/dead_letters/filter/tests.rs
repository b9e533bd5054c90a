#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::message::Event;
use crate::spool::Record;
use crate::trace::Trace;

fn dead_letter() -> DeadLetter {
    let event = Event {
        id: "a*b".into(),
        endpoint: "vapi".into(),
        kind: "ai.vapi.call.endpointing.request".into(),
        key: None,
        subject: None,
        time: SystemTime::UNIX_EPOCH,
        content_type: "application/json".into(),
        payload: bytes::Bytes::new(),
        trace: Trace::default(),
        dedupe: true,
    };
    DeadLetter {
        destination: "nats:vapi.events.{type}".into(),
        reason: "too-large".into(),
        detail: "no".into(),
        record: Record { name: "vapi.events.a".into(), event },
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn every_part_has_to_fit() {
    let matches = |query: &str| Filter::read(query).unwrap().matches((7, at(100)), &dead_letter());
    for query in [
        "",
        "all=true",
        "endpoint=vapi&reason=too-large",
        "endpoint=other&endpoint=va*",
        "type=ai.vapi.call.endpointing.request",
        "type=call.endpointing.request",
        "type=call.*",
        "type=*request",
        "id=a*b",
        "destination=nats:vapi.events.{type}",
        "destination=nats:*",
        "since=1970-01-01T00:01:40Z&until=1970-01-01T00:01:40Z",
        "from=7&before=8",
    ] {
        assert!(matches(query), "{query}");
    }
    for query in [
        "endpoint=vap",
        "endpoint=vapi&reason=other",
        "type=call",
        "type=ai.vapi",
        "type=quest",
        "id=c",
        "destination=nats:vapi.events",
        "since=1970-01-01T00:01:41Z",
        "until=1970-01-01T00:01:39Z",
        "since=1h",
        "from=8",
        "before=7",
    ] {
        assert!(!matches(query), "{query}");
    }
}

#[test]
fn a_query_says_all_of_it() {
    let filter = Filter {
        endpoints: vec!["a".into()],
        types: vec!["b c".into(), "d&e=f".into()],
        reasons: vec!["*".into()],
        ids: vec!["+%".into()],
        destinations: vec!["nats:{endpoint}.{type}".into()],
        since: Some(at(1)),
        until: Some(at(2)),
        from: Some(3),
        before: Some(4),
        all: true,
    };
    assert_eq!(Filter::read(&filter.query()).unwrap(), filter);
    let nothing = Filter::default();
    assert_eq!(Filter::read(&nothing.query()).unwrap(), nothing);
    assert!(!nothing.is_explicit() && filter.is_explicit());
}

/// Any one part says what is meant, and `all` that all are.
#[test]
fn one_part_is_enough_to_say_what_is_meant() {
    for query in [
        "endpoint=a",
        "type=a",
        "reason=a",
        "id=a",
        "destination=a",
        "since=1h",
        "from=1",
        "before=9",
    ] {
        let filter = Filter::read(query).unwrap();
        assert!(!filter.is_empty() && filter.is_explicit(), "{query}");
    }
    let until = Filter { until: Some(at(1)), ..Filter::default() };
    assert!(!until.is_empty() && until.is_explicit());
    let all = Filter::read("all=true").unwrap();
    assert!(all.is_empty() && all.is_explicit());
}

#[test]
fn what_is_not_understood_is_an_error() {
    for query in
        ["endpoints=vapi", "since=yesterday", "all=yes", "until=2026-13-01", "from=x", "limit=1"]
    {
        assert!(Filter::read(query).is_err(), "{query}");
    }
}

#[test]
fn moments() {
    let expected = humantime::parse_rfc3339("2026-11-23T13:00:00Z").unwrap();
    for text in [
        "2026-11-23T13:00:00Z",
        "2026-11-23 13:00:00",
        "2026-11-23T15:00:00+02:00",
        "2026-11-23T07:30:00-05:30",
        "2026-11-23T13:00:00.000+00:00",
    ] {
        assert_eq!(moment(text), Ok(expected), "{text}");
    }
    let midnight = Ok(expected - Duration::from_secs(13 * 3_600));
    assert_eq!(moment("2026-11-23"), midnight);
    let ago = SystemTime::now().duration_since(moment("2h").unwrap()).unwrap();
    assert!(ago.as_secs().abs_diff(7_200) < 60, "{ago:?}");
    // There were no dead letters then, and it can be written all the same.
    for text in ["99y", "0000-01-01", "9999-12-31T23:59:59-23:59"] {
        let long = moment(text).map(|since| Filter { since: Some(since), ..Filter::default() });
        assert!(long.is_err() || Filter::read(&long.unwrap().query()).is_ok(), "{text}");
    }
    for text in [
        "",
        "2026",
        "2026-11-23T13:00:00+2",
        "2026-11-23T13:00:00+24:00",
        "2026-11-23+",
        "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
    ] {
        assert!(moment(text).is_err(), "{text}");
    }
}
