#!/usr/bin/env bash
# Makes the virtual environment .tools/python: clients that know nothing of our code, for the tests, and the linters
# of `make check`. Does nothing when it holds what requirements.txt names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
requirements=deploy/tools/requirements.txt
installed=.tools/python/requirements.txt # written last, so that a half-made environment is made anew

fail() {
    printf 'python.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if cmp --silent "$requirements" "$installed" && .tools/python/bin/python --version >/dev/null 2>&1; then
    exit 0
fi
command -v python3 >/dev/null || fail "python3 is missing" "install Python 3.10 or newer"
echo "python packages: installing into .tools/python" >&2
mkdir -p .tools
rm -rf .tools/python
python3 -m venv .tools/python ||
    fail "python3 could not make a virtual environment" "install its venv module, such as by: apt-get install python3-venv"
.tools/python/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$requirements" ||
    fail "pip could not install what $requirements names" "check the network, then run it again"
cp "$requirements" "$installed"
