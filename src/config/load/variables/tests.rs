#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn env(name: &str) -> Option<String> {
    match name {
        "A" => Some("one".to_owned()),
        "EMPTY" => Some(String::new()),
        "NESTED" => Some("${A}".to_owned()),
        _ => None,
    }
}

fn surroundings(folder: &Path) -> Surroundings<'_> {
    Surroundings { env: &env, folder }
}

fn replaced(text: &str) -> Option<String> {
    expand(text, surroundings(Path::new(""))).unwrap_or_else(|errors| Some(format!("{errors:?}")))
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let text = format!("${{file:{}}}", path.display());
    assert!(replaced(&text).unwrap().contains("can't be read"));
    for (written, read) in [("s\n", "s"), ("s", "s"), ("s\r\n", "s"), ("a\n\n", "a\n")] {
        std::fs::write(&path, written).unwrap();
        assert_eq!(replaced(&text).as_deref(), Some(read), "{written:?}");
        let relative = expand("${file:secret}", surroundings(folder.path()));
        assert_eq!(relative.unwrap().as_deref(), Some(read), "{written:?}");
    }
    let missing = expand("${file:missing}", surroundings(folder.path())).unwrap_err().remove(0);
    let looked = folder.path().join("missing").display().to_string();
    assert!(missing.message.contains(&looked), "{}", missing.message);
}

#[test]
fn variables() {
    assert_eq!(replaced("x${A}-${A}y").as_deref(), Some("xone-oney"));
    assert_eq!(replaced("plain"), None);
    assert_eq!(replaced("pa$$word $x"), None);
    assert_eq!(replaced("$${A}").as_deref(), Some("${A}"));
    assert_eq!(replaced("${B:-two}").as_deref(), Some("two"));
    assert_eq!(replaced("${EMPTY:-two}").as_deref(), Some("two"));
    assert_eq!(replaced("${EMPTY}").as_deref(), Some(""));
    assert_eq!(replaced("${B:-a.{type}}.x").as_deref(), Some("a.{type}.x"));
    assert_eq!(replaced("${B:-${C:-x${A}}}").as_deref(), Some("xone"));
    // What comes from the environment is not looked at again.
    assert_eq!(replaced("${NESTED}").as_deref(), Some("${A}"));
}

#[test]
fn mistakes() {
    let deep = format!("{}{}", "${B:-".repeat(50_000), "}".repeat(50_000));
    assert!(expand(&deep, surroundings(Path::new(""))).is_err());
    assert_eq!(
        expand("${B:-${C}}", surroundings(Path::new(""))).unwrap_err()[0].message,
        "the environment variable `C` is not set"
    );
    let errors = expand("x ${B} ${C} ${no name} ${", surroundings(Path::new(""))).unwrap_err();
    let offsets: Vec<_> = errors.iter().map(|error| error.offset).collect();
    assert_eq!(offsets, [2, 7, 12, 23]);
    assert_eq!(errors[0].message, "the environment variable `B` is not set");
    assert_eq!(errors[0].hint, "set it, or write `${B:-default}`");
}
