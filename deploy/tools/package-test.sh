#!/usr/bin/env bash
# Installs a package on a fresh Debian, runs it by the command lines of its unit, upgrades it over a changed configuration, and
# removes it: `package-test.sh PACKAGE.deb`. There is no systemd in it: what only systemd does isn't tried.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
package=${1:-}

fail() {
    printf 'package-test.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

[[ -f "$package" ]] || fail "there is no package ${package:-given}" "make deb, or: package-test.sh target/debian/hookbus_*.deb"
deploy/tools/debian.sh mmdebstrap
# The system's own, or the one that came with mmdebstrap, such as on Ubuntu.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -f "$keyring" ]] || keyring=$PWD/.tools/mmdebstrap/root$keyring
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same files under a higher version, as the next release would be.
dpkg-deb --raw-extract "$package" "$work/next"
# Debug information is five times what runs.
if readelf --sections "$work/next/usr/bin/hookbus" | grep '\.debug_info' >/dev/null; then
    fail "the binary in $(basename "$package") holds debug information" "strip it: make deb does"
fi
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
echo '# a comment of the next release' >>"$work/next/etc/hookbus/hookbus.toml"
(cd "$work/next" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
dpkg-deb --root-owner-group --build "$work/next" "$work/next.deb" >/dev/null
cp "$package" "$work/this.deb"

cat >"$work/inside" <<'SCRIPT'
#!/bin/bash
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# What the unit says of this key, the last time.
unit() {
    sed -n "s/^$1=//p" /usr/lib/systemd/system/hookbus.service /lib/systemd/system/hookbus.service 2>/dev/null | tail -n 1
}

# As the unit's user, in its directory, with its limits on files.
as_unit() {
    local user
    user=$(unit User)
    cd /var/lib/hookbus
    exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs env --ignore-environment "$@"
}

apt-get install --yes --no-install-recommends /this.deb
[[ "$(stat -c '%U %G %a' /var/lib/hookbus)" == "hookbus hookbus 700" ]]
[[ "$(stat -c '%U %G %a' /etc/hookbus/hookbus.toml)" == "root hookbus 640" ]]
[[ "$(stat -c '%U %G %a' /etc/hookbus/secrets)" == "root hookbus 750" ]]
cmp <(dpkg-query --showformat '${Conffiles}' --show hookbus | awk '{ print $1 }' | sed '/^$/d') <(echo /etc/hookbus/hookbus.toml)

echo "== without its secret the check before the start refuses it"
! (as_unit $(unit ExecStartPre)) 2>/tmp/refused
grep -q '/etc/hookbus/secrets/vapi' /tmp/refused

install --mode=0640 --group=hookbus /dev/null /etc/hookbus/secrets/vapi
echo of-this-test >/etc/hookbus/secrets/vapi
# The ports of this test.
sed -i "s/127.0.0.1:8080/127.0.0.1:$HTTP/; s/127.0.0.1:4222/127.0.0.1:$NOBODY/" /etc/hookbus/hookbus.toml
printf '\n[admin]\nlisten = "127.0.0.1:%s"\n' "$ADMIN" >>/etc/hookbus/hookbus.toml
(as_unit $(unit ExecStartPre))

get() {
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf '%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s\r\n\r\n%s' "$2" "${3:-accept: */*}" "${4:-}" >&3
    cat <&3
}

start() {
    (as_unit $(unit ExecStart)) &
    process=$!
    for _ in {1..300}; do
        (get "$ADMIN" 'GET /readyz' | grep -q '^HTTP/1.1 200') 2>/dev/null && return
        sleep 0.1
    done
    echo "it isn't ready after 30 s" >&2
    exit 1
}

echo "== the unit's command line serves, and keeps an event without a broker"
start
body='{"message":{"type":"status-update","call":{"id":"c"}}}'
get "$HTTP" 'POST /vapi' "x-vapi-secret: of-this-test"$'\r\n'"content-length: ${#body}" "$body" | grep '^HTTP/1.1 202'
kill -HUP "$process"
kill -TERM "$process"
wait "$process"

echo "== an upgrade keeps what was changed in the configuration"
cp /etc/hookbus/hookbus.toml /tmp/mine
apt-get install --yes --no-install-recommends --option Dpkg::Options::=--force-confold /next.deb
cmp /tmp/mine /etc/hookbus/hookbus.toml
grep -q 'the next release' /etc/hookbus/hookbus.toml.dpkg-dist
[[ "$(stat -c '%U %G %a' /etc/hookbus/hookbus.toml)" == "root hookbus 640" ]]
start
get "$ADMIN" 'GET /metrics' | grep '^hookbus_spool_records{destination="nats:{endpoint}.events.{type}"} 1'
kill -TERM "$process"
wait "$process"

echo "== a purge leaves events that somebody was promised"
apt-get purge --yes hookbus
[[ ! -e /usr/bin/hookbus && ! -e /etc/hookbus ]]
find /var/lib/hookbus -name '*.segment' | grep -q .
SCRIPT
chmod 755 "$work/inside"

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
ports=(HTTP="$(free_port)" ADMIN="$(free_port)" NOBODY="$(free_port)")
PATH=$PWD/.tools/mmdebstrap:$PATH mmdebstrap --quiet --keyring="$keyring" --variant=minbase \
    --customize-hook="copy-in $work/this.deb $work/next.deb $work/inside /" \
    --customize-hook="env ${ports[*]} chroot \"\$1\" /inside" bookworm /dev/null >"$work/log" 2>&1 || {
    sed 's/^/  /' "$work/log" >&2
    fail "$(basename "$package") failed its test" "what it wrote stands above"
}
sed -n 's/^== /package: /p' "$work/log"
