#!/usr/bin/env bash
# Runs a short set of tests against other versions of the brokers than those that all tests run against: `compat.sh`, all that
# docs/compatibility.md names, or `compat.sh nats VERSION`, `compat.sh kafka VERSION`. The last release of each line counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
nats=(2.10.26 2.11.11 2.12.8 2.14.6)
kafka=(3.9.1 4.0.1 4.1.1 4.2.1 4.3.1)

run() {
    local what=$1 log
    shift
    log=$(mktemp)
    if cargo test --locked --test end_to_end -- "$@" >"$log" 2>&1; then
        printf '%s: %s\n' "$what" "$(sed -n 's/^test result: ok. \([0-9]* passed\).*/\1/p' "$log")"
        rm "$log"
    else
        cat "$log" >&2
        rm "$log"
        printf 'compat.sh: %s: failed\nhint: the tests of it stand above\n' "$what" >&2
        exit 1
    fi
}

with_nats() {
    local server=.tools/compat/nats-server-$1
    deploy/tools/nats-server.sh "$1" "$server"
    HOOKBUS_NATS_SERVER=$PWD/$server run "nats-server $1" events:: tools:: nats::streams nats::replies nats::least
}

with_kafka() {
    local folder=.tools/compat/kafka-$1
    deploy/tools/kafka.sh "$1" "$folder"
    HOOKBUS_KAFKA=$PWD/$folder/libs run "Kafka $1" events:: kafka::batches kafka::permissions kafka::reasons
}

case ${1:-all} in
    all)
        for version in "${nats[@]}"; do with_nats "$version"; done
        for version in "${kafka[@]}"; do with_kafka "$version"; done
        ;;
    nats) with_nats "$2" ;;
    kafka) with_kafka "$2" ;;
    *)
        printf 'compat.sh: %s is no broker\nhint: nats, or kafka\n' "$1" >&2
        exit 2
        ;;
esac
