#!/usr/bin/env bash
# Puts a pinned OpenTelemetry collector into .tools/otelcol, for the tests of traces. Does nothing when it is there.
# It is compiled from the Go module proxy by the collector's own builder, which takes a minute or two.
set -euo pipefail
go=1.25 # the oldest that it compiles with
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
parts=deploy/tools/otelcol.yaml
version=$(sed -n 's/^  version: //p' $parts)

fail() {
    printf 'otelcol.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if [[ $(.tools/otelcol --version 2>/dev/null) == "otelcol version $version" ]]; then
    exit 0
fi
command -v go >/dev/null || fail "go is missing" "install Go $go or newer"
mkdir -p .tools
partial=$(mktemp -d .tools/otelcol.XXXXXX)
trap 'rm -rf "$partial"' EXIT
echo "OpenTelemetry collector $version: compiling" >&2
sed "s|^dist:|&\n  output_path: $PWD/$partial|" $parts >"$partial/otelcol.yaml"
GOFLAGS=-trimpath go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$partial/otelcol.yaml" \
    >"$partial/log" 2>&1 || {
    cat "$partial/log" >&2
    fail "go could not build the collector" "check the network, and that $(go env GOVERSION) is go$go or newer"
}
mv "$partial/otelcol" .tools/otelcol
