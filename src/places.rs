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

pub use self::fields::{Field, Fields, Form, MAX_FIELDS};
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
    /// A bit for each length that one of them has, so that most fields are passed at a glance.
    lengths: u64,
}

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As one JSON document.
    Json,
    /// As a form.
    Form,
    /// Not at all.
    Bytes,
}

/// What stands in the places of one request, by their numbers.
#[derive(Debug, Default)]
pub struct Values<'a> {
    all: Vec<Value<'a>>,
    /// Where the fields of the body stand, if that was read as a form.
    form: Option<Form>,
}

/// What stands in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing, an empty text, or `null`.
    #[default]
    Absent,
    /// An object or an array: something, and no text.
    Nested,
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

    fn reads_form(&self) -> bool {
        !self.forms.all.is_empty() || !self.forms_of_json.is_empty()
    }

    /// Reads all places of a request. A body of JSON is read to its end, whatever is needed of it.
    pub fn read<'a>(
        &self,
        head: &'a Parts,
        body: &'a [u8],
        shape: Shape,
    ) -> Result<Values<'a>, Error> {
        let mut values = self.read_head(head);
        match shape {
            Shape::Json => self.read_json(body, &mut values)?,
            Shape::Form if self.reads_form() => self.read_form(body, &mut values)?,
            Shape::Form | Shape::Bytes => {}
        }
        Ok(values)
    }

    /// Reads the places of the head; those of the body are absent.
    pub fn read_head<'a>(&self, head: &'a Parts) -> Values<'a> {
        let mut values = Values { all: vec![Value::Absent; self.all.len()], form: None };
        for (name, number) in &self.headers {
            for value in head.headers.get_all(name) {
                match value.to_str() {
                    Ok(text) => values.all[*number].add(Cow::Borrowed(text)),
                    Err(_) => values.all[*number] = Value::Several,
                }
            }
        }
        if !self.queries.all.is_empty() {
            for field in Fields::of(head.uri.query().unwrap_or_default().as_bytes()) {
                values.field(&self.queries, field);
            }
        }
        for number in &self.paths {
            values.all[*number].add(Cow::Borrowed(head.uri.path()));
        }
        values
    }

    fn read_json<'a>(&self, body: &'a [u8], values: &mut Values<'a>) -> Result<(), Error> {
        let mut reader = Reader::new(body)?;
        self.members.read(&mut reader, values)?;
        reader.end()?;
        for (but, number) in &self.others {
            values.all[*number] = first_member(body, but).map_or(Value::Absent, Value::of);
        }
        Ok(())
    }

    fn read_form<'a>(&self, body: &'a [u8], values: &mut Values<'a>) -> Result<(), Error> {
        let form = Form::of(body).ok_or(Error::TooManyFields)?;
        let mut documents = vec![Value::Absent; self.forms_of_json.len()];
        for field in form.fields(body) {
            for ((known, _), document) in self.forms_of_json.iter().zip(&mut documents) {
                if field.is(known) {
                    document.add(field.value());
                }
            }
            values.field(&self.forms, field);
        }
        values.form = Some(form);
        for ((_, members), document) in self.forms_of_json.iter().zip(documents) {
            let Value::One(document) = document else { continue };
            let all = vec![Value::Absent; values.all.len()];
            let mut found = Values { all, form: None };
            let mut reader = Reader::new(document.as_bytes())?;
            members.read(&mut reader, &mut found)?;
            reader.end()?;
            for number in &members.numbers {
                values.all[*number] = std::mem::take(&mut found.all[*number]).into_owned();
            }
        }
        Ok(())
    }
}

impl Names {
    fn add(&mut self, name: &str, number: usize) {
        self.all.push((name.to_owned(), number));
        self.lengths |= Self::length(name.len());
    }

    /// The number of the value that a field is.
    fn number(&self, field: Field<'_>) -> Option<usize> {
        let is_known = self.lengths & Self::length(field.written_name().len()) != 0;
        if field.is_plain() && !is_known {
            return None;
        }
        self.all.iter().find(|(name, _)| field.is(name)).map(|(_, number)| *number)
    }

    fn length(length: usize) -> u64 {
        1 << length.min(63)
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
            if let Some(value) = self.numbers.get(at).and_then(|at| values.all.get_mut(*at)) {
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
        self.all.get(number).unwrap_or(&ABSENT)
    }

    /// Where the fields of the body stand, if that was read as a form.
    pub fn into_form(self) -> Option<Form> {
        self.form
    }

    fn field(&mut self, known: &Names, field: Field<'a>) {
        if let Some(number) = known.number(field) {
            self.all[number].add(field.value());
        }
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
            Ok(Kind::Object | Kind::Array) => Self::Nested,
            _ => Self::Absent,
        }
    }

    /// One more of the same name.
    fn add(&mut self, text: Cow<'a, str>) {
        *self = match self {
            Self::Absent => Self::of(text),
            Self::One(_) | Self::Several | Self::Nested => Self::Several,
        };
    }

    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Absent => Value::Absent,
            Self::Nested => Value::Nested,
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
