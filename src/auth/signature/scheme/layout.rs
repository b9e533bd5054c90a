//! The header of a signature, by its layout.

use super::{Cause, Layout, MAX_SIGNATURES, Scheme};

/// What a header holds.
#[derive(Debug, Default)]
pub(super) struct Read<'a> {
    /// The signatures that it may be.
    pub(super) signatures: Vec<Vec<u8>>,
    /// The time, where it stands in the first place.
    pub(super) time: Option<&'a str>,
    /// Fields with names.
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Read<'a> {
    /// Those of another header as well.
    pub(super) fn add(&mut self, other: Self) -> Result<(), Cause> {
        self.signatures.extend(other.signatures);
        if self.signatures.len() <= MAX_SIGNATURES { Ok(()) } else { Err(Cause::Malformed) }
    }

    /// The field of this name, if it is there once.
    pub(super) fn pair(&self, name: &str) -> Option<&'a str> {
        let mut found = self.pairs.iter().filter(|(known, _)| *known == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(*value)
    }
}

/// What stands before a separator and behind it. Mostly that is one character, which is found faster than a text.
fn split<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    match separator.as_bytes() {
        [byte] => text.split_once(char::from(*byte)),
        _ => text.split_once(separator),
    }
}

impl Scheme {
    /// Reads the value of the header; it must hold a signature.
    pub(super) fn read<'a>(&self, value: &'a str) -> Result<Read<'a>, Cause> {
        let mut read = Read::default();
        let separator = self.separator.as_str();
        if self.layout == Layout::Last {
            let behind = value.strip_prefix(self.prefix.as_str()).ok_or(Cause::Malformed)?;
            let (_, written) = behind.rsplit_once(separator).ok_or(Cause::Malformed)?;
            self.add(written, &mut read)?;
            return Ok(read);
        }
        let (mut rest, mut count) = (Some(value), 0);
        while let Some(parts) = rest.take() {
            let (part, others) = match self.layout {
                Layout::Plain => (parts, None),
                _ => match split(parts, separator) {
                    Some((part, others)) => (part, Some(others)),
                    None => (parts, None),
                },
            };
            (rest, count) = (others, count + 1);
            if count > 2 * MAX_SIGNATURES {
                return Err(Cause::Malformed);
            }
            let part = part.trim();
            let written = match self.layout {
                Layout::Positional if count == 1 => {
                    read.time = Some(part);
                    None
                }
                // Those of other tags are made in another way.
                Layout::Tagged => part.strip_prefix(self.prefix.as_str()),
                Layout::Pairs => {
                    let (name, value) = part.split_once('=').ok_or(Cause::Malformed)?;
                    if name != self.prefix {
                        read.pairs.push((name, value));
                    }
                    (name == self.prefix).then_some(value)
                }
                _ => Some(part.strip_prefix(self.prefix.as_str()).ok_or(Cause::Malformed)?),
            };
            if let Some(written) = written {
                self.add(written, &mut read)?;
            }
        }
        if read.signatures.is_empty() { Err(Cause::Malformed) } else { Ok(read) }
    }

    /// One more signature.
    fn add(&self, written: &str, read: &mut Read<'_>) -> Result<(), Cause> {
        let is_fit = !written.is_empty() && read.signatures.len() < MAX_SIGNATURES;
        let signature = self.decode(written).filter(|_| is_fit).ok_or(Cause::Malformed)?;
        read.signatures.push(signature);
        Ok(())
    }
}
