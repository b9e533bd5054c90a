//! From when to when a certificate is valid: the two dates in it, and nothing else of X.509.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Somebody should renew by then; sooner for certificates that live shortly.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub from: SystemTime,
    /// Its last moment.
    pub until: SystemTime,
}

impl Validity {
    /// Of a certificate in DER; nothing where it can't be read.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        const VERSION: u8 = 0xa0;
        let mut to_be_signed = Der(certificate).take(SEQUENCE)?.take(SEQUENCE)?;
        if to_be_signed.0.first() == Some(&VERSION) {
            to_be_signed.take(VERSION)?;
        }
        // The serial number, the algorithm of the signature, who issued it.
        to_be_signed.take(INTEGER)?;
        to_be_signed.take(SEQUENCE)?;
        to_be_signed.take(SEQUENCE)?;
        let mut dates = to_be_signed.take(SEQUENCE)?;
        Some(Self { from: dates.date()?, until: dates.date()? })
    }

    /// What an operator should know at this moment.
    pub fn problem(&self, now: SystemTime) -> Option<String> {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        let soon = SOON.min(life / 5);
        if now < self.from {
            Some(format!("the certificate isn't valid before {}", date(self.from)))
        } else if now > self.until {
            Some(format!("the certificate expired at {}", date(self.until)))
        } else if now + soon > self.until {
            Some(format!("the certificate expires at {}", date(self.until)))
        } else {
            None
        }
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", date(self.from), date(self.until))
    }
}

fn date(time: SystemTime) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(time)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;

/// What is left of a row of values, each a tag, a length and its bytes.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The contents of the first value, which has to have this tag. Goes on behind it.
    fn take(&mut self, tag: u8) -> Option<Self> {
        let (found, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if length >= 0x80 {
            let digits;
            (digits, rest) = rest.split_at_checked(length - 0x80)?;
            length = digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
        }
        let contents;
        (contents, self.0) = rest.split_at_checked(length)?;
        (*found == tag).then_some(Self(contents))
    }

    /// A date in one of the two forms of X.509.
    fn date(&mut self) -> Option<SystemTime> {
        let (year, digits) = match self.0.first()? {
            &UTC_TIME => {
                let text = std::str::from_utf8(self.take(UTC_TIME)?.0).ok()?;
                let century = if text.get(..2)? < "50" { "20" } else { "19" };
                (format!("{century}{}", text.get(..2)?), text.get(2..)?)
            }
            _ => {
                let text = std::str::from_utf8(self.take(GENERALIZED_TIME)?.0).ok()?;
                (text.get(..4)?.to_owned(), text.get(4..)?)
            }
        };
        let part = |at: usize| digits.get(at..at + 2);
        let (month, day) = (part(0)?, part(2)?);
        let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        (digits.get(10..)? == "Z").then_some(())?;
        humantime::parse_rfc3339(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = u16::try_from(contents.len()).unwrap_or_default().to_be_bytes();
        [&[tag, 0x82], &length[..], contents].concat()
    }

    /// As much of a certificate as is read here.
    fn certificate(from: (u8, &str), until: (u8, &str)) -> Vec<u8> {
        let date = |(tag, text): (u8, &str)| value(tag, text.as_bytes());
        let version = value(0xa0, &[INTEGER, 1, 2]);
        let head =
            [version, value(INTEGER, &[7; 20]), value(SEQUENCE, &[]), value(SEQUENCE, &[5, 0])];
        let dates = value(SEQUENCE, &[date(from), date(until)].concat());
        value(SEQUENCE, &value(SEQUENCE, &[head.concat(), dates, vec![0; 300]].concat()))
    }

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn both_forms_of_dates_are_read() {
        let new = certificate((UTC_TIME, "991231235959Z"), (GENERALIZED_TIME, "20500102030405Z"));
        assert_eq!(
            Validity::of(&new),
            Some(Validity { from: at("1999-12-31T23:59:59Z"), until: at("2050-01-02T03:04:05Z") })
        );
        for wrong in [
            "",
            "9912312359Z",
            "991231235959",
            "991331235959Z",
            "99123123595\u{e9}",
            "991231235959Zx",
        ] {
            let wrong = certificate((UTC_TIME, wrong), (UTC_TIME, "991231235959Z"));
            assert_eq!(Validity::of(&wrong), None);
        }
    }

    #[test]
    fn nothing_panics_on_what_is_cut_or_changed() {
        let whole = certificate((UTC_TIME, "250101000000Z"), (UTC_TIME, "260101000000Z"));
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
}
