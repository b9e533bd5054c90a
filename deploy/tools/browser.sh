#!/usr/bin/env bash
# Makes .tools/browser: what drives Chromium in the tests of the console, and TypeScript, which checks its types. Does
# nothing when it holds what browser/package-lock.json names.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/npm.sh" deploy/tools/browser .tools/browser
