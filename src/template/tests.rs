#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn vars<'a>(kind: &'a str, value: &'a str) -> Vars<'a> {
    Vars { endpoint: "vapi", kind, key: Some(value), function: Some(value) }
}

fn subject(template: &str, kind: &str, value: &str) -> String {
    Template::subject(template).unwrap().render_subject(&vars(kind, value))
}

fn error(template: &str) -> (usize, String, String) {
    let error = Template::subject(template).unwrap_err();
    (error.offset, error.message, error.hint.unwrap())
}

#[test]
fn plain_values_stay() {
    assert_eq!(
        subject("{endpoint}.events.{type}", "status-update", ""),
        "vapi.events.status-update"
    );
    assert_eq!(
        subject("{endpoint}.tool.{function}", "", "get_Weather-2"),
        "vapi.tool.get_Weather-2"
    );
    assert_eq!(subject("a.{type}.{key}", "chat.created", "0f-1"), "a.chat.created.0f-1");
}

#[test]
fn a_pattern_becomes_a_pattern() {
    let glob = |template: &str, kind, function| {
        let vars = Vars { endpoint: "vapi", kind, key: None, function: Some(function) };
        Template::subject(template).unwrap().subject_glob(&vars)
    };
    assert_eq!(glob("{endpoint}.tool.{function}", "", "get_*"), "vapi.tool.get_*");
    assert_eq!(glob("{endpoint}.tool.{function}", "", "a.* b"), "vapi.tool.a%2E*%20b");
    assert_eq!(glob("a.{type}.{key}", "chat.*", ""), "a.chat.*.*");
    assert_eq!(glob("a.{type}", ".x", ""), "a.%2Ex");
}

#[test]
fn dots_stay_only_between_parts_of_the_type() {
    for (kind, expected) in [
        ("a.b.c", "a.b.c"),
        (".a", "%2Ea"),
        ("a.", "a%2E"),
        ("a..b", "a%2E%2Eb"),
        (".", "%2E"),
        ("..", "%2E%2E"),
    ] {
        assert_eq!(subject("x.{type}", kind, ""), format!("x.{expected}"));
    }
    assert_eq!(subject("x.{key}", "", "a.b"), "x.a%2Eb");
    assert_eq!(subject("x.{function}", "", "a.b"), "x.a%2Eb");
}

#[test]
fn foreign_characters_are_escaped() {
    assert_eq!(subject("x.{key}", "", "* >\r\n%\u{0}\u{e9}"), "x.%2A%20%3E%0D%0A%25%00%C3%A9");
    assert_eq!(subject("x.{type}", "", ""), "x.%");
    let absent = Vars { key: None, function: None, ..vars("t", "") };
    assert_eq!(Template::subject("x.{key}.{function}").unwrap().render_subject(&absent), "x.%.%");
}

#[test]
fn long_values_are_cut() {
    let fits = "a".repeat(128);
    assert_eq!(subject("x.{key}", "", &fits), format!("x.{fits}"));
    for long in
        ["a".repeat(129), "\u{1f600}".repeat(50), "a.".repeat(90), format!("a{}", "*".repeat(60))]
    {
        for template in ["x.{key}", "x.{type}"] {
            let rendered = subject(template, &long, &long);
            let value = &rendered[2..];
            assert!(value.len() <= 128 && value.len() > 120, "{value}");
            let (kept, hash) = value.split_once("%-").unwrap();
            assert_eq!(hash.len(), 32);
            // No escape is cut in half.
            assert!(kept.split('%').skip(1).all(|escape| escape.len() >= 2), "{kept}");
            // A value that looks like the cut one is something else.
            assert_ne!(subject(template, value, value), rendered);
        }
    }
    assert_ne!(subject("x.{key}", "", &"a".repeat(129)), subject("x.{key}", "", &"a".repeat(130)));
}

/// A small generator, so that failures repeat.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 16] = [
            'a',
            'B',
            '7',
            '_',
            '-',
            '.',
            '.',
            '*',
            '>',
            ' ',
            '%',
            '$',
            '\n',
            '\u{0}',
            '\u{e9}',
            '\u{1f600}',
        ];
        let length = match self.below(10) {
            0 => self.below(400),
            _ => self.below(6),
        };
        (0..length).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }
}

#[test]
fn no_value_breaks_a_subject() {
    let templates = [
        "{endpoint}.events.{type}",
        "{endpoint}.tool.{function}",
        "a-{key}-b.{type}.c",
        "{endpoint}{type}{key}{function}",
    ];
    let mut random = Random(42);
    for text in templates {
        let template = Template::subject(text).unwrap();
        let pattern = template.pattern("vapi");
        for _ in 0..5_000 {
            let (kind, key, function) = (random.text(), random.text(), random.text());
            let vars =
                Vars { endpoint: "vapi", kind: &kind, key: Some(&key), function: Some(&function) };
            let subject = template.render_subject(&vars);
            assert!(subject.split('.').all(|token| !token.is_empty()), "{subject}");
            assert!(
                subject.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>'),
                "{subject}"
            );
            assert!(covers(&pattern, &subject), "{pattern} {subject}");
        }
    }
}

#[test]
fn different_values_give_different_subjects() {
    let template = Template::subject("x.{type}.y.{key}").unwrap();
    let mut random = Random(7);
    let mut seen = std::collections::HashMap::new();
    for _ in 0..20_000 {
        let (kind, key) = (random.text(), random.text());
        let subject = template.render_subject(&Vars { kind: &kind, ..vars("", &key) });
        let before = seen.insert(subject.clone(), (kind.clone(), key.clone()));
        assert!(before.is_none_or(|before| before == (kind, key)), "{subject}");
    }
}

