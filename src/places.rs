//! Places in a request, and what stands there: headers, the query, fields of a form, members of a JSON body.
//!
//! The places that something needs are gathered once, when the configuration is read. Of each request they are read
//! together: a JSON body in one pass, a form only where one of its fields is needed.

mod fields;
mod object;
mod sorted;
mod text;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::HeaderName;
use http::request::Parts;

pub use self::fields::{Field, Form, MAX_FIELDS};
pub use self::object::object;
pub use self::sorted::sorted;
pub use self::text::Text;
use crate::config::piece::Piece;
use crate::json::{self, Found, Kind, Pointers, Reader};

/// The places that are needed of a request.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Each with its value's number.
    all: Vec<Piece>,
    headers: Vec<(HeaderName, usize)>,
    queries: Names,
    forms: Names,
    /// The JSON in a field of a form: the field, and what is needed of it.
    forms_of_json: Vec<(String, Members)>,
    members: Members,
    /// Names that the first other member of a JSON body is looked for beside.
    others: Vec<(Vec<String>, usize)>,
    paths: Vec<usize>,
}

/// Members of one JSON document: the numbers of their values, in the order of the pointers.
#[derive(Debug, Clone, Default)]
struct Members {
    pointers: Pointers,
    numbers: Vec<usize>,
}

/// Names of fields with the numbers of their values.
#[derive(Debug, Clone, Default)]
struct Names {
    all: Vec<(String, usize)>,
    /// A bit for each length with a first byte that one of them has, so that most fields are passed at a glance.
    seen: [u64; 4],
}

/// A body, by how it is read.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// One JSON document.
    Json(&'a [u8]),
    /// A form, whose fields were found.
    Form(&'a Form),
    /// Something that isn't read.
    Unread,
}

/// What stands in the places of one request, by their numbers.
#[derive(Debug, Default)]
pub struct Values<'a>(Vec<Value<'a>>);

/// What stands in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing, an empty text, or `null`.
    #[default]
    Absent,
    /// An object or an array, as it is written: something, and no text.
    Nested(Cow<'a, str>),
    /// A text; of a number, `true` and `false` the JSON.
    One(Cow<'a, str>),
    /// Several: a header, parameter or field that comes more than once.
    Several,
}

/// Why a body can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It isn't JSON.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// The form has more fields than are read.
    #[error("the form has more than {MAX_FIELDS} fields")]
    TooManyFields,
}

impl Places {
    /// The number of a place. Those that are no single value, such as the body, have none.
    pub fn add(&mut self, piece: &Piece) -> Option<usize> {
        if let Some(known) = self.number(piece) {
            return Some(known);
        }
        let number = self.all.len();
        match piece {
            Piece::Header(name) => self.headers.push((name.parse().ok()?, number)),
            Piece::Query(name) => self.queries.add(name, number),
            Piece::Form(name) => self.forms.add(name, number),
            Piece::Pointer(keys) => self.members.add(keys, number),
            Piece::MemberOtherThan(names) => self.others.push((names.clone(), number)),
            Piece::Path => self.paths.push(number),
            Piece::FormPointer(name, keys) => {
                let known = self.forms_of_json.iter().position(|(known, _)| known == name);
                let at = known.unwrap_or_else(|| {
                    self.forms_of_json.push((name.clone(), Members::default()));
                    self.forms_of_json.len() - 1
                });
                self.forms_of_json[at].1.add(keys, number);
            }
            _ => return None,
        }
        self.all.push(piece.clone());
        Some(number)
    }

    /// The number of a place that was added.
    pub fn number(&self, piece: &Piece) -> Option<usize> {
        self.all.iter().position(|known| known == piece)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether something is needed of a JSON body, or of a form.
    pub fn reads_body(&self) -> bool {
        self.reads_form() || self.members.pointers.count() > 0 || !self.others.is_empty()
    }

    /// Whether something is needed of a form.
    pub fn reads_form(&self) -> bool {
        !self.forms.all.is_empty() || !self.forms_of_json.is_empty()
    }

    /// Reads all places of a request. A body of JSON is read to its end, whatever is needed of it.
    pub fn read<'a>(&self, head: &'a Parts, content: Content<'a>) -> Result<Values<'a>, Error> {
        let mut values = self.read_head(head);
        match content {
            Content::Json(body) => self.read_json(body, &mut values)?,
            Content::Form(form) if self.reads_form() => self.read_form(form, &mut values)?,
            Content::Form(_) | Content::Unread => {}
        }
        Ok(values)
    }

    /// Reads the places of the head; those of the body are absent.
    pub fn read_head<'a>(&self, head: &'a Parts) -> Values<'a> {
        let mut values = Values(vec![Value::Absent; self.all.len()]);
        for (name, number) in &self.headers {
            for value in head.headers.get_all(name) {
                match value.to_str() {
                    Ok(text) => values.0[*number].add(Cow::Borrowed(text)),
                    Err(_) => values.0[*number] = Value::Several,
                }
            }
        }
        if !self.queries.all.is_empty() {
            let query = head.uri.query().unwrap_or_default();
            for field in Form::of_query(query.as_bytes()).fields() {
                if let Some(number) = self.queries.number(field) {
                    values.0[number].add(Cow::Owned(field.value().into_owned()));
                }
            }
        }
        for number in &self.paths {
            values.0[*number].add(Cow::Borrowed(head.uri.path()));
        }
        values
    }

    fn read_json<'a>(&self, body: &'a [u8], values: &mut Values<'a>) -> Result<(), Error> {
        let mut reader = Reader::new(body)?;
        self.members.read(&mut reader, values)?;
        reader.end()?;
        for (but, number) in &self.others {
            values.0[*number] = first_member(body, but).map_or(Value::Absent, Value::of);
        }
        Ok(())
    }

    fn read_form<'a>(&self, form: &'a Form, values: &mut Values<'a>) -> Result<(), Error> {
        let mut documents = vec![Value::Absent; self.forms_of_json.len()];
        for field in form.fields() {
            for ((known, _), document) in self.forms_of_json.iter().zip(&mut documents) {
                if field.is(known) {
                    document.add(field.value());
                }
            }
            if let Some(number) = self.forms.number(field) {
                values.0[number].add(field.value());
            }
        }
        for ((_, members), document) in self.forms_of_json.iter().zip(documents) {
            let Value::One(document) = document else { continue };
            let mut found = Values(vec![Value::Absent; values.0.len()]);
            let mut reader = Reader::new(document.as_bytes())?;
            members.read(&mut reader, &mut found)?;
            reader.end()?;
            for number in &members.numbers {
                values.0[*number] = std::mem::take(&mut found.0[*number]).into_owned();
            }
        }
        Ok(())
    }
}

