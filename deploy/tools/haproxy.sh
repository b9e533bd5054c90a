#!/usr/bin/env bash
# Puts HAProxy into .tools/haproxy/haproxy, for the tests of restarts behind a proxy. Does nothing when it is there, or
# on the PATH. It comes from the packages of Debian or Ubuntu, unpacked beside the system's own, so that it needs no root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() {
    printf 'haproxy.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if haproxy -v >/dev/null 2>&1 || .tools/haproxy/haproxy -v >/dev/null 2>&1; then
    exit 0
fi
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || fail "haproxy is missing, and so is $program" "install HAProxy 2.4 or newer"
done

# What this system lacks for it, and the package itself.
lacking() {
    apt-get install --simulate --no-install-recommends haproxy 2>/dev/null | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
}

mapfile -t packages < <(lacking)
if ((${#packages[@]} == 0)) && ((EUID == 0)); then
    apt-get update >/dev/null || fail "the lists of packages can't be had" "check the network, then run it again"
    mapfile -t packages < <(lacking)
fi
((${#packages[@]} > 0)) || fail "apt-get knows no haproxy" "run: apt-get update, then run it again"

mkdir -p .tools
partial=$(mktemp -d .tools/haproxy.XXXXXX)
trap 'rm -rf "$partial"' EXIT
chmod 755 "$partial"
echo "haproxy: downloading ${packages[*]}" >&2
(cd "$partial" && apt-get download --quiet --quiet "${packages[@]}" 2>/dev/null) ||
    fail "apt-get could not download ${packages[*]}" "check the network, then run it again"
for package in "$partial"/*.deb; do
    dpkg-deb --extract "$package" "$partial/root"
    rm "$package"
done
cat >"$partial/haproxy" <<'SCRIPT'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for folder in "$here"/root/usr/lib/* "$here"/root/lib/*; do
    [ -d "$folder" ] && LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$here/root/usr/sbin/haproxy" "$@"
SCRIPT
chmod 755 "$partial/haproxy"
"$partial/haproxy" -v >/dev/null || fail "the downloaded haproxy doesn't start" "install HAProxy 2.4 or newer"
rm -rf .tools/haproxy
mv "$partial" .tools/haproxy
