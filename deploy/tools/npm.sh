#!/usr/bin/env bash
# Installs what a lock file of npm names: `npm.sh WANTED FOLDER`, where WANTED has package.json, package-lock.json and
# .npmrc. Does nothing when the folder holds that already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wanted=$1 folder=$2

fail() {
    printf 'npm.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

# What was installed is written down last, so that half of it is made anew.
if cmp --silent "$wanted/package-lock.json" "$folder/installed.json"; then
    exit 0
fi
command -v npm >/dev/null || fail "npm is missing" "install Node.js 20 or newer"
echo "npm packages: installing into $folder" >&2
rm -rf "$folder"
mkdir -p "$folder"
cp "$wanted/package.json" "$wanted/package-lock.json" "$wanted/.npmrc" "$folder"
# None of them has to run anything to be installed.
(cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
    fail "npm could not install what $wanted/package-lock.json names" "check the network, then run it again"
cp "$wanted/package-lock.json" "$folder/installed.json"
