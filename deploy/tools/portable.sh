#!/usr/bin/env bash
# Builds the release binary for any Linux with glibc 2.28 or newer (Debian 10, RHEL 8, Ubuntu 20.04), and nothing else
# installed: target/portable/PROCESSOR/hookbus. zig brings the C library to link with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
processor=$(uname -m)
glibc=2.28
target=$processor-unknown-linux-gnu
packages=(cargo-zigbuild==0.24.1 ziglang==0.17.1)
installed=.tools/zig/packages # written last, so that a half-made environment is made anew

fail() {
    printf 'portable.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

case "$processor" in
aarch64 | x86_64) ;;
*) fail "there is no release for $processor" "aarch64 and x86_64 are what is tried" ;;
esac
if [[ "${packages[*]}" != "$(cat "$installed" 2>/dev/null)" ]]; then
    echo "zig: installing into .tools/zig" >&2
    rm -rf .tools/zig
    python3 -m venv .tools/zig || fail "python3 could not make a virtual environment" "install python3-venv"
    .tools/zig/bin/python -m pip install --quiet --disable-pip-version-check "${packages[@]}" ||
        fail "pip could not install ${packages[*]}" "check the network, then run it again"
    echo "${packages[*]}" >"$installed"
fi
# A toolchain that wasn't made by rustup may have it all the same; else the compiler says what is missing.
if command -v rustup >/dev/null; then
    rustup target add "$target" >&2
fi

# zlib becomes part of it. What librdkafka is configured with is the compiler of this machine, whatever zig says: on Debian
# 12 it needs nothing newer for it. Whether that is so on another one is seen below.
PATH="$PWD/.tools/zig/bin:$PATH" LIBZ_SYS_STATIC=1 \
    cargo zigbuild --locked --release --bin hookbus --target "$target.$glibc"
binary=target/$target/release/hookbus

needed=$(readelf --dynamic "$binary" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
if strange=$(grep --invert-match --extended-regexp '^(libc|libm|libpthread|libdl|librt|ld-linux.*)\.so\.[0-9]+$' <<<"$needed"); then
    fail "the binary needs $strange" "only the C library is on every machine"
fi
newest=$(readelf --version-info "$binary" | grep --only-matching 'GLIBC_[0-9.]*' | sort --version-sort | tail -1)
if [[ "$(printf '%s\n' "GLIBC_$glibc" "$newest" | sort --version-sort | tail -1)" != "GLIBC_$glibc" ]]; then
    fail "the binary needs $newest" "something in it asks for a newer C library than $glibc"
fi
install -D "$binary" "target/portable/$processor/hookbus"
printf '%s, %s bytes, needs %s up to %s\n' "target/portable/$processor/hookbus" "$(stat --format=%s "$binary")" "$(tr '\n' ' ' <<<"$needed")" "$newest"
