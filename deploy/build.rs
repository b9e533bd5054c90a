//! Tells an optimised build which commit it is of. Others don't say it: they would be built again after each commit.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=deploy/build.rs");
    println!("cargo:rerun-if-env-changed=HOOKBUS_COMMIT");
    println!("cargo:rustc-env=HOOKBUS_TARGET={}", variable("TARGET").unwrap_or_default());
    println!("cargo:rustc-env=HOOKBUS_PROFILE={}", variable("PROFILE").unwrap_or_default());
    let commit = variable("HOOKBUS_COMMIT").or_else(|| {
        let is_optimised = variable("PROFILE").is_some_and(|profile| profile == "release");
        is_optimised.then(from_git).flatten()
    });
    println!("cargo:rustc-env=HOOKBUS_COMMIT={}", commit.unwrap_or_default());
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The commit that is checked out, if this is a clone and there is a git.
fn from_git() -> Option<String> {
    // It has a new line for each commit and checkout.
    println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
