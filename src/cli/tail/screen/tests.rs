use super::*;

fn webhook() -> Webhook {
    Webhook {
        time: "2026-11-23T15:20:09.526Z".to_owned(),
        endpoint: "vapi".into(),
        r#type: Some("status-update".into()),
        key: Some("call-7".into()),
        destinations: vec!["nats:vapi.events.{type}".into(), "kafka:calls".into()],
        outcome: "stored".into(),
        status: Some(200),
        milliseconds: 3.125,
        bytes: 100,
        ..Webhook::default()
    }
}

fn screen(has_colours: bool) -> Screen {
    Screen { has_colours, ..Screen::new(false) }
}

#[test]
fn lines_stand_in_columns() {
    let mut screen = screen(false);
    let stored = screen.line(&webhook());
    let expected = "15:20:09.526Z  vapi  status-update  call-7    stored         3.1 ms  nats:vapi.events.{type} kafka:calls";
    assert_eq!(stored, expected);
    let refused = Webhook {
        r#type: None,
        key: None,
        destinations: Vec::new(),
        outcome: "refused".into(),
        reason: Some("unauthorized".into()),
        ..webhook()
    };
    let expected =
        "15:20:09.526Z  vapi  -              -         refused:unauthorized       3.1 ms";
    assert_eq!(screen.line(&refused), expected);
    assert!(screen.line(&webhook()).contains("stored                     3.1 ms"));
}

#[test]
fn a_line_is_one_line_whatever_it_holds() {
    let odd = Webhook {
        key: Some("a\nb\u{1b}[2J\u{9b}c".into()),
        r#type: Some("x".repeat(500).into()),
        body: Some("{\r\n}".to_owned()),
        ..webhook()
    };
    let line = screen(false).line(&odd);
    assert!(line.len() < 300 && !line.contains(['\r', '\u{1b}', '\u{9b}']), "{line}");
    assert!(line.contains("...  a\u{fffd}b"), "{line}");
    assert!(line.ends_with("\n    {\u{fffd}\u{fffd}} ... (100 bytes)"), "{line}");
}

#[test]
fn only_the_outcome_has_a_colour() {
    let line = screen(true).line(&webhook());
    assert!(line.contains("\x1b[32mstored\x1b[0m  "), "{line}");
    let rejected = Webhook { outcome: "dead-lettered".into(), ..webhook() };
    assert!(screen(true).line(&rejected).contains("\x1b[31mdead-lettered\x1b[0m"));
}
