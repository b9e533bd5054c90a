# Everything a developer needs, and what CI runs: CI calls these same targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test faults fuzz check audit bench tools

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | column -t -s "$$(printf '\t')"

run: ## Start everything on this machine: NATS, the bridge, a demo worker (ARGS='--kafka' adds a mock Kafka)
	deploy/tools/nats-server.sh
	cargo run --locked -- dev $(ARGS)

# What can't be had here skips its tests, unless CI=true. The documentation's examples come first, so that the tests'
# closing lines are the last ones.
test: ## Run all tests against real brokers; with CI=true a part that is missing fails instead of being skipped
	for tool in nats-server kafka python haproxy examples; do deploy/tools/$$tool.sh || [[ "$${CI:-}" != true ]]; done
	cargo test --locked --doc
	cargo test --locked --lib --bins --tests

faults: ## Break brokers, network, disk and the bridge itself under load, for a quarter of an hour, and look what was lost
	deploy/tools/nats-server.sh
	deploy/tools/kafka.sh
	deploy/tools/haproxy.sh || [[ "$${CI:-}" != true ]]
	cargo test --locked --release --test overload -- --nocapture
	cargo test --locked --release --test end_to_end at_any_moment -- --include-ignored --nocapture
	cargo test --locked --release --test faults -- --long $(ARGS)

fuzz: ## Look for inputs that break what reads them, a minute for each target (ARGS='SECONDS TARGET...')
	deploy/tools/fuzz.sh $(ARGS)

# What may be known of dependencies since yesterday is no part of it, but of `audit`.
check: ## Format, lints, documentation, dependencies, spelling, scripts
	deploy/tools/python.sh
	deploy/tools/cargo.sh cargo-deny
	cargo fmt --check
	cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	.tools/bin/cargo-deny --locked check licenses bans sources
	.tools/python/bin/typos
	.tools/python/bin/taplo fmt --check
	.tools/python/bin/shellcheck .ci/run deploy/tools/*.sh examples/*/*/run examples/workers/shell/worker.sh

# Not part of `check`: the list of vulnerabilities is fetched from a repository that not every build machine reaches.
audit: ## Look for known vulnerabilities in dependencies, and list all of them in target/hookbus.cdx.json (CycloneDX)
	deploy/tools/audit.sh $(ARGS)

bench: ## Measure the bridge beside a bare HTTP server
	deploy/tools/nats-server.sh
	deploy/tools/kafka.sh
	cargo bench --locked

tools: ## Get what the tests start: nats-server, Kafka, Python clients, HAProxy
	deploy/tools/nats-server.sh
	deploy/tools/kafka.sh
	deploy/tools/python.sh
	deploy/tools/haproxy.sh
