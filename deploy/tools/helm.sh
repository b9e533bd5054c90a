#!/usr/bin/env bash
# Puts a pinned Helm into .tools/helm, for the tests of the chart and for `make manifests`. Does nothing when it is there.
# It is compiled from the Go module proxy, which takes some minutes.
set -euo pipefail
version=4.3.2
go=1.26 # the oldest that it compiles with
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() {
    printf 'helm.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

command -v go >/dev/null || fail "go is missing" "install Go $go or newer"
# What was built by `go install` knows its version no better than this.
if go version -m .tools/helm 2>/dev/null | grep -q "helm.sh/helm/v4[[:space:]]*v${version}[[:space:]]"; then
    exit 0
fi
mkdir -p .tools
partial=$(mktemp -d .tools/helm.XXXXXX)
trap 'rm -rf "$partial"' EXIT
echo "Helm $version: compiling" >&2
GOBIN=$PWD/$partial GOFLAGS=-trimpath go install "helm.sh/helm/v4/cmd/helm@v$version" ||
    fail "go could not build Helm $version" "check the network, and that $(go env GOVERSION) is go$go or newer"
mv "$partial/helm" .tools/helm
