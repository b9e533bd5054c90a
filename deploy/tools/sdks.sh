#!/usr/bin/env bash
# Makes .tools/sdks: what providers give their users to sign and to verify webhooks with, in Python and in JavaScript,
# for the tests. Apart from .tools/python, since two dozen vendors don't agree on what else should be installed. Does
# nothing when it holds what sdks/requirements.txt and sdks/package-lock.json name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wanted=deploy/tools/sdks
python=.tools/sdks/python

fail() {
    printf 'sdks.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

# What was installed is written down last, so that half of it is made anew.
if ! cmp --silent "$wanted/requirements.txt" "$python/requirements.txt"; then
    command -v python3 >/dev/null || fail "python3 is missing" "install Python 3.10 or newer"
    echo "SDKs of providers: installing into $python" >&2
    rm -rf "$python"
    python3 -m venv "$python" ||
        fail "python3 could not make a virtual environment" "install its venv module, such as by: apt-get install python3-venv"
    "$python/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted/requirements.txt" ||
        fail "pip could not install what $wanted/requirements.txt names" "check the network, then run it again"
    cp "$wanted/requirements.txt" "$python/requirements.txt"
fi

deploy/tools/npm.sh "$wanted" .tools/sdks/node
