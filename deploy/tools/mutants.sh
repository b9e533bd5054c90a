#!/usr/bin/env bash
# Changes the code line by line, and looks which changes no unit test notices: `mutants.sh [OPTIONS OF CARGO-MUTANTS]`,
# unless `--file` names another part all that the modules below hold. It takes hours; `--shard 0/50` takes a part of it.
# What it found stands in target/mutants.out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
deploy/tools/cargo.sh cargo-mutants
modules=(answer_cache ask auth inbox limit publish receive server sink spool)
files=()
[[ " $*" == *" --file"* ]] || for module in "${modules[@]}"; do
    files+=(--file "src/$module.rs" --file "src/$module/**/*.rs")
done
mkdir -p target
.tools/bin/cargo-mutants mutants --output target "${files[@]}" --no-shuffle "$@" -- --locked --lib
