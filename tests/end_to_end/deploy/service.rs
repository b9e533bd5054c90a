//! The unit of systemd, and the package around it.

use super::read;
use crate::docs::commands::exists;
use crate::support::bridge::program;
use crate::support::process::output;
use crate::support::{missing, project};
use std::collections::BTreeMap;
use tokio::process::Command;

const UNIT: &str = "deploy/systemd/hookbus.service";

/// What the unit says of a key, in order.
fn values(key: &str) -> Vec<String> {
    let unit = read(UNIT);
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

/// `None` where there is no systemd.
async fn analyze(arguments: &[&str]) -> Option<(Option<i32>, String)> {
    if std::process::Command::new("systemd-analyze").arg("--version").output().is_err() {
        missing("systemd-analyze");
        return None;
    }
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(project().join(UNIT));
    let analyzed = output(command, b"").await;
    Some((analyzed.code, analyzed.stdout + &analyzed.stderr))
}

#[tokio::test]
async fn systemd_understands_the_unit() {
    let Some((_, said)) = analyze(&["verify", "--man=no"]).await else { return };
    let expected = [
        // Of systemd before 253, as the unit says.
        "ignoring: notify-reload",
        // It is not installed here.
        "Command /usr/bin/hookbus is not executable",
    ];
    for line in said.lines().filter(|line| line.contains("hookbus.service")) {
        assert!(expected.iter().any(|text| line.contains(text)), "{said}");
    }
}

#[tokio::test]
async fn it_exposes_little() {
    // In tenths.
    let arguments = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let Some((code, said)) = analyze(&arguments).await else { return };
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Overall exposure level"), "{said}");
}

#[tokio::test]
async fn its_commands_and_places_exist() {
    let mut known = BTreeMap::new();
    for line in [values("ExecStartPre"), values("ExecStart")].concat() {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[0], "/usr/bin/hookbus");
        exists(UNIT, &words[1..], &mut known).await;
    }
    // The last line counts, unless systemd doesn't know it.
    assert_eq!(values("Type"), ["notify", "notify-reload"]);
    let state = values("StateDirectory");
    assert_eq!(values("WorkingDirectory"), [format!("%S/{}", state[0])]);
    assert_eq!(values("StateDirectoryMode"), ["0700"]);
    let stop: u32 = values("TimeoutStopSec")[0].parse().unwrap();
    let schema = output(
        {
            let mut command: Command = program().into();
            command.arg("schema");
            command
        },
        b"",
    )
    .await;
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    let default = |key: &str| {
        let pointer = format!("/$defs/Http/properties/{key}/default");
        let text = schema.pointer(&pointer).unwrap_or_else(|| panic!("no {pointer}"));
        humantime::parse_duration(text.as_str().unwrap()).unwrap().as_secs()
    };
    assert!(u64::from(stop) > default("shutdown_delay") + default("drain"));
    let files: u64 = values("LimitNOFILE")[0].parse().unwrap();
    let connections = schema.pointer("/$defs/Http/properties/max_connections/default").unwrap();
    assert!(files > connections.as_u64().unwrap());
}

#[tokio::test]
async fn the_configuration_of_the_package_passes_the_check_once_its_secret_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = read("deploy/debian/hookbus.toml");
    let unit = format!("/var/lib/{}/", values("StateDirectory")[0]);
    assert!(text.contains(&format!("dir = \"{unit}")), "{text}");
    let secrets = folder.path().join("secrets");
    let moved = text.replace("/etc/hookbus/secrets", secrets.to_str().unwrap());
    assert_ne!(text, moved);
    std::fs::write(folder.path().join("hookbus.toml"), moved).unwrap();
    let check = || {
        let mut command: Command = program().into();
        command.arg("check").arg("--config").arg(folder.path().join("hookbus.toml"));
        output(command, b"")
    };
    let without = check().await;
    assert_eq!(without.code, Some(2), "{without:?}");
    std::fs::create_dir(&secrets).unwrap();
    std::fs::write(secrets.join("vapi"), "of-this-test\n").unwrap();
    let with = check().await;
    assert_eq!((with.code, &*with.stderr), (Some(0), ""), "{with:?}");
}

#[test]
fn everything_that_the_package_names_exists() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let assets = deb["assets"].as_array().unwrap();
    for asset in assets.iter().map(|asset| text(&asset[0])) {
        if asset.starts_with("target/") {
            continue;
        }
        let (folder, name) = asset.rsplit_once('/').unwrap_or((".", &asset));
        let ending = name.strip_prefix('*').unwrap_or(name);
        let mut files = std::fs::read_dir(project().join(folder)).unwrap();
        let exists =
            files.any(|file| file.unwrap().file_name().to_str().unwrap().ends_with(ending));
        assert!(exists, "{asset}");
    }
    let kept = text(&deb["conf-files"][0]);
    let source = assets.iter().find(|asset| text(&asset[0]) == "deploy/debian/hookbus.toml");
    assert_eq!(kept, format!("/{}hookbus.toml", text(&source.unwrap()[1])));
    for script in ["postinst", "prerm", "postrm"] {
        let path = format!("{}/{script}", text(&deb["maintainer-scripts"]));
        assert!(read(&path).contains("#DEBHELPER#"), "{path}");
    }
    assert!(
        project()
            .join(text(&deb["systemd-units"]["unit-scripts"]))
            .join("hookbus.service")
            .exists()
    );
}
