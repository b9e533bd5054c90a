#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use super::*;
use crate::config::units::Size;

fn endpoint(text: &str) -> config::Endpoint {
    let text = format!("name = \"a\"\npath = \"/a\"\nsource = \"vapi\"\n{text}");
    toml::from_str(&text).unwrap()
}

fn gate(http: Http, text: &str) -> (Arc<Limits>, Gate) {
    let limits = Arc::new(Limits::new(&http));
    (limits.clone(), Gate::new(limits, &endpoint(text)))
}

#[test]
fn each_pool_has_its_own_places() {
    let http = Http { max_events: 1, max_questions: 1, ..Http::default() };
    let (limits, gate) = gate(http, "");
    let first = gate.event(&mut gate.charge()).unwrap();
    assert_eq!(gate.event(&mut gate.charge()).unwrap_err(), Refusal::Overloaded("events"));
    let _question = gate.question().unwrap();
    assert_eq!(limits.in_flight(), 2);
    drop(first);
    assert!(gate.event(&mut gate.charge()).is_ok());
}

#[test]
fn an_endpoint_that_is_full_leaves_room_to_the_others() {
    let (limits, small) = gate(Http::default(), "max_events = 1\nmax_questions = 1");
    let other = Gate::new(limits, &endpoint(""));
    let _event = small.event(&mut small.charge()).unwrap();
    let refused = small.event(&mut small.charge()).unwrap_err();
    assert_eq!(refused, Refusal::Overloaded("events of this endpoint"));
    let _question = small.question().unwrap();
    assert!(small.question().is_err());
    assert!(other.event(&mut other.charge()).is_ok() && other.question().is_ok());
}

#[test]
fn bytes_are_given_back() {
    let (_, gate) = gate(Http { max_in_flight_bytes: Size::mib(1), ..Http::default() }, "");
    let mut charge = gate.charge();
    charge.grow(1 << 20).unwrap();
    let mut other = gate.charge();
    assert!(other.grow(1).is_err());
    drop(charge);
    other.grow(1 << 20).unwrap();
}

#[test]
fn events_leave_a_quarter_of_the_bytes() {
    let http =
        Http { max_in_flight_bytes: Size::mib(8), max_body: Size::mib(2), ..Http::default() };
    let (_, gate) = gate(http, "");
    let events: Vec<_> = (0..3)
        .map(|_| {
            let mut charge = gate.charge();
            charge.grow(2 << 20).unwrap();
            (gate.event(&mut charge).unwrap(), charge)
        })
        .collect();
    let mut charge = gate.charge();
    charge.grow(2 << 20).unwrap();
    let refused = gate.event(&mut charge).unwrap_err();
    assert_eq!(refused, Refusal::Overloaded("bytes of events in flight"));
    // The same bytes are fine for a question.
    assert!(gate.question().is_ok());
    drop(events);
    assert!(gate.event(&mut charge).is_ok());
}

#[test]
fn limits_change_while_they_are_in_use() {
    let (limits, gate) = gate(Http { max_events: 2, ..Http::default() }, "max_events = 2");
    let held = [(); 2].map(|()| gate.event(&mut gate.charge()).unwrap());
    assert!(gate.event(&mut gate.charge()).is_err());
    limits.set(&Http { max_events: 3, ..Http::default() });
    assert!(gate.event(&mut gate.charge()).is_err());
    gate.set(&endpoint(""));
    let third = gate.event(&mut gate.charge()).unwrap();
    limits.set(&Http { max_events: 1, ..Http::default() });
    drop((held, third));
    assert_eq!(limits.in_flight(), 0);
    let _only = gate.event(&mut gate.charge()).unwrap();
    assert!(gate.event(&mut gate.charge()).is_err());
}

#[test]
fn a_rate_allows_a_burst_and_then_says_when_to_come_back() {
    let (_, gate) = gate(Http::default(), "rate_limit = \"1/m\"\nrate_burst = 2");
    assert!(gate.rate().is_ok() && gate.rate().is_ok());
    let Err(Refusal::TooFast { wait }) = gate.rate() else { panic!("it was let in") };
    assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60), "{wait:?}");
    // Setting the same again doesn't fill the bucket.
    gate.set(&endpoint("rate_limit = \"1/m\"\nrate_burst = 2"));
    assert!(gate.rate().is_err());
    gate.set(&endpoint("rate_limit = \"2/m\"\nrate_burst = 1"));
    assert!(gate.rate().is_ok() && gate.rate().is_err());
    gate.set(&endpoint(""));
    assert!(gate.rate().is_ok());
}
