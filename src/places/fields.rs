//! The fields of a form or of a query.

use std::borrow::Cow;

/// Fields that are read: more than any provider sends. Each costs time, whoever wrote it.
pub const MAX_FIELDS: usize = 1_000;

/// Names and values, decoded, in their order; no more than [`MAX_FIELDS`].
pub struct Fields<'a> {
    all: form_urlencoded::Parse<'a>,
    left: usize,
}

impl<'a> Fields<'a> {
    /// Those of an encoded text (WHATWG URL, §5.1).
    pub fn of(text: &'a [u8]) -> Self {
        Self { all: form_urlencoded::parse(text), left: MAX_FIELDS }
    }

    /// Whether there are more than are read; to be asked at the end.
    pub fn has_more(mut self) -> bool {
        self.left == 0 && self.all.next().is_some()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let next = self.all.next();
        if next.is_none() {
            self.left = 0;
        }
        next
    }
}
