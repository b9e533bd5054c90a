//! The order of the modules in `src/lib.rs` is the order of the layers, top first: a module imports only what is
//! declared below it. `main.rs` uses `cli` alone.

use crate::support::project;
use std::collections::{HashMap, HashSet};
use std::path::Path;

#[test]
fn no_import_points_up() {
    let found = violations(&project().join("src"));
    assert!(found.is_empty(), "imports against the order of src/lib.rs:\n{}", found.join("\n"));
}

#[test]
fn an_import_that_points_up_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("main.rs", "fn main() { hookbus::cli::run(); hookbus::middle::shortcut(); }");
    write(
        "lib.rs",
        "//! mod not_one;\npub mod cli;\n#[cfg(unix)]\npub(crate) mod middle;\nmod low;\n",
    );
    write("cli.rs", "use crate::{low, middle::part::{Thing, Other}};");
    write(
        "middle.rs",
        "// crate::cli in a comment\npub mod part;\nconst T: &str = \"crate::cli\"; const B: char = '{';\n\
         use super::low;\nfn f<'a>(x: &'a str) { super::cli::up(); }\n\
         #[cfg(test)] mod tests { use super::cli; }",
    );
    write(
        "middle/part.rs",
        "use super::cli;\nuse super::super::low::{self};\nuse super::super::cli::{self};",
    );
    write(
        "low.rs",
        "use crate::low::own;\nuse crate::{\n    low,\n    middle::{cli, part},\n    cli as top,\n};",
    );
    assert_eq!(
        violations(folder.path()),
        [
            "low.rs:4: low uses middle",
            "low.rs:5: low uses cli",
            "main.rs:1: main uses middle",
            "middle.rs:5: middle uses cli",
            "middle/part.rs:3: middle uses cli",
        ]
    );
}

/// Below a module its files stand in an order too: of two of them at most one uses the other, also by way of a third. What a
/// file shares with those in its own folder stands above them all, and is no circle.
#[test]
fn no_files_use_each_other_in_a_circle() {
    assert_eq!(circles(&project().join("src")), [""; 0]);
}

#[test]
fn a_circle_of_files_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("a.rs", "mod one; mod two; mod three; use self::one::X;");
    write("a/one.rs", "use super::{Shared, two::{self, Y}};");
    write("a/two.rs", "use crate::a::three;");
    write("a/three.rs", "fn f() { super::one::g() }");
    write("a/four.rs", "use super::one;");
    assert_eq!(circles(folder.path()), ["a/one.rs a/three.rs a/two.rs"]);
}

