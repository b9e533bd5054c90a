#!/usr/bin/env bash
# Packs target/release/hookbus with its documentation, its unit, examples, and what shell-files.sh has made of it:
# `tarball.sh VERSION PROCESSOR FOLDER`. The same files make the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if (($# != 3)); then
    printf 'tarball.sh: what is it for?\nhint: tarball.sh 0.1.0 x86_64 target/packages\n' >&2
    exit 2
fi
name=hookbus-$1-linux-$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name" "$3"
install -m 755 --strip target/release/hookbus "$work/$name/"
install -m 644 README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT deploy/systemd/hookbus.service "$work/$name/"
mkdir "$work/$name"/{docs,config}
cp -r target/shell-files "$work/$name/"
install -m 644 docs/*.md "$work/$name/docs/"
install -m 644 deploy/config/*.toml "$work/$name/config/"
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
    --directory "$work" "$name" | gzip --no-name >"$3/$name.tar.gz"
echo "$3/$name.tar.gz"
