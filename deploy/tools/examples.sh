#!/usr/bin/env bash
# Builds what examples/ holds, each from its lock file, in its own folder. With names, such as `workers/go`, only these.
# What lacks its tools is named and left out; the exit code then says so. Each build does little when nothing changed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../examples" || exit
missing=0

lacking() {
    printf 'examples.sh: %s\nhint: %s\n' "$1" "$2" >&2
    missing=1
    return 1
}

# What an example is built with, by the files in its folder.
build() {
    if [[ -f requirements.txt ]]; then
        needs python3 "install Python 3.10 or newer" && ./run --build
    elif [[ -f go.mod ]]; then
        needs go "install Go, see https://go.dev/dl" && go build -mod=readonly .
    elif [[ -f package.json ]]; then
        needs npm "install Node.js 20 or newer" && node_modules && npx --no-install tsc
    elif [[ -f pom.xml ]]; then
        needs mvn "install Java 17 or newer and Maven" && { maven --offline >/dev/null 2>&1 || maven; }
    elif [[ -f Cargo.toml ]]; then
        needs cargo "install Rust, see https://rustup.rs" && cargo build --quiet --locked
    fi
}

needs() {
    command -v "$1" >/dev/null || lacking "$example needs $1" "$2, or leave it: its tests are skipped"
}

# It asks its registry even for what it has, so that is tried without the network first.
maven() {
    mvn --batch-mode --quiet -Dstyle.color=never "$@" compile
}

# npm ci always begins anew, so only where the lock file is another.
node_modules() {
    cmp --silent package-lock.json node_modules/.installed && return
    npm ci --no-audit --no-fund --loglevel=error && cp package-lock.json node_modules/.installed
}

examples=("$@")
[[ $# -gt 0 ]] || for file in */*/README.md; do examples+=("${file%/README.md}"); done
for example in "${examples[@]}"; do
    echo "examples/$example" >&2
    if ! (cd "$example" && build); then
        lacking "$example is not built" "see above, then run: deploy/tools/examples.sh $example"
    fi
done
exit "$missing"
