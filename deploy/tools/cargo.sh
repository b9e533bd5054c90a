#!/usr/bin/env bash
# Puts pinned tools made by cargo into .tools/bin: `cargo.sh cargo-deny`. What is there already costs nothing, what isn't
# compiles for a minute or more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
declare -A versions=(
    [cargo-cyclonedx]=0.5.9
    [cargo-deb]=3.8.0
    [cargo-deny]=0.20.2
    [cargo-fuzz]=0.13.2
    [cargo-machete]=0.9.2
    [cargo-mutants]=27.1.0
)

command -v cargo >/dev/null || {
    printf 'cargo.sh: cargo is missing\nhint: install Rust, see https://rustup.rs\n' >&2
    exit 1
}
for tool in "$@"; do
    version=${versions[$tool]:-}
    if [[ -z "$version" ]]; then
        printf 'cargo.sh: %s is not known\nhint: there are %s\n' "$tool" "${!versions[*]}" >&2
        exit 2
    fi
    # What cargo itself notes down: not every tool can be asked for its version.
    if grep -qs "^\"$tool $version " .tools/.crates.toml && [[ -x ".tools/bin/$tool" ]]; then
        continue
    fi
    echo "$tool $version: compiling" >&2
    # Its own target folder: the one of this project has other settings and would be compiled anew after.
    CARGO_TARGET_DIR=.tools/cargo-target cargo install --quiet --locked --root .tools "$tool@$version"
    rm -rf .tools/cargo-target
done
