use der::Encode as _;

use super::*;

fn value(tag: Tag, contents: &[u8]) -> Vec<u8> {
    AnyRef::new(tag, contents).and_then(|value| value.to_der()).unwrap_or_default()
}

/// As much of a certificate as is read here.
fn certificate(from: (Tag, &str), until: (Tag, &str)) -> Vec<u8> {
    let date = |(tag, text): (Tag, &str)| value(tag, text.as_bytes());
    let head = [
        value(VERSION, &value(Tag::Integer, &[2])),
        value(Tag::Integer, &[7; 20]),
        value(Tag::Sequence, &[]),
        value(Tag::Sequence, &[5, 0]),
    ];
    let dates = value(Tag::Sequence, &[date(from), date(until)].concat());
    let signed = value(Tag::Sequence, &[head.concat(), dates, vec![0; 300]].concat());
    value(Tag::Sequence, &[signed, vec![5, 0]].concat())
}

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[test]
fn both_forms_of_dates_are_read() {
    let new =
        certificate((Tag::UtcTime, "991231235959Z"), (Tag::GeneralizedTime, "20500102030405Z"));
    assert_eq!(
        Validity::of(&new),
        Some(Validity { from: at("1999-12-31T23:59:59Z"), until: at("2050-01-02T03:04:05Z") })
    );
    for wrong in
        ["", "9912312359Z", "991231235959", "991331235959Z", "99123123595\u{e9}", "991231235959Zx"]
    {
        let wrong = certificate((Tag::UtcTime, wrong), (Tag::UtcTime, "991231235959Z"));
        assert_eq!(Validity::of(&wrong), None);
    }
}

#[test]
fn nothing_panics_on_what_is_cut_or_changed() {
    let whole = certificate((Tag::UtcTime, "250101000000Z"), (Tag::UtcTime, "260101000000Z"));
    for length in 0..whole.len() {
        let _ = Validity::of(&whole[..length]);
        for byte in [0x00, 0x30, 0x7f, 0x80, 0x88, 0xff] {
            let mut changed = whole.clone();
            changed[length] = byte;
            let _ = Validity::of(&changed);
        }
    }
}

#[test]
fn a_certificate_is_told_of_in_the_last_fifth_of_its_life() {
    let problem = |from, until, now| {
        let validity = Validity { from: at(from), until: at(until) };
        validity.problem(at(now)).unwrap_or_default()
    };
    let year = |now| problem("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", now);
    assert_eq!(year("2026-12-17T00:00:00Z"), "");
    assert_eq!(year("2026-12-19T00:00:00Z"), "the certificate expires at 2027-01-01T00:00:00Z");
    assert_eq!(year("2027-01-02T00:00:00Z"), "the certificate expired at 2027-01-01T00:00:00Z");
    let before = "the certificate isn't valid before 2026-01-01T00:00:00Z";
    assert_eq!(year("2025-12-31T00:00:00Z"), before);
    let day = |now| problem("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", now);
    assert_eq!(day("2026-01-01T19:00:00Z"), "");
    assert_ne!(day("2026-01-01T20:00:00Z"), "");
}
