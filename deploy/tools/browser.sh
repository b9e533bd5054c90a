#!/usr/bin/env bash
# Makes .tools/browser: what drives Chromium in the tests of the console, and TypeScript, which checks its types. Does
# nothing when it holds what browser/package-lock.json names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wanted=deploy/tools/browser
node=.tools/browser

fail() {
    printf 'browser.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

# What was installed is written down last, so that half of it is made anew.
if ! cmp --silent "$wanted/package-lock.json" "$node/installed.json"; then
    command -v npm >/dev/null || fail "npm is missing" "install Node.js 20 or newer"
    echo "Playwright, axe and TypeScript: installing into $node" >&2
    rm -rf "$node"
    mkdir -p "$node"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$wanted/.npmrc" "$node"
    # None of them has to run anything to be installed.
    (cd "$node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        fail "npm could not install what $wanted/package-lock.json names" "check the network, then run it again"
    cp "$wanted/package-lock.json" "$node/installed.json"
fi
