#!/usr/bin/env bash
# Runs a binary as the image of deploy/Dockerfile does, without images: `image-test.sh [BINARY]`, target/release/hookbus
# unless another is named. The file system is made of the Debian packages that the image's base consists of. It is read-only
# but for one volume; the user is one whom nobody here knows; there is no shell, no /tmp and no environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
binary=$(readlink -f "${1:-target/release/hookbus}")
# What gcr.io/distroless/cc-debian12 holds that a binary may need, and zlib, which the Dockerfile makes part of it.
packages=base-files,ca-certificates,libc6,libgcc-s1,netbase,zlib1g,tzdata
root=target/image

fail() {
    printf 'image-test.sh: %s\nhint: %s\n' "$1" "$2" >&2
    [[ ! -s "${work:-}/log" ]] || sed 's/^/  /' "$work/log" >&2
    exit 1
}

[[ -x "$binary" ]] || fail "there is no $binary" "cargo build --release"
deploy/tools/debian.sh mmdebstrap bubblewrap
export PATH=$PWD/.tools/mmdebstrap:$PWD/.tools/bubblewrap:$PATH
# The system's own, or the one that came with mmdebstrap, such as on Ubuntu.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -f "$keyring" ]] || keyring=$PWD/.tools/mmdebstrap/root$keyring
work=$(mktemp -d)
process=
trap '[[ -z "$process" ]] || kill -KILL "$process" 2>/dev/null || true; rm -rf "$work"' EXIT

if [[ "$(cat "$root.packages" 2>/dev/null)" != "$packages" ]]; then
    echo "a root file system of $packages: making" >&2
    mkdir -p target
    new=$(mktemp -d target/image.XXXXXX)
    mmdebstrap --quiet --keyring="$keyring" --variant=extract --include="$packages" bookworm "$new/root" ||
        fail "mmdebstrap could not make it" "it needs the packages of Debian 12"
    # What the scripts of these packages would do, which a base without a shell can't run either.
    cat "$new"/root/usr/share/ca-certificates/mozilla/*.crt >"$new/root/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$new/root/bin/sh" "$new/root/usr/bin/sh" "$root"
    mkdir -p "$new/root/etc/hookbus" "$new/root/run/secrets/hookbus" "$new/root/var/lib/hookbus"
    touch "$new/root/usr/bin/hookbus"
    mv "$new/root" "$root"
    rmdir "$new"
    printf '%s' "$packages" >"$root.packages"
fi

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
http=$(free_port) admin=$(free_port) nobody=$(free_port)
mkdir "$work"/{config,secrets,volume}
echo of-this-test >"$work/secrets/vapi-secret"
cat >"$work/config/hookbus.toml" <<TOML
[http]
listen = "127.0.0.1:$http"
[admin]
listen = "127.0.0.1:$admin"
[spool]
dir = "/var/lib/hookbus/spool"
[nats]
servers = ["nats://127.0.0.1:$nobody"]
[[endpoint]]
name = "vapi"
path = "/vapi"
source = "vapi"
[[endpoint.auth]]
kind = "secret"
header = "x-vapi-secret"
secrets = ["\${file:/run/secrets/hookbus/vapi-secret}"]
TOML

# Inside, the volume belongs to user 65532, as in the image.
inside() {
    exec bwrap --unshare-all --share-net --die-with-parent --new-session --clearenv --uid 65532 --gid 65532 \
        --cap-drop ALL --ro-bind "$root" / --dev /dev --proc /proc --ro-bind "$binary" /usr/bin/hookbus \
        --ro-bind "$work/config" /etc/hookbus --ro-bind "$work/secrets" /run/secrets/hookbus \
        --bind "$work/volume" /var/lib/hookbus --chdir /var/lib/hookbus -- /usr/bin/hookbus "$@"
}

until_true() {
    local what=$1 deadline=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "waited 30 s for $what" "what it wrote stands below"
        sleep 0.1
    done
}

start() {
    (inside serve --config /etc/hookbus/hookbus.toml) 2>>"$work/log" &
    process=$!
    until_true "readiness" curl --fail --silent "http://127.0.0.1:$admin/readyz"
}

# bwrap passes no signal on; the bridge is its only child's only child.
stop() {
    local child
    child=$(pgrep --parent "$process")
    kill -TERM "$(pgrep --parent "$child" || echo "$child")"
    wait "$process" || fail "it ended with $? after SIGTERM" "what it wrote stands below"
    process=
}

post() {
    curl --silent --output "$work/answer" --write-out '%{http_code}' --header 'x-vapi-secret: of-this-test' \
        --data "$1" "http://127.0.0.1:$http/vapi"
}

expect() {
    [[ "$2" == "$3" ]] || fail "$1: $2 instead of $3" "what it wrote stands below"
}

(inside check --config /etc/hookbus/hookbus.toml) 2>>"$work/log" || fail "check refuses the configuration" "what it wrote stands below"
start
expect "an event without a broker" "$(post '{"message":{"type":"status-update","call":{"id":"c"}}}')" 202
expect "a question without a worker" "$(post '{"message":{"type":"tool-calls","call":{"id":"c"},"toolCallList":[{"id":"1","function":{"name":"f","arguments":{}}}]}}')" 200
(inside health --config /etc/hookbus/hookbus.toml) >>"$work/log" 2>&1 || fail "health says no" "what it wrote stands below"
stop
start
queued=$(curl --fail --silent "http://127.0.0.1:$admin/metrics" | sed -n 's/^hookbus_spool_records{destination="nats:{endpoint}.events.{type}"} //p')
expect "events on the volume after a restart" "$queued" 1
stop
echo "image: $(basename "$binary") runs in $(du -sh "$root" | cut -f1) of Debian's packages, with a read-only root, as user 65532"
