//! The commands that the documentation shows: they exist as they are written, and answer what is shown.

use super::{blocks, pages, project, read};
use crate::cli::dev::Dev;
use crate::support::bridge::{program, run};
use crate::support::process::output;
use std::collections::BTreeMap;
use std::path::Path;

/// Those of the examples too.
pub(super) fn all_pages() -> Vec<String> {
    let name = |page: &Path| page.strip_prefix(project()).unwrap().to_str().unwrap().to_owned();
    let examples = ["workers", "consumers"].into_iter().flat_map(|kind| {
        let folder = std::fs::read_dir(project().join("examples").join(kind)).unwrap();
        folder.map(|example| example.unwrap().path().join("README.md"))
    });
    let providers = std::fs::read_dir(project().join("docs/providers")).unwrap();
    let providers = providers.map(|page| page.unwrap().path());
    pages().into_iter().chain(examples).chain(providers).map(|page| name(&page)).collect()
}

/// The commands of a block: all of its lines, or those behind a `$`.
fn commands(block: &str, language: &str) -> Vec<String> {
    // A line that goes on is one command.
    let text = block.replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match language {
        "sh" => lines.map(str::to_owned).collect(),
        _ => lines.filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect(),
    }
}

/// Each `hookbus` in a command, with what is written behind it.
fn calls(command: &str) -> Vec<Vec<&str>> {
    let words: Vec<_> = command.split_whitespace().collect();
    let is_ours = |word: &str| word == "hookbus" || word.ends_with("/hookbus");
    let starts = (0..words.len()).filter(|at| is_ours(words[*at]));
    let is_end = |word: &&&str| !["|", "&&", ";", "--", "#", ">"].contains(*word);
    starts.map(|at| words[at + 1..].iter().take_while(is_end).copied().collect()).collect()
}

/// The help of what is called, also where that is one of a group, such as `hookbus dlq list`.
async fn help(call: &[&str], known: &mut BTreeMap<String, String>) -> String {
    let mut help = String::new();
    for length in 1..=call.len() {
        let name = &call[..length];
        help = match known.get(&name.join(" ")) {
            Some(help) => help.clone(),
            None => {
                let told = run(&[name, &["--help"]].concat()).await;
                assert_eq!(told.code, Some(0), "{call:?}: {told:?}");
                known.insert(name.join(" "), told.stdout.clone());
                told.stdout
            }
        };
        if !help.contains("\nCommands:\n") {
            break;
        }
    }
    help
}

/// Fails if there is no such command, or if it has no such flag.
pub(crate) async fn exists(place: &str, call: &[&str], known: &mut BTreeMap<String, String>) {
    let help = help(call, known).await;
    let flags = call.iter().filter(|word| word.starts_with("--"));
    for flag in flags.map(|flag| flag.split('=').next().unwrap()) {
        let is_flag = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let mut known = help.split(|c: char| !is_flag(c));
        assert!(known.any(|known| known == flag), "{place}: {flag} in {call:?}");
    }
}

#[tokio::test]
async fn every_command_exists() {
    let makefile = read(&project().join("Makefile"));
    let mut known = BTreeMap::new();
    let (mut called, mut made) = (0, 0);
    for page in all_pages() {
        for language in ["sh", "console"] {
            for block in blocks(&page, language) {
                let commands = commands(&block, language);
                assert!(!commands.is_empty(), "{page}: {block}");
                for command in commands {
                    let mut shell = tokio::process::Command::new("bash");
                    shell.args(["-n", "-c", &command]);
                    let checked = output(shell, b"").await;
                    assert_eq!(
                        (checked.code, &*checked.stderr),
                        (Some(0), ""),
                        "{page}: {command}"
                    );
                    for call in calls(&command) {
                        exists(&page, &call, &mut known).await;
                        called += 1;
                    }
                    let mut words = command.split_whitespace();
                    if words.next() == Some("make") {
                        let target = words.next().expect("a target");
                        assert!(makefile.contains(&format!("\n{target}:")), "{page}: {command}");
                        made += 1;
                    }
                }
            }
        }
    }
    assert!(called > 20 && made > 1, "{called} {made}");
}

/// The head of an answer without what differs each time, and its JSON, which a terminal shows on many lines.
pub(super) fn parts(shown: &str) -> (Vec<&str>, serde_json::Value) {
    let (head, body) = shown.split_at(shown.find('{').expect("JSON"));
    let each_time = ["hookbus-id: ", "latency: ", "date: "];
    let lines = head.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let lines =
        lines.map(|line| each_time.into_iter().find(|name| line.starts_with(name)).unwrap_or(line));
    let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
    for result in body["results"].as_array_mut().into_iter().flatten() {
        let id = result["toolCallId"].as_str().unwrap();
        // A new one each time, unless the command says which.
        if id.len() == "call_".len() + 24 {
            result["toolCallId"] = "call_...".into();
        }
    }
    (lines.collect(), body)
}

#[tokio::test]
async fn what_the_readme_shows_comes() {
    let Some(dev) = Dev::start(&[]).await else { return };
    let page = read(&project().join("README.md"));
    let (part, _) = page.split_once("\n## Point Vapi at it\n").expect("the next part");
    let url = dev.address("webhooks");
    let mut count = 0;
    for block in part.split("\n```console\n$ ").skip(1) {
        let block = block.split("\n```").next().unwrap();
        let (command, shown) = block.split_once('\n').expect("what is shown");
        let command = match command.strip_prefix("target/debug/hookbus") {
            Some(arguments) => {
                format!("'{}'{arguments} --to {url}", program().get_program().display())
            }
            None => command.replace("http://127.0.0.1:8080/vapi", &url).replace("-i", "-s -i"),
        };
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &command]);
        let answer = output(shell, b"").await;
        let answer = answer.stderr + &answer.stdout;
        assert_eq!(parts(&answer), parts(shown), "{command}");
        count += 1;
    }
    assert_eq!(count, 5);
    dev.end().await;
}

#[test]
fn the_readme_and_the_quickstart_are_one_configuration() {
    let shown = &blocks("README.md", "toml")[0];
    let whole = read(&project().join("deploy/config/quickstart.toml"));
    let without_comments: String =
        whole.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
    assert_eq!(without_comments.trim_start(), shown);
}