fn topic(template: &str, kind: &str, value: &str) -> String {
    Template::topic(template).unwrap().render_topic(&vars(kind, value))
}

#[test]
fn topics_are_legal() {
    assert_eq!(topic("{endpoint}.events", "", ""), "vapi.events");
    assert_eq!(topic("calls.{type}", "chat.created", ""), "calls.chat.created");
    assert_eq!(topic("calls.{key}", "", "a b*\u{e9}"), "calls.a-b---");
    assert_eq!(topic("calls.{key}", "", ""), "calls.-");
    assert_eq!(topic(".{key}", "", "."), "--");
    let mut random = Random(9);
    for _ in 0..5_000 {
        let name = topic(".{type}{key}", &random.text(), &random.text());
        assert!(name.len() <= 249 && !name.is_empty() && name != "." && name != "..");
        assert!(name.chars().all(stays_in_topic), "{name}");
    }
}

#[test]
fn long_topics_are_cut() {
    let (one, other) = (format!("{}1", "a".repeat(300)), format!("{}2", "a".repeat(300)));
    let name = topic("calls.{key}", "", &one);
    assert_eq!(name.len(), 249);
    assert_ne!(name, topic("calls.{key}", "", &other));
    assert_eq!(topic("c{key}", "", &"a".repeat(248)).len(), 249);
    assert!(!topic("c{key}", "", &"a".repeat(248)).contains('-'));
}

#[test]
fn patterns_cover_what_is_rendered() {
    for (text, pattern) in [
        ("{endpoint}.events.{type}", "vapi.events.>"),
        ("{endpoint}.tool.{function}", "vapi.tool.*"),
        ("a.{key}-x.b.{function}", "a.*.b.*"),
        ("a.b-{type}.c", "a.>"),
        ("plain.{endpoint}-x", "plain.vapi-x"),
    ] {
        assert_eq!(Template::subject(text).unwrap().pattern("vapi"), pattern);
    }
}

#[test]
fn mistakes_are_found() {
    let (at, message, hint) = error("a.{typ}");
    assert_eq!(
        (at, message.as_str(), hint.as_str()),
        (2, "unknown variable `{typ}`", "did you mean `{type}`?")
    );
    assert_eq!(error("{type}.x").1, "`{type}` can't be at the beginning");
    assert_eq!(error("a.{type").1, "`{` without its other half");
    assert_eq!(error("a.type}").0, 6);
    assert_eq!(error("").1, "the name is empty");
    assert_eq!(error("a..b").0, 2);
    assert_eq!(error("a.").1, "a part between the dots is empty");
    assert_eq!(error("a.*").1, "a subject can't contain `*`");
    assert_eq!(error("a b").1, "a subject can't contain a space");
    assert_eq!(error("a.{type}.\u{e9}").0, 9);
    assert!(error("$JS.x").1.contains("`$`"));
    assert!(error("_INBOX.x").1.contains("`_INBOX`"));
    assert!(error("_IN{key}.x").1.contains("`_INBOX`"));
    assert!(Template::subject("_mine.{key}").is_ok());
    assert!(error(&format!("a{}", "{key}".repeat(20))).1.contains("2561 bytes"));
    assert_eq!(Template::topic("a/b").unwrap_err().message, "a topic's name can't contain `/`");
    assert!(Template::topic("..").is_err());
    assert!(Template::topic(&"a".repeat(250)).is_err());
}

/// Texts of what has a meaning in a subject, so that two of them come near to each other often.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a%.\u{e9} *>-]{0,6}",
        "[a.]{120,135}",
        "[a.%]{90,140}(%-)?[0-9a-f]{0,32}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_values_make_a_legal_subject(kind in value(), other in value(), text in ".*") {
        let vars = vars(&kind, &other);
        let all = "{endpoint}.{type}.{key}-{function}.b";
        for template in [Template::subject(all), Template::subject(&text)].into_iter().flatten() {
            let subject = template.render_subject(&vars);
            prop_assert!(subject.len() <= MAX_SUBJECT_BYTES);
            prop_assert!(subject.split('.').all(|token| !token.is_empty()), "{}", subject);
            prop_assert!(subject.bytes().all(|b| b.is_ascii_graphic() && !b"*>".contains(&b)));
            prop_assert!(covers(&template.pattern("vapi"), &subject), "{}", subject);
        }
    }

    #[test]
    fn distinct_values_stay_distinct(one in value(), other in value()) {
        for template in ["a.{type}", "a.{type}.b", "a.{key}", "a.{function}"] {
            let subjects = [&one, &other].map(|value| subject(template, value, value));
            prop_assert_eq!(one == other, subjects[0] == subjects[1], "{:?}", subjects);
            prop_assert!(subjects[0].len() <= MAX_VALUE_BYTES + "a..b".len());
        }
    }

    #[test]
    fn any_values_make_a_legal_topic(kind in value(), other in value(), text in ".*") {
        let all = ["{endpoint}.{type}", "{endpoint}{key}{function}", &text];
        for template in all.into_iter().flat_map(Template::topic) {
            let topic = template.render_topic(&vars(&kind, &other));
            prop_assert!((1..=MAX_TOPIC_CHARS).contains(&topic.len()), "{}", topic);
            prop_assert!(topic.chars().all(stays_in_topic) && topic != "." && topic != "..");
        }
    }
}
