#!/usr/bin/env bash
# Puts what the tests start of Debian's or Ubuntu's packages into .tools/PACKAGE: `debian.sh [PACKAGE...]`, all of them by
# default. They are unpacked beside the system's own, so that it needs no root. Does nothing for what is there, or on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# The programs of each that are wanted.
declare -A programs=(
    [bubblewrap]=bwrap                 # runs the image's file system
    [chromium]=chromium                # looks at the console
    [haproxy]=haproxy                  # restarts behind a proxy
    [kcat]=kcat                        # reads a topic, as the README shows
    [mmdebstrap]=mmdebstrap            # makes the image's file system
    [nginx]=nginx                      # the same, behind another one
    [prometheus]="prometheus promtool" # alerts and dashboard
    [tmux]=tmux                        # a terminal for `hookbus top`
)
# What else it takes to run them.
declare -A with=(
    [chromium]=fonts-dejavu-core
    [mmdebstrap]=debian-archive-keyring
)

fail() {
    printf 'debian.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

is_there() {
    local program
    for program in ${programs[$1]}; do
        [[ -x ".tools/$1/$program" ]] || command -v "$program" >/dev/null || return 1
    done
}

# What this system lacks for it, and the package itself.
lacking() {
    # shellcheck disable=SC2086 # several words, or none
    apt-get install --simulate --no-install-recommends "$1" ${with[$1]:-} 2>/dev/null | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
}

# A program that finds the libraries which came with it.
write_starter() {
    local folder=$1 program=$2 place
    # Chromium's own is a script that looks for the system's.
    for place in usr/lib/chromium usr/bin usr/sbin bin sbin; do
        [[ -x "$folder/root/$place/$program" ]] || continue
        cat >"$folder/$program" <<SCRIPT
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
for folder in "\$here"/root/usr/lib/* "\$here"/root/usr/lib/*/pulseaudio "\$here"/root/lib/*; do
    [ -d "\$folder" ] && LD_LIBRARY_PATH="\$folder\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "\$here/root/$place/$program" "\$@"
SCRIPT
        chmod 755 "$folder/$program"
        return
    done
    return 1
}

unpack() {
    local package=$1 program archive packages
    mapfile -t packages < <(lacking "$package")
    if ((${#packages[@]} == 0)) && ((EUID == 0)); then
        apt-get update >/dev/null || fail "cannot fetch the package lists" "check the network, then run it again"
        mapfile -t packages < <(lacking "$package")
    fi
    ((${#packages[@]} > 0)) || fail "apt-get knows no $package" "run: apt-get update, then run it again"
    mkdir -p .tools
    partial=$(mktemp -d ".tools/$package.XXXXXX")
    chmod 755 "$partial"
    echo "$package: downloading ${packages[*]}" >&2
    (cd "$partial" && apt-get download --quiet --quiet "${packages[@]}" 2>/dev/null) ||
        fail "apt-get could not download ${packages[*]}" "check the network, then run it again"
    for archive in "$partial"/*.deb; do
        dpkg-deb --extract "$archive" "$partial/root"
        rm "$archive"
    done
    for program in ${programs[$package]}; do
        write_starter "$partial" "$program" || fail "there is no $program in $package" "install it by other means"
    done
    rm -rf ".tools/$package"
    mv "$partial" ".tools/$package"
}

partial=
trap '[[ -z "$partial" ]] || rm -rf "$partial"' EXIT
(($# > 0)) || set -- "${!programs[@]}"
for package in "$@"; do
    [[ -n "${programs[$package]:-}" ]] || fail "$package is not known" "there are ${!programs[*]}"
    is_there "$package" && continue
    for program in apt-get dpkg-deb; do
        command -v "$program" >/dev/null || fail "$package is missing, and so is $program" "install it by other means"
    done
    unpack "$package"
done
