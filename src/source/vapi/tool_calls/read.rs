//! Calls and tools as they are written; every value is raw JSON.

use std::time::Duration;

use crate::json::{self, Kind, Reader};
use crate::source::vapi::server;

/// A call in any of the lists.
#[derive(Default, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: Option<&'a str>,
}

/// A tool that is called.
#[derive(Default, Clone, Copy)]
pub(super) struct Tool<'a> {
    pub(super) call: Call<'a>,
    pub(super) name: Option<&'a str>,
    pub(super) is_async: bool,
    /// How long its server is waited for, less the time for the way.
    pub(super) limit: Option<Duration>,
}

/// The objects of a list, one after the other; none where it is something else. The list is valid JSON.
#[derive(Clone)]
pub(super) struct Objects<'a> {
    list: &'a str,
    reader: Reader<'a>,
    is_begun: bool,
}

impl<'a> Objects<'a> {
    pub(super) fn of(list: Option<&'a str>) -> Self {
        let list = list.filter(|list| list.starts_with('[')).unwrap_or_default();
        Self { list, reader: Reader::over(list), is_begun: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The next one, read by `read`.
    pub(super) fn next<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, json::Error>,
    ) -> Option<T> {
        while self.reader.element(&mut self.is_begun).ok()? {
            if self.reader.peek() == Ok(Kind::Object) {
                return read(&mut self.reader).ok();
            }
            self.reader.skip().ok()?;
        }
        None
    }

    /// The list, and where in it the last one ends that was read.
    pub(super) fn position(&self) -> (&'a str, usize) {
        (self.list, self.reader.position())
    }
}

/// An element of a list of calls, or of one of tools that are called.
pub(super) fn either<'a>(reader: &mut Reader<'a>, in_tools: bool) -> Result<Tool<'a>, json::Error> {
    match in_tools {
        true => tool(reader),
        false => call(reader).map(|call| Tool { call, ..Tool::default() }),
    }
}

pub(super) fn call<'a>(reader: &mut Reader<'a>) -> Result<Call<'a>, json::Error> {
    let mut flat = Call::default();
    let mut flat_parameters = None;
    let (mut inner, mut inner_parameters) = (Call::default(), None);
    if reader.peek()? != Kind::Object {
        return Ok(flat);
    }
    reader.object(|reader, key| {
        if key == "id" {
            flat.id = present(reader)?;
        } else if key == "name" {
            flat.name = present(reader)?;
        } else if key == "arguments" {
            flat.arguments = present(reader)?;
        } else if key == "parameters" {
            flat_parameters = present(reader)?;
        } else if key == "function" {
            (inner, inner_parameters) = (Call::default(), None);
            if reader.peek()? != Kind::Object {
                return Ok(());
            }
            reader.object(|reader, key| {
                if key == "name" {
                    inner.name = present(reader)?;
                } else if key == "arguments" {
                    inner.arguments = present(reader)?;
                } else if key == "parameters" {
                    inner_parameters = present(reader)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(Call {
        id: flat.id,
        name: inner.name.or(flat.name),
        arguments: inner.arguments.or(inner_parameters).or(flat.arguments).or(flat_parameters),
    })
}

pub(super) fn tool<'a>(reader: &mut Reader<'a>) -> Result<Tool<'a>, json::Error> {
    let mut found = Tool::default();
    let mut inner_name = None;
    reader.object(|reader, key| {
        if key == "toolCall" {
            found.call = call(reader)?;
        } else if key == "name" {
            found.name = present(reader)?;
        } else if key == "async" {
            found.is_async = reader.peek()? == Kind::True;
        } else if key == "function" {
            inner_name = call(reader)?.name;
        } else if key == "server" {
            found.limit = server::of_server(reader)?;
        }
        Ok(())
    })?;
    found.name = inner_name.or(found.name);
    Ok(found)
}

/// The raw value, unless it is null.
fn present<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, json::Error> {
    let value = reader.skip()?;
    Ok((value != "null").then_some(value))
}
