#!/usr/bin/env bash
# Checks what Cargo.toml promises: `versions.sh compiler`, that the oldest compiler it names will do, and
# `versions.sh dependencies`, that the oldest of each direct dependency will. On a copy of the sources, since the second
# one writes another lock file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
what=${1:-}
copy=target/versions/$what
export CARGO_TARGET_DIR=$PWD/target/versions/built
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z -- Cargo.toml Cargo.lock src benches tests docs README.md deploy/build.rs deploy/config |
    tar --create --null --files-from=- | tar --extract --directory "$copy"
cd "$copy"
case $what in
    compiler)
        version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
        rustup toolchain install "$version" --profile minimal
        cargo "+$version" check --locked --all-targets
        ;;
    dependencies)
        # An option of cargo that is not stable yet, and that every compiler has all the same.
        RUSTC_BOOTSTRAP=1 cargo update --quiet -Zdirect-minimal-versions
        cargo check --locked --all-targets
        ;;
    *)
        printf 'versions.sh: what should be checked?\nhint: versions.sh compiler, or versions.sh dependencies\n' >&2
        exit 2
        ;;
esac
