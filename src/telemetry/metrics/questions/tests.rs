use super::*;

#[test]
fn names_from_outside_are_bounded() {
    let metrics = Metrics::default();
    let (endpoint, long): (Arc<str>, Arc<str>) = ("e".into(), "x".repeat(129).into());
    let ruled = metrics.function(&endpoint, "book");
    for number in 0..10_000 {
        metrics.unruled_function(&endpoint, &format!("f{number}").into());
    }
    assert_eq!(metrics.questions.lock().all.len(), 1 + MAX_UNRULED + 1);
    let of = |name: &Arc<str>| metrics.unruled_function(&endpoint, name).name().to_owned();
    assert_eq!(of(&"f99".into()), "f99");
    for name in [&"f100".into(), &long, &"".into()] {
        assert_eq!(of(name), "other");
    }
    // One endpoint takes no other's room.
    let elsewhere = metrics.unruled_function(&"g".into(), &"a\nb".into());
    assert_eq!(elsewhere.name(), "a\u{fffd}b");
    assert_eq!(metrics.function(&endpoint, "book").number(), ruled.number());
}

#[test]
fn silence_is_said_once_and_so_is_its_end() {
    let metrics = Metrics::default();
    let question = metrics.function(&"e".into(), "book");
    assert!(!question.record_answer());
    let silent = || question.record_silence(Outcome::Timeout, || "e.tool.book".to_owned());
    assert!(silent() && !silent());
    let unanswered = metrics.unanswered();
    assert_eq!((unanswered.len(), &*unanswered[0].name), (1, "e `book`"));
    assert_eq!((&*unanswered[0].subject, unanswered[0].outcome), ("e.tool.book", Outcome::Timeout));
    assert!(question.record_answer() && !question.record_answer());
    // By turns: not again within a minute.
    assert!(!silent() && !question.record_answer());
    assert_eq!(metrics.unanswered(), []);
}
