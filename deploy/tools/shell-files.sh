#!/usr/bin/env bash
# Lets a binary write its manual pages and completions: `shell-files.sh [BINARY [FOLDER]]`, target/release/hookbus and
# target/shell-files by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
binary=${1:-target/release/hookbus}
folder=${2:-target/shell-files}
rm -rf "$folder"
mkdir -p "$folder"
"$binary" completions bash >"$folder/hookbus.bash"
"$binary" completions fish >"$folder/hookbus.fish"
"$binary" completions zsh >"$folder/_hookbus"

# A page for each command, and for the commands below it.
pages() {
    "$binary" man "$@" >"$folder/$(printf '%s-' hookbus "$@" | sed 's/-$//').1"
    "$binary" "$@" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' | while read -r command; do
        [[ "$command" == help ]] || pages "$@" "$command"
    done
}
pages
