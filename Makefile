# Everything a developer needs, and what CI runs: CI calls these same targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test simulate faults fuzz mutants check versions audit bench rivals compat portable deb deb-test image-test manifests tools

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | column -t -s "$$(printf '\t')"

run: ## Start everything on this machine: NATS, the bridge, a demo worker (ARGS='--kafka' adds a mock Kafka)
	deploy/tools/nats-server.sh
	cargo run --locked -- dev $(ARGS)

# What can't be had here skips its tests, unless CI=true. There are no tests in the documentation of the code: to find
# that out takes minutes.
test: ## Run all tests against real brokers; with CI=true a part that is missing fails instead of being skipped
	for tool in nats-server kafka python sdks browser debian helm otelcol examples; do deploy/tools/$$tool.sh || [[ "$${CI:-}" != true ]]; done
	cargo test --locked --lib --bins --tests

# Optimised, with all checks of a debug build: how much it finds is a matter of how often it runs.
simulate: ## Play the storing of events under faults that chance decides, for a minute (ARGS='--seconds N --seed S')
	cargo test --locked --profile checked --test simulation -- $(or $(ARGS),--seconds 60)

faults: ## Break brokers, network, disk and the bridge itself under load, for half an hour, and look what was lost
	deploy/tools/nats-server.sh
	deploy/tools/kafka.sh
	deploy/tools/debian.sh haproxy || [[ "$${CI:-}" != true ]]
	cargo test --locked --profile checked --test overload -- --nocapture
	cargo test --locked --profile checked --test end_to_end at_any_moment -- --include-ignored --nocapture
	cargo test --locked --profile checked --test faults -- --long $(ARGS)

fuzz: ## Look for inputs that break what reads them, a minute for each target (ARGS='SECONDS TARGET...')
	deploy/tools/fuzz.sh $(ARGS)

mutants: ## Change the code line by line, and look which changes no unit test notices; takes hours (ARGS='--shard 0/50' a part)
	deploy/tools/mutants.sh $(ARGS)

# What may be known of dependencies since yesterday is no part of it, but of `audit`.
check: ## Format, lints, documentation, dependencies, spelling, scripts
	deploy/tools/python.sh
	deploy/tools/cargo.sh cargo-deny cargo-machete
	for crate in . tests/fuzz examples/workers/rust; do cargo fmt --check --manifest-path $$crate/Cargo.toml; done
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target -- -D warnings
	cargo clippy --locked --manifest-path examples/workers/rust/Cargo.toml --target-dir target -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	.tools/bin/cargo-machete --with-metadata . tests/fuzz examples/workers/rust
	for crate in . tests/fuzz examples/workers/rust; do .tools/bin/cargo-deny --locked --manifest-path $$crate/Cargo.toml --config deny.toml check licenses bans sources; done
	python3 deploy/tools/licences.py
	deploy/tools/browser.sh
	.tools/browser/node_modules/.bin/tsc --project deploy/tools/browser/tsconfig.json
	.tools/python/bin/typos
	.tools/python/bin/taplo fmt --check
	.tools/python/bin/hadolint deploy/Dockerfile
	.tools/python/bin/shellcheck .ci/run deploy/debian/post* deploy/debian/pre* deploy/tools/*.sh examples/*/*/run examples/workers/shell/worker.sh

# Not part of `check`, since they compile all dependencies again.
versions: ## Check with the oldest compiler and the oldest dependencies that Cargo.toml names
	deploy/tools/versions.sh compiler
	deploy/tools/versions.sh dependencies

# Not part of `check`: the list of vulnerabilities is fetched from a repository that not every build machine reaches.
audit: ## Look for known vulnerabilities in dependencies, and list all of them in target/hookbus.cdx.json (CycloneDX)
	deploy/tools/audit.sh $(ARGS)

bench: ## Measure the bridge beside a bare HTTP server
	deploy/tools/nats-server.sh
	deploy/tools/kafka.sh
	cargo bench --locked

rivals: ## Measure what one would take instead beside the bridge, and see what becomes of a request when something is wrong
	deploy/tools/nats-server.sh
	deploy/tools/kafka.sh
	deploy/tools/rivals.sh
	cargo bench --locked --bench broker -- --rivals $(ARGS)

compat: ## Run a short set of tests with older nats-servers and Kafkas (ARGS='nats 2.10.26' one of them)
	deploy/tools/compat.sh $(ARGS)

portable: ## Make target/portable/PROCESSOR/hookbus, for any Linux with glibc 2.28 or newer
	deploy/tools/portable.sh

deb: ## Make the Debian package in target/debian
	deploy/tools/cargo.sh cargo-deb
	cargo build --locked --release
	deploy/tools/shell-files.sh
	rm -f target/debian/*.deb
	.tools/bin/cargo-deb --locked --no-build --strip

deb-test: deb ## Install it on a fresh Debian, run it by the command lines of its unit, upgrade it, remove it
	deploy/tools/package-test.sh target/debian/hookbus_*.deb

image-test: ## Run the release build in the file system of the image, made of Debian's packages
	cargo build --locked --release
	deploy/tools/image-test.sh

manifests: ## Write the Helm chart with its default values to deploy/kubernetes
	deploy/tools/helm.sh
	deploy/tools/manifests.sh

tools: ## Get what the tests start: nats-server, Kafka, Python clients, SDKs of providers, HAProxy, Prometheus, tmux, Chromium, Helm, an OpenTelemetry collector
	for tool in nats-server kafka python sdks browser debian helm otelcol; do deploy/tools/$$tool.sh; done
