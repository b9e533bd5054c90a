#!/usr/bin/env bash
# Puts a pinned cargo-deny into .tools/bin. Does nothing when it is there; else it compiles for some minutes.
set -euo pipefail
version=0.20.2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ "$(.tools/bin/cargo-deny --version 2>/dev/null)" == "cargo-deny $version" ]]; then
    exit 0
fi
command -v cargo >/dev/null || {
    printf 'cargo-deny.sh: cargo is missing\nhint: install Rust, see https://rustup.rs\n' >&2
    exit 1
}
echo "cargo-deny $version: compiling" >&2
# Its own target folder: the one of this project has other settings and would be compiled anew after.
CARGO_TARGET_DIR=.tools/cargo-deny-target cargo install --quiet --locked --root .tools "cargo-deny@$version"
rm -rf .tools/cargo-deny-target
