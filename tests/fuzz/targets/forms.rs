//! Any configuration in another form: with tables on one line or under headers, and keys in another order, it is the same
//! configuration, or as wrong as it was.

#![no_main]

use hookbus::config::{Config, Problem};
use hookbus::settings;
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

fuzz_target!(|text: &str| {
    let Ok(table) = text.parse::<Table>() else {
        assert!(load(text).0.is_none(), "it is no TOML");
        return;
    };
    let (config, problems) = load(text);
    for other in [inline(&table), headed(&table)] {
        // No number that is none equals itself.
        if other.parse::<Table>().as_ref() != Ok(&table) {
            continue;
        }
        let (other_config, other_problems) = load(&other);
        assert_eq!(format!("{config:?}"), format!("{other_config:?}"), "{other}");
        assert_eq!(problems, other_problems, "{other}");
    }
});

/// The configuration, and what is said of it wherever it stands.
fn load(text: &str) -> (Option<Config>, Vec<String>) {
    let variable = |name: &str| name.len().is_multiple_of(2).then(|| "value".to_owned());
    let loaded = settings::parse("hookbus.toml", text, variable);
    let said = loaded.problems.into_iter().map(|Problem { severity, message, hint, .. }| {
        // Some name the line of another one.
        let mut parts = message.split("on line ");
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        format!("{severity:?} {} {hint:?}", rest.fold(first, |said, part| said + "on line" + part))
    });
    let mut said: Vec<_> = said.collect();
    said.sort();
    (loaded.config, said)
}

/// Each table and each list on one line.
fn inline(table: &Table) -> String {
    let line = |(key, value): (&String, &Value)| {
        // What JSON needn't escape and TOML must.
        let key = serde_json::to_string(key).expect("a text").replace('\u{7f}', "\\u007f");
        format!("{key} = {value}\n")
    };
    table.iter().map(line).collect()
}

/// Each table under a header.
fn headed(table: &Table) -> String {
    toml::to_string(table).expect("a table can be written")
}
