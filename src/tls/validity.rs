//! From when to when a certificate is valid: the two dates in it, and nothing else of X.509.

use std::fmt;
use std::time::{Duration, SystemTime};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

/// Time before its expiry at which a certificate is warned about; less for one that is valid for a short time.
const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

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
        let mut certificate = SliceReader::new(certificate).ok()?;
        let validity = certificate.sequence(|signed| {
            let validity = signed.sequence(|fields| {
                if fields.peek_tag()? == VERSION {
                    AnyRef::decode(fields)?;
                }
                // The serial number, the algorithm of the signature, who issued it.
                for tag in [Tag::Integer, Tag::Sequence, Tag::Sequence] {
                    AnyRef::decode(fields)?.tag().assert_eq(tag)?;
                }
                let validity = fields
                    .sequence(|dates| Ok(Self { from: date_of(dates)?, until: date_of(dates)? }))?;
                skip_rest(fields)?;
                Ok(validity)
            })?;
            skip_rest(signed)?;
            Ok(validity)
        });
        validity.ok()
    }

    /// What an operator should know at this moment.
    pub fn problem(&self, now: SystemTime) -> Option<String> {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        let soon = EXPIRY_WARNING.min(life / 5);
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

/// The tag of the version, which only the first one lacks.
const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };

/// A date in one of the two forms of X.509.
fn date_of<'a>(dates: &mut impl Reader<'a>) -> der::Result<SystemTime> {
    Ok(match dates.peek_tag()? {
        Tag::UtcTime => UtcTime::decode(dates)?.to_system_time(),
        _ => GeneralizedTime::decode(dates)?.to_system_time(),
    })
}

fn skip_rest<'a>(reader: &mut impl Reader<'a>) -> der::Result<()> {
    reader.read_slice(reader.remaining_len()).map(drop)
}

#[cfg(test)]
mod tests;
