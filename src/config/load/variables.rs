//! `${VAR}` and `${VAR:-default}` in text, replaced from the environment.
//!
//! `${file:PATH}` is replaced by what stands in a file, without the line break at its end; a relative path begins at the
//! directory of the configuration file.
//! A default may hold variables of its own; what comes from the environment is taken as it is.
//! `$${` stands for `${` itself. Every other `$` is a plain character, since passwords hold them.

use std::path::Path;

/// What variables are replaced from.
#[derive(Clone, Copy)]
pub(in crate::config) struct Surroundings<'a> {
    /// The environment.
    pub(in crate::config) env: &'a dyn Fn(&str) -> Option<String>,
    /// Where relative paths begin.
    pub(in crate::config) folder: &'a Path,
}

/// What is wrong with a variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// Where in the text, in bytes.
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) hint: String,
}

/// How deep defaults may be nested in defaults.
const MAX_DEPTH: usize = 4;

/// The text with its variables replaced; nothing when it holds none.
pub(super) fn expand(
    text: &str,
    surroundings: Surroundings<'_>,
) -> Result<Option<String>, Vec<Error>> {
    replace(text, surroundings, MAX_DEPTH)
}

fn replace(
    text: &str,
    surroundings: Surroundings<'_>,
    depth: usize,
) -> Result<Option<String>, Vec<Error>> {
    let mut out = String::with_capacity(text.len());
    let mut errors = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[at..start].ends_with('$') {
            out.push_str(&text[at..start]);
            out.push('{');
            at = start + 2;
            continue;
        }
        out.push_str(&text[at..start]);
        let inner = &text[start + 2..];
        let Some(end) = closing_brace(inner) else {
            errors.push(Error {
                offset: start,
                message: "`${` without its `}`".to_owned(),
                hint: "write `${NAME}`, or `$${` for the two characters themselves".to_owned(),
            });
            at = text.len();
            break;
        };
        match value(&inner[..end], surroundings, depth) {
            Ok(value) => out.push_str(&value),
            Err((message, hint)) => errors.push(Error { offset: start, message, hint }),
        }
        at = start + 2 + end + 1;
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if at == 0 {
        return Ok(None);
    }
    out.push_str(&text[at..]);
    Ok(Some(out))
}

fn value(
    inner: &str,
    surroundings: Surroundings<'_>,
    depth: usize,
) -> Result<String, (String, String)> {
    if let Some(path) = inner.strip_prefix("file:") {
        return file(path, surroundings.folder);
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(is_first) || !name.chars().all(is_name) {
        return Err((
            "a name of a variable holds only letters, digits and `_`".to_owned(),
            "write `${NAME}` or `${NAME:-default}`, or `$${` for the two characters themselves"
                .to_owned(),
        ));
    }
    match ((surroundings.env)(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) if !default.contains("${") => Ok(default.to_owned()),
        (_, Some(_)) if depth == 0 => Err((
            "there are too many defaults in each other".to_owned(),
            "write one variable with one default".to_owned(),
        )),
        (_, Some(default)) => match replace(default, surroundings, depth - 1) {
            Ok(replaced) => Ok(replaced.unwrap_or_else(|| default.to_owned())),
            Err(errors) => {
                let first = errors.into_iter().next();
                Err(first.map(|error| (error.message, error.hint)).unwrap_or_default())
            }
        },
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            format!("set it, or write `${{{name}:-default}}`"),
        )),
    }
}

/// The text in a file. Editors and `echo` end it with a line break that nobody means.
fn file(path: &str, folder: &Path) -> Result<String, (String, String)> {
    let file = folder.join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
        Err(error) if Path::new(path).is_absolute() => Err((
            format!("the file `{path}` can't be read: {error}"),
            "name a text file that this user may read".to_owned(),
        )),
        Err(error) => {
            let looked = std::path::absolute(&file).unwrap_or(file);
            Err((
                format!("the file `{path}` can't be read at `{}`: {error}", looked.display()),
                "relative paths begin at the directory of the configuration file; name a text file that this user may read".to_owned(),
            ))
        }
    }
}

/// The brace that ends a variable; its default may hold pairs of them.
fn closing_brace(inner: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
