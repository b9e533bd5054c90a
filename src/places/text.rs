//! Texts with places in them, filled in for one request.

use std::borrow::Cow;

use super::{Places, Value, Values};
use crate::config::piece::Piece;

/// A text with places.
#[derive(Debug, Clone)]
pub struct Text(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Place(usize),
}

impl Text {
    /// A text of these pieces, whose places are needed from now on; nothing where one of them is no single value.
    pub fn new(pieces: &[Piece], places: &mut Places) -> Option<Self> {
        let part = |piece: &Piece| match piece {
            Piece::Text(text) => Some(Part::Text(text.clone())),
            place => places.add(place).map(Part::Place),
        };
        pieces.iter().map(part).collect::<Option<_>>().map(Self)
    }

    /// The text of this request; nothing where one of its places holds nothing, or several values.
    pub fn fill<'a>(&self, values: &Values<'a>) -> Option<Cow<'a, str>> {
        if let [Part::Place(number)] = &*self.0 {
            return match values.get(*number) {
                Value::One(text) => Some(text.clone()),
                _ => None,
            };
        }
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Place(number) => match values.get(*number) {
                    Value::One(text) => filled.push_str(text),
                    _ => return None,
                },
            }
        }
        Some(Cow::Owned(filled))
    }

    /// Whether each of its places holds something, whatever it is.
    pub fn is_there(&self, values: &Values<'_>) -> bool {
        self.places().all(|number| *values.get(number) != Value::Absent)
    }

    /// Whether one of its places holds several values.
    pub fn is_ambiguous(&self, values: &Values<'_>) -> bool {
        self.places().any(|number| *values.get(number) == Value::Several)
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Place(number) => Some(*number),
        })
    }
}
