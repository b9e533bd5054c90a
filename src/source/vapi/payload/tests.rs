#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use crate::config::All;
use crate::json::Reader;
use crate::source::vapi::call::Arguments;
use crate::source::vapi::members::Places;

fn members(message: &str) -> Members {
    let body = Bytes::copy_from_slice(message.as_bytes());
    let text = std::str::from_utf8(&body).unwrap();
    let mut places = Places::default();
    let read = Reader::over(text).object(|reader, key| {
        places.add(&body, key, reader.skip()?);
        Ok(())
    });
    read.unwrap();
    Members::new(&body, text, places)
}

fn named(names: &[&str]) -> Context {
    Context::Members(names.iter().map(|name| (*name).to_owned()).collect())
}

const EMPTY: Call = Call { id: None, name: None, arguments: Arguments::Empty };

/// What is handed on beside a call.
fn payload(message: &str, context: &Context) -> String {
    let mut size = 0;
    let payloads = payloads(&members(message), &[EMPTY], &|_| context, &mut |bytes| {
        size = bytes;
        true
    });
    let [Some(payload)] = &payloads[..] else { panic!("one payload") };
    assert!(payload.len() <= size);
    let text = std::str::from_utf8(payload).unwrap();
    text.strip_prefix(r#"{"arguments":{}"#).unwrap().strip_suffix('}').unwrap().to_owned()
}

#[test]
fn a_call_comes_first_as_it_was_sent() {
    let members = members(r#"{"i": "\u0061", "n":"f" ,"a": [1.0]}"#);
    let part = |text: &str| {
        let body = r#"{"i": "\u0061", "n":"f" ,"a": [1.0]}"#;
        let start = body.find(text).unwrap();
        Some(start..start + text.len())
    };
    let sent = Arguments::Sent(part("[1.0]").unwrap());
    let calls = [
        Call { id: part(r#""\u0061""#), name: part(r#""f""#), arguments: sent },
        Call { id: None, name: None, arguments: Arguments::Unwrapped("{\"x\": 1}".to_owned()) },
    ];
    let context = named(&[]);
    let payloads = payloads(&members, &calls, &|_| &context, &mut |_| true);
    assert_eq!(
        payloads[0].as_deref(),
        Some(&br#"{"id":"\u0061","name":"f","arguments":[1.0]}"#[..])
    );
    assert_eq!(payloads[1].as_deref(), Some(&br#"{"arguments":{"x": 1}}"#[..]));
}

#[test]
fn members_are_handed_on_as_they_are() {
    let message = r#"{ "call" : {"id": "c"}, "x":1.50,"c\u0061ll":{"id":"d"}, "id":7, "n\u0061me":8,"customer":null}"#;
    let many: Vec<_> = (0..FEW).map(|n| format!("none{n}")).collect();
    let mut many: Vec<_> = many.iter().map(String::as_str).collect();
    many.extend(["customer", "call", "x", "id"]);
    for (context, expected) in [
        (named(&["customer", "call", "none"]), r#","c\u0061ll":{"id":"d"},"customer":null"#),
        (named(&many), r#","x":1.50,"c\u0061ll":{"id":"d"},"customer":null"#),
        (named(&["x", "x"]), r#","x":1.50"#),
        (named(&["id", "name", "arguments"]), ""),
        (named(&[]), ""),
        (Context::All(All::All), r#","x":1.50,"c\u0061ll":{"id":"d"},"customer":null"#),
    ] {
        assert_eq!(payload(message, &context), expected, "{context:?}");
    }
    assert_eq!(payload("{}", &Context::All(All::All)), "");
}

#[test]
fn of_very_many_members_doubled_ones_are_left_to_the_reader() {
    let filling: String = (0..64).map(|n| format!(r#""x{n}":0,"#)).collect();
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
fn each_call_gets_the_context_of_its_rule() {
    let members = members(r#"{"call":{"id":"c"},"x":1}"#);
    let (all, some, none) = (Context::All(All::All), named(&["x"]), named(&[]));
    let wanted = [&all, &some, &some, &none, &all, &some];
    let calls = [EMPTY; 6];
    let payloads = payloads(&members, &calls, &|place| wanted[place], &mut |_| true);
    for (context, payload) in wanted.into_iter().zip(payloads) {
        let expected = match context {
            Context::All(_) => r#"{"arguments":{},"call":{"id":"c"},"x":1}"#,
            some if *some == named(&["x"]) => r#"{"arguments":{},"x":1}"#,
            _ => r#"{"arguments":{}}"#,
        };
        assert_eq!(payload.unwrap(), expected);
    }
}

#[test]
fn nothing_is_built_that_there_is_no_room_for() {
    let members = members(r#"{"call":{"id":"c"}}"#);
    let context = Context::default();
    let mut told = Vec::new();
    let payloads = payloads(&members, &[EMPTY; 3], &|_| &context, &mut |bytes| {
        told.push(bytes);
        told.len() == 2
    });
    assert_eq!(payloads.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(told, [payloads[1].as_ref().unwrap().len(); 3]);
}
