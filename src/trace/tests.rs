#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;

use super::*;

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// A tracer, and what ended there.
fn tracer(ratio: f64) -> (Arc<Tracer>, Arc<Mutex<Vec<Ended>>>) {
    let ended = Arc::<Mutex<Vec<_>>>::default();
    let sink = ended.clone();
    (Arc::new(Tracer::new(ratio, move |span| sink.lock().push(span))), ended)
}

fn headers(parent: &str) -> HeaderMap {
    let state = ("tracestate", "a=b");
    let headers = [("traceparent", parent), state]
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
    HeaderMap::from_iter(headers)
}

fn name() -> String {
    "POST /hook".to_owned()
}

#[test]
fn a_parent_is_taken_only_well_formed() {
    let read = |parent| Trace::received(&headers(parent)).parent;
    for right in [SENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0aa902b7-ff"] {
        assert_eq!(read(right).as_deref(), Some(right));
    }
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0aa902b7-01-more";
    assert_eq!(read(later).as_deref(), Some(later), "later versions may append something");
    for wrong in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0aa902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0aa902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0aa902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0aa902b7-01-x",
        "00-4bf92f3577b34da6a3ce929d0e0e47-3600f067aa0aa902b7-01",
    ] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
    let long =
        format!("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0aa902b7-01-{}", "x".repeat(256));
    assert_eq!(read(&long), None);
}

#[test]
fn spans_hang_below_their_senders() {
    let (tracer, ended) = tracer(0.0);
    let (trace, mut span) = tracer.receive(&headers(SENT), name);
    span.describe(|it| {
        it.add("http.response.status_code", 200_u16);
    });
    let child = trace.child(Kind::Client, || "ask".to_owned());
    let below = child.context().unwrap();
    assert_eq!(below.state.as_deref(), Some("a=b"));
    child.end(Some("timeout"));
    span.end(None);

    let ended = ended.lock();
    let [child, server] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!(server.parent, Some([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
    assert_eq!((child.parent, child.ids.trace), (Some(server.ids.span), server.ids.trace));
    assert_eq!((server.error, child.error), (None, Some("timeout")));
    assert_eq!((server.kind, server.name.as_str()), (Kind::Server, "POST /hook"));
    assert_eq!(server.attributes, [("http.response.status_code", Value::Number(200))]);
    let parent = below.parent.unwrap();
    assert_eq!(Parent::parse(&parent).unwrap().ids, child.ids, "what goes on is the span itself");
    assert!(parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent.ends_with("-01"));
}

#[test]
fn what_the_sender_does_not_sample_goes_on_as_it_came() {
    let (tracer, ended) = tracer(1.0);
    let (trace, span) = tracer.receive(&headers(UNSAMPLED), name);
    assert_eq!(trace.parent.as_deref(), Some(UNSAMPLED));
    assert!(trace.child(Kind::Client, name).context().is_none() && span.ids().is_none());
    drop(span);
    assert!(ended.lock().is_empty());
}

#[test]
fn chance_decides_where_no_sender_does() {
    let flags = |ratio| {
        let (tracer, ended) = tracer(ratio);
        let begin = |_| tracer.receive(&HeaderMap::new(), name).0.parent.unwrap();
        let sampled = (0..1_000).map(begin).filter(|parent| parent.ends_with("-01")).count();
        assert_eq!(ended.lock().len(), sampled, "only those are recorded");
        sampled
    };
    assert_eq!((flags(0.0), flags(1.0)), (0, 1_000));
    let some = flags(0.25);
    assert!((150..350).contains(&some), "{some} of 1,000");
}

#[test]
fn a_span_that_nobody_ends_was_cancelled() {
    let (tracer, ended) = tracer(1.0);
    drop(tracer.receive(&HeaderMap::new(), name));
    assert_eq!(ended.lock()[0].error, Some("cancelled"));
}
