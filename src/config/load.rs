//! From the text of a file to typed settings, with every problem of it at once.
//!
//! The file is read into a tree that knows its places (`tree`), variables are replaced,
//! and the tree is held against the schema of the types (`shape`). What is wrong is
//! reported and replaced by something harmless, so that [`super::check`] can look at the rest in
//! the same run. A configuration comes out only when there was no error.

mod folder;
pub(super) mod schema;
mod shape;
pub(super) mod tree;
mod variables;

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use self::tree::{Node, Tree};
use self::variables::Surroundings;
use super::facts::Facts;
use super::problem::Problems;
use super::sources::Sources;
use super::{Config, Problem, Severity, check};

/// What came of a file.
#[derive(Debug)]
pub struct Loaded {
    /// The settings, unless there is an error among the problems.
    pub config: Option<Config>,
    /// What is wrong, from the top of the file to its end; may be warnings only.
    pub problems: Vec<Problem>,
}

/// Load a file, with the variables of this process.
pub fn read(path: &Path, sources: Sources) -> Loaded {
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => parse(&name, text, |variable| std::env::var(variable).ok(), sources),
            Err(error) => not_text(&name, &bytes, &error),
        },
        Err(error) => Loaded {
            config: None,
            problems: vec![Problem {
                severity: Severity::Error,
                file: name,
                line: 0,
                column: 0,
                message: format!("the file can't be read: {error}"),
                hint: Some("name the file with `--config FILE`".to_owned()),
            }],
        },
    }
}

/// Load the text of a file. `name` is its path, and stands in the problems; `env` looks up variables.
pub fn parse(
    name: &str,
    text: &str,
    env: impl Fn(&str) -> Option<String>,
    sources: Sources,
) -> Loaded {
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let surroundings = Surroundings { env: &env, folder };
    let mut report = Problems::new(name, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let is_partial = !errors.is_empty();
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        report.error(at, sentence(error.message()), syntax_hint(error.message()));
    }

    let root = schema::json();
    let document = DeValue::Table(document.into_inner());
    let mut tree = Tree::new(&document, 0..0, surroundings, &mut report);
    shape::check(root, &mut tree, is_partial, &mut report);
    let config = match Config::deserialize(tree.to_json().unwrap_or_default()) {
        Ok(mut config) => {
            folder::resolve(&mut config, folder);
            for endpoint in &mut config.endpoints {
                let described = config.providers.get(&endpoint.source);
                let described = described.map(|it| Arc::new(Facts::of(&endpoint.source, it)));
                let facts = described.or_else(|| (sources.facts)(&endpoint.source));
                endpoint.facts = facts.unwrap_or_default();
            }
            check::check(&config, Node::new(&tree), sources, &mut report);
            Some(config)
        }
        Err(error) => {
            // The walk should have found it. Without variables no secret can be in the text of the error.
            let message = if text.contains("${") {
                "a value can't be used".to_owned()
            } else {
                format!("a value can't be used: {error}")
            };
            report.error(0, message, "compare the file with docs/configuration.md");
            None
        }
    };
    let config = config.filter(|_| !report.has_errors());
    Loaded { config, problems: report.into_problems() }
}

fn not_text(name: &str, bytes: &[u8], error: &std::str::Utf8Error) -> Loaded {
    let text = String::from_utf8_lossy(bytes);
    let mut report = Problems::new(name, &text);
    report.error(error.valid_up_to(), "the file is not UTF-8 text", "save it as UTF-8");
    Loaded { config: None, problems: report.into_problems() }
}

/// The parser's words in our form.
fn sentence(message: &str) -> String {
    message.trim_end_matches('.').replace('\n', " ")
}

fn syntax_hint(message: &str) -> &'static str {
    let hints = [
        ("string values must be quoted", "strings are written in quotes: `key = \"text\"`"),
        (
            "duplicate key",
            "a key or a table may appear only once; remove one, or write `[[...]]` for a list of tables",
        ),
        (
            "basic string",
            "texts begin and end with `\"` and stay on one line; write `\\\\` for a backslash",
        ),
        ("literal string", "texts begin and end with `'` and stay on one line"),
        ("unclosed table", "headers of tables look like `[http]` or `[[endpoint]]`"),
        ("unclosed array", "lists look like `[\"a\", \"b\"]`"),
        ("inline table", "tables on one line look like `{ a = 1, b = 2 }`"),
    ];
    let found = hints.iter().find(|(part, _)| message.contains(part));
    found.map_or("lines look like `key = value`, with texts in quotes", |(_, hint)| hint)
}
