//! A provider's secret that comes as it is: in a header, in the query, or in members of the body.

use http::request::Parts;

use super::Cause;
use super::secret::find;
use crate::config::piece::{Piece, pieces};
use crate::config::provider;
use crate::config::secret::Secret;
use crate::json::{Found, Pointers, Reader};
use crate::places::{Places, Text, Value};

/// Where the secret stands, and those that are accepted.
#[derive(Debug)]
pub(super) struct Token {
    at: At,
    prefix: String,
    /// Each with its number in the configuration.
    secrets: Vec<(usize, Secret)>,
}

#[derive(Debug)]
enum At {
    Head(Box<(Places, Text)>),
    /// Members of a JSON body, which must all hold it.
    Body(Pointers),
}

impl Token {
    /// As described; nothing where its place can't be read.
    pub(super) fn new(settings: &provider::Token, secrets: &[Secret]) -> Option<Self> {
        let pieces = pieces(&settings.at).ok()?;
        let at = match &*pieces {
            [Piece::Pointer(keys)] => {
                let mut pointers = Pointers::default();
                pointers.add(keys);
                At::Body(pointers)
            }
            pieces => {
                let mut places = Places::default();
                let text = Text::new(pieces, &mut places)?;
                At::Head(Box::new((places, text)))
            }
        };
        // Everybody knows the empty one.
        let secrets = secrets.iter().cloned().enumerate();
        let secrets = secrets.filter(|(_, secret)| !secret.expose().is_empty());
        Some(Self { at, prefix: settings.prefix.clone(), secrets: secrets.collect() })
    }

    /// Whether the body is needed.
    pub(super) const fn is_in_body(&self) -> bool {
        matches!(self.at, At::Body(_))
    }

    /// The number of the secret that the head holds.
    pub(super) fn head(&self, head: &Parts) -> Result<usize, Cause> {
        let At::Head(head_places) = &self.at else { return Err(Cause::Missing) };
        let (places, text) = &**head_places;
        let values = places.read_head(head);
        match text.fill(&values) {
            Some(given) => self.check(&given),
            None if text.is_ambiguous(&values) => Err(Cause::Malformed),
            None => Err(Cause::Missing),
        }
    }

    /// The number of the secret, if all members of the body hold it that should, and there is one.
    pub(super) fn body(&self, body: &[u8]) -> Result<usize, Cause> {
        let At::Body(pointers) = &self.at else { return Err(Cause::Missing) };
        let mut reader = Reader::new(body).map_err(|_| Cause::Malformed)?;
        let mut result = Err(Cause::Missing);
        let mut wrong = None;
        let mut check = |_, found: Found<'_>| match found {
            // A key that comes twice is looked at twice: whichever of them somebody reads, it is right.
            Found::Again => {}
            Found::Missing => wrong = Some(Cause::Missing),
            Found::Value(json) => match Value::of_json(json) {
                Value::One(given) => match self.check(&given) {
                    Ok(number) => result = Ok(number),
                    Err(cause) => wrong = Some(cause),
                },
                _ => wrong = Some(Cause::Missing),
            },
        };
        let read = pointers.read(&mut reader, &mut check).and_then(|()| reader.end());
        read.map_err(|_| Cause::Malformed)?;
        wrong.map_or(result, Err)
    }

    fn check(&self, given: &str) -> Result<usize, Cause> {
        let given = given.strip_prefix(&self.prefix).ok_or(Cause::Malformed)?;
        let found = find(&self.secrets, |(_, secret)| secret.is(given));
        found.map(|at| self.secrets[at].0).ok_or(Cause::Mismatch)
    }
}

#[cfg(test)]
mod tests;
