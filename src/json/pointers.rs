//! Several members of a document, found in one pass (RFC 6901).

use super::{Error, Kind, Reader};

/// What stands for every element of an array.
const EVERY: &str = "*";

/// Pointers into a document; each has the number that it got when it was added.
#[derive(Debug, Clone, Default)]
pub struct Pointers {
    root: Node,
    count: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// The number of the pointer that ends here.
    number: Option<usize>,
    below: Vec<(String, Node)>,
}

/// What is found on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A value, as it is written.
    Value(&'a str),
    /// An element of an array that doesn't hold what every element should.
    Missing,
    /// What was found before, if anything was, doesn't count: a key on the way comes, perhaps once more.
    Again,
}

impl Pointers {
    /// The number of a pointer, by the keys that lead to it.
    pub fn add(&mut self, keys: &[String]) -> usize {
        let mut node = &mut self.root;
        for key in keys {
            let at = node.below.iter().position(|(known, _)| known == key);
            let at = at.unwrap_or_else(|| {
                node.below.push((key.clone(), Node::default()));
                node.below.len() - 1
            });
            node = &mut node.below[at].1;
        }
        *node.number.get_or_insert_with(|| {
            self.count += 1;
            self.count - 1
        })
    }

    /// How many there are; numbers are below this.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Reads the next value, and tells what is found of each pointer. Of a key that occurs twice the last one counts.
    pub fn read<'a>(
        &self,
        reader: &mut Reader<'a>,
        found: &mut dyn FnMut(usize, Found<'a>),
    ) -> Result<(), Error> {
        self.root.read(reader, found)
    }
}

impl Node {
    fn read<'a>(
        &self,
        reader: &mut Reader<'a>,
        found: &mut dyn FnMut(usize, Found<'a>),
    ) -> Result<(), Error> {
        let value = reader.slice(|reader| match reader.peek()? {
            Kind::Object if !self.below.is_empty() => self.object(reader, found),
            Kind::Array if !self.below.is_empty() => self.array(reader, found),
            _ => Ok(()),
        })?;
        if let Some(number) = self.number {
            found(number, Found::Value(value));
        }
        Ok(())
    }

    fn object<'a>(
        &self,
        reader: &mut Reader<'a>,
        found: &mut dyn FnMut(usize, Found<'a>),
    ) -> Result<(), Error> {
        reader.object(|reader, key| {
            let below = self.below.iter().find(|(name, _)| key == **name);
            let Some((_, node)) = below else { return Ok(()) };
            node.tell(found, Found::Again);
            node.read(reader, found)
        })
    }

    fn array<'a>(
        &self,
        reader: &mut Reader<'a>,
        found: &mut dyn FnMut(usize, Found<'a>),
    ) -> Result<(), Error> {
        let mut indices = 0_usize..;
        reader.array(|reader| {
            let at = indices.next().unwrap_or(usize::MAX);
            let here = self.below.iter().find(|(name, _)| is_index(name, at));
            let every = self.below.iter().find(|(name, _)| name == EVERY);
            match (here, every) {
                (None, None) => Ok(()),
                (Some((_, node)), None) => node.read(reader, found),
                (None, Some((_, node))) => node.element(reader, found),
                (Some((_, one)), Some((_, every))) => {
                    one.read(&mut reader.clone(), found)?;
                    every.element(reader, found)
                }
            }
        })
    }

    /// One of all elements: what it lacks is told.
    fn element<'a>(
        &self,
        reader: &mut Reader<'a>,
        found: &mut dyn FnMut(usize, Found<'a>),
    ) -> Result<(), Error> {
        let mut is_there = false;
        let mut told = |number, what| {
            is_there |= matches!(what, Found::Value(_));
            is_there &= what != Found::Again;
            found(number, what);
        };
        self.read(reader, &mut told)?;
        if !is_there {
            self.tell(found, Found::Missing);
        }
        Ok(())
    }

    /// The same of all pointers that end here or below.
    fn tell<'a>(&self, found: &mut dyn FnMut(usize, Found<'a>), what: Found<'a>) {
        if let Some(number) = self.number {
            found(number, what);
        }
        for (_, node) in &self.below {
            node.tell(found, what);
        }
    }
}

/// Whether a key is the index of an element, as RFC 6901 writes it.
fn is_index(key: &str, index: usize) -> bool {
    let is_plain = key == "0" || !key.starts_with(['0', '+']);
    is_plain && key.parse() == Ok(index)
}

#[cfg(test)]
mod tests;
