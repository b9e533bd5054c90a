#!/usr/bin/env bash
# Fuzzes: `fuzz.sh [SECONDS [TARGET...]]`, by default each target for a minute. Every target begins with its inputs in
# tests/fuzz/corpus and with what earlier runs have found, which stays in target/fuzz/corpus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-60}
shift || true
targets=("$@")
if [[ ${#targets[@]} == 0 ]]; then
    mapfile -t targets < <(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' tests/fuzz/Cargo.toml)
fi

deploy/tools/cargo.sh cargo-fuzz
# Without a sanitizer: what they find is unsafe code, of which there is none here, and they need a nightly compiler.
.tools/bin/cargo-fuzz build --fuzz-dir tests/fuzz --target-dir target/fuzz --sanitizer none --codegen-units 16
host=$(rustc -vV | sed -n 's/^host: //p')
passed=0 failed=0
printf '%-12s %12s %10s %8s\n' target executions coverage inputs
for target in "${targets[@]}"; do
    found=target/fuzz/corpus/$target log=target/fuzz/$target.log
    artifacts=target/fuzz/artifacts/$target-
    mkdir -p "$found" target/fuzz/artifacts
    rm -f "$artifacts"*
    corpora=("$found" "tests/fuzz/corpus/$target")
    case $target in
        classify | tool_calls) corpora+=(src/source/vapi/samples) ;;
        config) corpora+=(deploy/config) ;;
        forms) corpora+=(deploy/config tests/fuzz/corpus/config) ;;
    esac
    # Of the largest samples only the beginning, or all inputs would grow like them.
    if "target/fuzz/$host/release/$target" "${corpora[@]}" \
        -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=1024 \
        -artifact_prefix="$artifacts" >"$log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 40 "$log" >&2
        for input in "$artifacts"*; do
            [[ -e "$input" ]] || continue
            printf 'fuzz.sh: %s met an input that it can not take: %s\n' "$target" "$input" >&2
            printf 'hint: target/fuzz/%s/release/%s %s shows it again; once it is mended, keep it in tests/fuzz/corpus/%s\n' \
                "$host" "$target" "$input" "$target" >&2
        done
    fi
    # `#1053552 DONE cov: 1865 ft: 5152 corp: 1268/706Kb ...`
    awk -v target="$target" '/ cov: / { runs = $1; cov = $4; corpus = $8 }
        END { sub("#", "", runs); sub("/.*", "", corpus); printf "%-12s %12s %10s %8s\n", target, runs, cov, corpus }' "$log"
done
printf 'fuzz: %d passed, %d failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