/// The files of each circle, sorted.
fn circles(source: &Path) -> Vec<String> {
    let mut modules: HashMap<Vec<String>, String> = HashMap::new();
    let mut texts = Vec::new();
    for path in files(source) {
        let name = path.strip_prefix(source).unwrap().to_str().unwrap().replace('\\', "/");
        let module: Vec<String> =
            name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if !module.iter().any(|part| part == "tests") {
            texts.push((module.clone(), tokens(&std::fs::read_to_string(&path).unwrap())));
            modules.insert(module, name);
        }
    }
    let mut uses: HashMap<&[String], Vec<&[String]>> = HashMap::new();
    for (module, tokens) in &texts {
        for used in paths(tokens, module) {
            let file = (1..=used.len()).rev().find_map(|end| modules.get_key_value(&used[..end]));
            if let Some((used, _)) = file
                && !used.starts_with(module)
                && !module.starts_with(used)
            {
                uses.entry(module).or_default().push(used);
            }
        }
    }
    let reached = |from: &[String]| {
        let (mut seen, mut open) = (HashSet::new(), vec![from.to_vec()]);
        while let Some(next) = open.pop() {
            for used in uses.get(&next[..]).into_iter().flatten() {
                if seen.insert(used.to_vec()) {
                    open.push(used.to_vec());
                }
            }
        }
        seen
    };
    let reached: HashMap<_, _> = modules.keys().map(|module| (module, reached(module))).collect();
    let mut found: Vec<String> = modules
        .keys()
        .filter(|module| reached[module].contains(*module))
        .map(|module| {
            let mutual = |other: &&Vec<String>| {
                reached[module].contains(*other) && reached[other].contains(module)
            };
            let mut names: Vec<_> =
                modules.keys().filter(mutual).map(|other| &*modules[other]).collect();
            names.sort_unstable();
            names.join(" ")
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What a file names from `crate`, `super` or `self` on, as paths from the root; `module` is its own.
fn paths(tokens: &[Token], module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let mut base = match tokens[at].1.as_str() {
            "crate" => Some(Vec::new()),
            "self" => Some(module.to_vec()),
            "super" => Some(module[..module.len() - 1].to_vec()),
            _ => None,
        };
        if !is_path(tokens, at + 1) {
            base = None;
        }
        at += 1;
        if let Some(base) = base {
            at += 2;
            branches(tokens, &mut at, base, &mut found);
        }
    }
    found
}

/// A path that has begun, and what it branches into; `at` stands on its next part.
fn branches(tokens: &[Token], at: &mut usize, mut path: Vec<String>, found: &mut Vec<Vec<String>>) {
    loop {
        match tokens.get(*at).map(|(_, token)| token.as_str()) {
            Some("{") => {
                *at += 1;
                while !is(tokens, *at, "}") && *at < tokens.len() {
                    branches(tokens, at, path.clone(), found);
                    if is(tokens, *at, ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Some("super") => {
                path.pop();
            }
            Some("self") => {}
            Some(name) => path.push(name.to_owned()),
            None => return,
        }
        *at += 1;
        if is(tokens, *at, "as") {
            *at += 2;
        }
        if !is_path(tokens, *at) {
            found.push(path);
            return;
        }
        *at += 2;
    }
}

/// Each as `file:line: module uses module`, sorted.
fn violations(source: &Path) -> Vec<String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let order = declared(&tokens(&read(&source.join("lib.rs"))));
    assert!(!order.is_empty(), "src/lib.rs declares no module");
    let rank: HashMap<&str, usize> =
        order.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();

    let mut found = Vec::new();
    for path in files(source) {
        let name = path.strip_prefix(source).unwrap().to_str().unwrap().replace('\\', "/");
        let tokens = tokens(&read(&path));
        let parts: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
        let mut say = |line, user: &str, used: &str| {
            found.push((name.clone(), line, format!("{user} uses {used}")))
        };
        match parts.as_slice() {
            ["lib"] => {}
            ["main"] => {
                for (line, used) in
                    after(&tokens, "hookbus").into_iter().filter(|(_, used)| used != "cli")
                {
                    say(line, "main", &used);
                }
            }
            [module, below @ ..] => {
                let mine = *rank
                    .get(module)
                    .unwrap_or_else(|| panic!("{name} is in no module of src/lib.rs"));
                let mut uses = after(&tokens, "crate");
                uses.extend(after_super(&tokens, 1 + below.len()));
                for (line, used) in uses {
                    if rank.get(used.as_str()).is_some_and(|&other| other < mine) {
                        say(line, module, &used);
                    }
                }
            }
            [] => unreachable!("a path has a part"),
        }
    }
    found.sort();
    found.into_iter().map(|(name, line, text)| format!("{name}:{line}: {text}")).collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// An identifier, or one character of punctuation, and its line.
type Token = (usize, String);

/// The text's tokens without comments, literals and lifetimes: what is left are names and how they are put together.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, token) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (comment(rest), false),
            '"' => (string(rest), false),
            'r' | 'b' | 'c' if raw_string(rest).is_some() => {
                (raw_string(rest).unwrap_or(rest.len()), false)
            }
            '\'' => (quote(rest), false),
            _ if first.is_alphanumeric() || first == '_' => (
                rest.find(|next: char| !next.is_alphanumeric() && next != '_')
                    .unwrap_or(rest.len()),
                true,
            ),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        if token {
            tokens.push((line, rest[..length].to_owned()));
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Block comments may hold others.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    for index in 0..text.len() {
        match text.as_bytes().get(index..index + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") if depth == 1 => return index + 2,
            Some(b"*/") => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (index, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `br"…"` and the like.
fn raw_string(text: &str) -> Option<usize> {
    let opening = text.find('"')?;
    let hashes = text[..opening].trim_start_matches(['b', 'c']).strip_prefix('r')?;
    if !hashes.chars().all(|hash| hash == '#') {
        return None;
    }
    let closing = format!("\"{hashes}");
    let body = opening + 1;
    Some(text[body..].find(&closing).map_or(text.len(), |end| body + end + closing.len()))
}

/// A character, or only the mark of a lifetime.
fn quote(text: &str) -> usize {
    let mut rest = text.char_indices().skip(1);
    match rest.next() {
        Some((_, '\\')) => {
            rest.next();
            text[3.min(text.len())..].find('\'').map_or(text.len(), |end| 3 + end + 1)
        }
        Some(_) => match rest.next() {
            Some((index, '\'')) => index + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The names of `mod name;` in their order.
fn declared(tokens: &[Token]) -> Vec<String> {
    let words = |window: &[Token]| window[0].1 == "mod" && window[2].1 == ";";
    tokens.windows(3).filter(|window| words(window)).map(|window| window[1].1.clone()).collect()
}

fn is(tokens: &[Token], index: usize, text: &str) -> bool {
    tokens.get(index).is_some_and(|(_, token)| token == text)
}

fn is_path(tokens: &[Token], index: usize) -> bool {
    is(tokens, index, ":") && is(tokens, index + 1, ":")
}

/// What follows `root::`, each member of a group for itself.
fn after(tokens: &[Token], root: &str) -> Vec<Token> {
    let starts =
        (0..tokens.len()).filter(|&index| is(tokens, index, root) && is_path(tokens, index + 1));
    starts.flat_map(|index| names(tokens, index + 3)).collect()
}

/// What follows a chain of `super::` that reaches the root from a file so many modules deep. Modules within the file
/// count as well.
fn after_super(tokens: &[Token], depth: usize) -> Vec<Token> {
    let mut found = Vec::new();
    let (mut blocks, mut chain) = (Vec::new(), 0);
    for index in 0..tokens.len() {
        match tokens[index].1.as_str() {
            "{" => blocks.push(index >= 2 && is(tokens, index - 2, "mod")),
            "}" => {
                blocks.pop();
            }
            "super" if is_path(tokens, index + 1) => {
                chain += 1;
                if !is(tokens, index + 3, "super") {
                    let inner = blocks.iter().filter(|&&module| module).count();
                    if chain == depth + inner {
                        found.extend(names(tokens, index + 3));
                    }
                    chain = 0;
                }
            }
            _ => {}
        }
    }
    found
}

/// One name, or the first name of each member of a group in braces.
fn names(tokens: &[Token], start: usize) -> Vec<Token> {
    if !is(tokens, start, "{") {
        return tokens.get(start).cloned().into_iter().collect();
    }
    let (mut found, mut depth) = (Vec::new(), 0);
    for index in start..tokens.len() {
        match tokens[index].1.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            _ if depth == 1 && (is(tokens, index - 1, ",") || index == start + 1) => {
                found.push(tokens[index].clone())
            }
            _ => {}
        }
    }
    found
}
