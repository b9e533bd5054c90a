#!/usr/bin/env bash
# Writes the software bill of materials, and looks for known vulnerabilities in what it names. Ends with 1 if there is
# one, and with 2 if the list of them could not be had. `--offline` takes the list that an earlier run has fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
deploy/tools/cargo.sh cargo-deny cargo-cyclonedx
command -v python3 >/dev/null || {
    printf 'audit.sh: python3 is missing\nhint: install Python 3.10 or newer\n' >&2
    exit 2
}
python3 deploy/tools/sbom.py

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if .tools/bin/cargo-deny --locked "$@" check advisories 2>&1 | tee "$log" >&2; then
    exit 0
fi
# The words of cargo-deny: its exit code is the same for both.
if grep -qE 'failed to (fetch|load|get).*(advisory database|FETCH_HEAD)' "$log"; then
    printf 'audit.sh: nothing was looked up, because the list of vulnerabilities could not be had\n' >&2
    printf 'hint: run it where https://github.com/RustSec/advisory-db is reachable\n' >&2
    exit 2
fi
exit 1