impl Names {
    fn add(&mut self, name: &str, number: usize) {
        self.all.push((name.to_owned(), number));
        let (word, bit) = Self::bit(name.as_bytes());
        self.seen[word] |= bit;
    }

    /// The number of the value that a field is.
    fn number(&self, field: Field<'_>) -> Option<usize> {
        let (word, bit) = Self::bit(field.name_bytes());
        if self.seen[word] & bit == 0 {
            return None;
        }
        self.all.iter().find(|(name, _)| field.is(name)).map(|(_, number)| *number)
    }

    /// The word and the bit of a name.
    fn bit(name: &[u8]) -> (usize, u64) {
        let first = name.first().copied().unwrap_or_default();
        let at = usize::from(first).wrapping_mul(29).wrapping_add(name.len());
        (at / 64 % 4, 1 << (at % 64))
    }
}

impl Members {
    fn add(&mut self, keys: &[String], number: usize) {
        // Different pieces are different pointers, so that their numbers go up alike.
        self.pointers.add(keys);
        self.numbers.push(number);
    }

    fn read<'a>(
        &self,
        reader: &mut Reader<'a>,
        values: &mut Values<'a>,
    ) -> Result<(), json::Error> {
        self.pointers.read(reader, &mut |at, found| {
            if let Some(value) = self.numbers.get(at).and_then(|at| values.0.get_mut(*at)) {
                *value = match found {
                    Found::Value(json) => Value::of_json(json),
                    Found::Missing | Found::Again => Value::Absent,
                };
            }
        })
    }
}

impl<'a> Values<'a> {
    /// What stands in the place with this number.
    pub fn get(&self, number: usize) -> &Value<'a> {
        static ABSENT: Value<'static> = Value::Absent;
        self.0.get(number).unwrap_or(&ABSENT)
    }
}

impl<'a> Value<'a> {
    fn of(text: Cow<'a, str>) -> Self {
        if text.is_empty() { Self::Absent } else { Self::One(text) }
    }

    /// The text of a JSON value, if it is a single one.
    pub fn of_json(json: &'a str) -> Self {
        let mut reader = Reader::over(json);
        match reader.peek() {
            Ok(Kind::String) => {
                reader.string().map_or(Self::Absent, |text| Self::of(text.unescape()))
            }
            Ok(Kind::Number | Kind::True | Kind::False) => Self::One(Cow::Borrowed(json)),
            Ok(Kind::Object | Kind::Array) => Self::Nested(Cow::Borrowed(json)),
            _ => Self::Absent,
        }
    }

    /// One more of the same name.
    fn add(&mut self, text: Cow<'a, str>) {
        *self = match self {
            Self::Absent => Self::of(text),
            Self::One(_) | Self::Several | Self::Nested(_) => Self::Several,
        };
    }

    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Absent => Value::Absent,
            Self::Nested(json) => Value::Nested(Cow::Owned(json.into_owned())),
            Self::One(text) => Value::One(Cow::Owned(text.into_owned())),
            Self::Several => Value::Several,
        }
    }
}

/// The name of the first member of a valid JSON object that isn't one of these.
fn first_member<'a>(body: &'a [u8], but: &[String]) -> Option<Cow<'a, str>> {
    let mut reader = Reader::new(body).ok()?;
    let mut first = None;
    if reader.peek().ok()? == Kind::Object {
        let found = reader.object(|_, key| {
            if first.is_none() && !but.iter().any(|name| key == **name) {
                first = Some(key.unescape());
            }
            Ok(())
        });
        found.ok()?;
    }
    first
}

/// Whether this content type is that of a form.
pub fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
