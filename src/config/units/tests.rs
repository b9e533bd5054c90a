#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn times() {
    for (text, shown) in [
        ("5s", "5s"),
        ("75s", "75s"),
        ("90m", "90m"),
        ("2 min", "2m"),
        ("7d", "7d"),
        ("250ms", "250ms"),
        ("0s", "0s"),
        ("1s 500us", "1s 500us"),
    ] {
        let time: Time = text.parse().unwrap();
        assert_eq!(time.to_string(), shown);
        assert_eq!(shown.parse::<Time>().unwrap(), time);
    }
    for text in ["", "5", "5x", "s", "-1s", "200y", "99999999999999999999s"] {
        assert!(text.parse::<Time>().is_err(), "{text}");
    }
}

#[test]
fn sizes() {
    for (text, bytes, shown) in [
        ("8MiB", 8 << 20, "8MiB"),
        ("1536 KiB", 1536 << 10, "1536KiB"),
        ("1MB", 1_000_000, "1000000B"),
        ("10GiB", 10 << 30, "10GiB"),
        ("100", 100, "100B"),
        ("0", 0, "0B"),
    ] {
        let size: Size = text.parse().unwrap();
        assert_eq!((size.get(), size.to_string().as_str()), (bytes, shown));
        assert_eq!(shown.parse::<Size>().unwrap(), size);
    }
    for text in ["", "MiB", "-1MiB", "5 apples"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}

#[test]
fn rates() {
    for (text, shown, interval, burst) in [
        ("100/s", "100/s", Duration::from_millis(10), 100),
        ("90 / m", "90/m", Duration::from_millis(666), 2),
        ("1/h", "1/h", Duration::from_secs(3_600), 1),
    ] {
        let rate: Rate = text.parse().unwrap();
        assert_eq!(rate.to_string(), shown);
        assert_eq!(rate.interval().as_millis().abs_diff(interval.as_millis()), 0, "{text}");
        assert_eq!(rate.in_a_second(), burst);
    }
    for text in ["", "5", "5/", "/s", "-1/s", "0/s", "5/d", "1.5/s", "2000000/s", "99999999999/s"] {
        assert!(text.parse::<Rate>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_can_be_written(nanoseconds in 0..=MAX_TIME.as_nanos() as u64, bytes: usize) {
        let time = Time(Duration::from_nanos(nanoseconds));
        prop_assert_eq!(time.to_string().parse(), Ok(time));
        prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
    }

    #[test]
    fn whole_units_are_shown_in_the_largest(number in 1..1_000_u64, unit in "[KMG]") {
        let shift = match &*unit { "K" => 10, "M" => 20, _ => 30 };
        let size: Size = format!("{number} {unit}iB").parse().unwrap();
        prop_assert_eq!(size.get(), (number as usize) << shift);
    }

    #[test]
    fn any_text_is_a_unit_or_an_error(text in "-?[0-9. ]{0,24}[a-zA-Z]{0,4}|.*") {
        if let Ok(time) = text.parse::<Time>() {
            prop_assert!(time.get() <= MAX_TIME);
        }
        let _ = (text.parse::<Size>(), text.parse::<Rate>());
    }
}
