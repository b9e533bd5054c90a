//! The configuration file, read with what the sources of its endpoints say of themselves.

use std::path::Path;

use crate::config::load::{self, Loaded};
use crate::config::sources::Sources;
use crate::source;

/// Those that are code, and those that are built in.
const SOURCES: Sources =
    Sources { facts: source::facts, names: source::names, judge: source::judge_fallback };

/// Load a file, with the variables of this process.
pub fn read(path: &Path) -> Loaded {
    load::read(path, SOURCES)
}

/// Load the text of a file. `name` stands in the problems; `env` looks up variables.
pub fn parse(name: &str, text: &str, env: impl Fn(&str) -> Option<String>) -> Loaded {
    load::parse(name, text, env, SOURCES)
}

#[cfg(test)]
mod tests;
