#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::config::All;

fn members(message: &str) -> Members {
    let body = Bytes::copy_from_slice(message.as_bytes());
    Members::new(&body, std::str::from_utf8(&body).unwrap(), &[], false)
}

fn named(names: &[&str]) -> Context {
    Context::Members(names.iter().map(|name| (*name).to_owned()).collect())
}

fn call(id: Option<&'static str>) -> ToolCall {
    let id = id.map(|id| Bytes::from_static(id.as_bytes()));
    ToolCall { id, name: Some("\"f\"".into()), arguments: "{}".into() }
}

fn payload(message: &str, context: &Context) -> String {
    let members = members(message);
    let mut told = Vec::new();
    let contexts = Contexts::of(&members, [context], |bytes| {
        told.push(bytes);
        true
    });
    let contexts = contexts.unwrap();
    assert_eq!(told.len(), 1);
    assert!(contexts.all[0].1.len() <= told[0]);
    let mut size = 0;
    let call = call(Some("\"i\""));
    let payload = contexts.payload(&call, context, |bytes| {
        size = bytes;
        true
    });
    let payload = payload.unwrap();
    assert_eq!(payload.len(), size);
    let own = r#"{"id":"i","name":"f","arguments":{}"#;
    let text = String::from_utf8(payload.to_vec()).unwrap();
    text.strip_prefix(own).unwrap().strip_suffix('}').unwrap().to_owned()
}

#[test]
fn members_are_handed_on_as_they_are() {
    let message = r#"{ "call" : {"id": "c"}, "x":1.50,"c\u0061ll":{"id":"d"}, "id":7, "n\u0061me":8,"customer":null}"#;
    for (context, expected) in [
        (named(&["customer", "call", "none"]), r#","c\u0061ll":{"id":"d"},"customer":null"#),
        (named(&["x", "x"]), r#","x":1.50"#),
        (named(&["id", "name", "arguments"]), ""),
        (named(&[]), ""),
        (Context::All(All::All), r#","x":1.50,"c\u0061ll":{"id":"d"},"customer":null"#),
    ] {
        assert_eq!(payload(message, &context), expected);
    }
    assert_eq!(payload("{}", &Context::All(All::All)), "");
}

#[test]
fn of_very_many_members_doubled_ones_are_left_to_the_reader() {
    let filling: String = (0..TOLD_APART).map(|n| format!(r#""x{n}":0,"#)).collect();
    let doubled = |filling: &str| format!(r#"{{"a":1,"id":2,{filling}"a":3}}"#);
    let all = Context::All(All::All);
    let few = payload(&doubled(r#""x":0,"#), &all);
    assert_eq!(few, r#","x":0,"a":3"#);
    let many = payload(&doubled(&filling), &all);
    assert!(many.starts_with(r#","a":1,"x0":0,"#) && many.ends_with(r#","a":3"#));
    // Named ones are still told apart.
    assert_eq!(payload(&doubled(&filling), &named(&["a"])), r#","a":3"#);
}

#[test]
fn a_context_is_written_once_for_all_calls() {
    let members = members(r#"{"call":{"id":"c"},"x":1}"#);
    let (all, some, none) = (Context::All(All::All), named(&["x"]), named(&[]));
    let wanted = [&all, &some, &some, &none, &all, &some];
    let contexts = Contexts::of(&members, wanted, |_| true).unwrap();
    assert_eq!(contexts.all.len(), 3);
    for (context, expected) in [
        (&all, r#"{"name":"f","arguments":{},"call":{"id":"c"},"x":1}"#),
        (&some, r#"{"name":"f","arguments":{},"x":1}"#),
        (&none, r#"{"name":"f","arguments":{}}"#),
    ] {
        assert_eq!(contexts.payload(&call(None), context, |_| true).unwrap(), expected);
    }
}

#[test]
fn nothing_is_built_that_there_is_no_room_for() {
    let members = members(r#"{"call":{"id":"c"}}"#);
    let context = Context::default();
    assert!(Contexts::of(&members, [&context], |_| false).is_none());
    let contexts = Contexts::of(&members, [&context], |_| true).unwrap();
    assert!(contexts.payload(&call(None), &context, |_| false).is_none());
}
