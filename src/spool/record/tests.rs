#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::option;
use proptest::prelude::*;

use super::*;

fn bytes(stored: &impl Stored) -> Bytes {
    let mut bytes = stored.head();
    bytes.extend(stored.payload());
    bytes.into()
}

fn full() -> Record {
    Record {
        name: "vapi.events.a".into(),
        event: Event {
            id: "1".into(),
            endpoint: "vapi".into(),
            kind: "status-update".into(),
            key: Some("call \u{1}".into()),
            subject: Some("call \u{fffd}".into()),
            time: SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789),
            content_type: "application/json".into(),
            payload: Bytes::from_static(b"{\"a\": \xff}"),
            trace: Trace::new(Some("00-a-b-01".into()), Some("k=v".into())),
            dedupe: true,
        },
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    let record = full();
    let read = Record::read(bytes(&record)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{record:?}"));

    let mut record = full();
    record.event.key = None;
    record.event.subject = None;
    record.event.trace = Trace::default();
    record.event.dedupe = false;
    record.event.payload = Bytes::new();
    let read = Record::read(bytes(&record)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{record:?}"));

    let letter = DeadLetter {
        destination: "nats:{endpoint}".into(),
        reason: "too-large".into(),
        detail: "1 > 0".into(),
        record: full(),
    };
    let read = DeadLetter::read(bytes(&letter)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{letter:?}"));
    assert!(Record::read(bytes(&letter)).is_none());
}

#[test]
fn what_ends_early_is_no_record() {
    let head = full().head().len();
    let whole = bytes(&full());
    for length in 0..head {
        assert!(Record::read(whole.slice(..length)).is_none(), "{length}");
    }
}

fn text() -> impl Strategy<Value = Arc<str>> {
    any::<String>().prop_map(Into::into)
}

fn record() -> impl Strategy<Value = Record> {
    let names = (text(), text(), text(), text(), text());
    let optional = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    let time = (0..=u64::from(u32::MAX), 0..1_000_000_000_u32);
    (names, optional, time, any::<Vec<u8>>(), any::<bool>()).prop_map(
        |(names, (key, subject, parent, state), (seconds, nanoseconds), payload, dedupe)| {
            let (name, id, endpoint, kind, content_type) = names;
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            let (payload, trace) = (payload.into(), Trace::new(parent, state));
            Record {
                name,
                event: Event {
                    id,
                    endpoint,
                    kind,
                    key,
                    subject,
                    time,
                    content_type,
                    payload,
                    trace,
                    dedupe,
                },
            }
        },
    )
}

proptest! {
    #[test]
    fn any_record_is_read_as_it_was_written(record in record(), detail in text()) {
        let read = Record::read(bytes(&record)).unwrap();
        prop_assert_eq!(format!("{:?}", read), format!("{:?}", record));
        let (destination, reason) = (record.name.clone(), record.event.id.clone());
        let letter = DeadLetter { destination, reason, detail, record };
        let read = DeadLetter::read(bytes(&letter)).unwrap();
        prop_assert_eq!(format!("{:?}", read), format!("{:?}", letter));
    }

    #[test]
    fn any_bytes_are_a_record_or_none(mut input in any::<Vec<u8>>(), kind in 0..4_u8) {
        input.insert(0, kind);
        let input = Bytes::from(input);
        if let Some(record) = Record::read(input.clone()) {
            // Flags that mean nothing are not written again.
            prop_assert_eq!(&bytes(&record)[2..], &input[2..]);
        }
        DeadLetter::read(input);
    }
}
