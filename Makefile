# The targets a person needs. Each says what it does; none needs anything but Rust, Python 3.11 and Debian's packages.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# demo and up run the optimised build; PROFILE=dev builds faster and runs slower.
PROFILE ?= release
DATA ?= $(CURDIR)/data
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cairn
VENV ?= $(CACHE)/venv
PYTHON ?= python3
REQUIREMENTS := integration-tests/python/requirements.txt

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
PROFILE_FOLDER = $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
CAIRN = $(CARGO_TARGET_DIR)/$(PROFILE_FOLDER)/cairn
CAIRN_DEBUG = $(CARGO_TARGET_DIR)/debug/cairn
# Selected so that their dependencies have the features that the tests build them with, and nothing is compiled twice.
PROGRAMS := --workspace --bins --example s3_server --example s3_conformance

.PHONY: help demo cluster test-processes up build check test test-rust test-python fmt lint deny docs fuzz bench clean

help: ## Lists the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: build $(VENV)/.ready ## Builds Cairn, starts it, trains real models with the unmodified MLflow client, shows what is known.
	$(VENV)/bin/python integration-tests/demo/demo.py --cairn $(CAIRN)

cluster: $(VENV)/.ready redis nats postgres clickhouse ## Starts every role as processes, as docker/compose.processes.yaml says but without containers; runs the demo and tests on them; stops everything.
	@echo "starting, each on free ports and in a temporary folder: PostgreSQL, ClickHouse, NATS, Redis, a stand-in for S3, eight processes of Cairn"
	cargo build $(PROGRAMS)
	$(VENV)/bin/python integration-tests/demo/demo.py --cairn $(CAIRN_DEBUG) --cluster
	CAIRN_BIN=$(CAIRN_DEBUG) $(VENV)/bin/python -m pytest -q -p no:cacheprovider integration-tests/python/test_cluster.py integration-tests/python/test_processes.py

test-processes: $(VENV)/.ready torch redis nats haproxy postgres clickhouse promtool node oidc-provider lemonldap ## The Python suite over `cairn up micro`: every role a process of its own, on a PostgreSQL of its own.
	cargo build $(PROGRAMS)
	CAIRN_TEST_UP="up micro" CAIRN_NODE_MODULES=$(CACHE)/node/node_modules OIDC_PROVIDER_FOLDER=$(OIDC_PROVIDER) CAIRN_BIN=$(CAIRN_DEBUG) \
	  $(VENV)/bin/python -m pytest -q -p no:cacheprovider integration-tests/python

up: build ## Builds Cairn and starts the whole suite in one process; prints addresses and the first key.
	$(CAIRN) up --data $(DATA)

build: ## Builds the `cairn` program.
	cargo build --profile $(PROFILE) --package cairn --bin cairn

check: ## Formatting, lints, and the tests that need only cargo.
	$(MAKE) fmt lint test-rust

test: postgres clickhouse redis nats test-rust test-python ## Everything: also genuine clients and servers. Says what it installs and starts.

test-rust: ## All Rust tests (with cargo-nextest where it is installed).
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace --all-targets --no-fail-fast \
	    -E 'all() $(if $(POSTGRES),,- (package(cairn-eventstore-postgres) & binary(it)) - test(postgresql)) $(if $(CLICKHOUSE),,- test(metric_stores::clickhouse)) $(if $(REDIS),,- (package(cairn-ingest-redis) & binary(it))) $(if $(NATS),,- (package(cairn-ingest-nats) & binary(it)))'; \
	else \
	  echo "cargo-nextest is not installed: running cargo test"; \
	  cargo test --workspace --all-targets $(if $(POSTGRES),,--exclude cairn-eventstore-postgres) \
	    $(if $(REDIS),,--exclude cairn-ingest-redis) $(if $(NATS),,--exclude cairn-ingest-nats) \
	    -- $(if $(POSTGRES),,--skip postgresql) $(if $(CLICKHOUSE),,--skip metric_stores::clickhouse); \
	fi
	@$(if $(POSTGRES),,echo "PostgreSQL is not installed: the tests with it were left out";) \
	  $(if $(CLICKHOUSE),,echo "ClickHouse is not installed: the tests with it were left out";) \
	  $(if $(REDIS),,echo "Redis is not installed: the tests of queues in it were left out";) \
	  $(if $(NATS),,echo "NATS is not there: the tests of queues in it were left out";) true

test-python: $(VENV)/.ready torch redis nats haproxy postgres clickhouse promtool node oidc-provider lemonldap ## The Python SDK; genuine clients against the real program, answer by answer beside a genuine MLflow server.
	@echo "starting, each on free ports and in a temporary folder: Cairn, a genuine MLflow server, stand-ins for S3;"
	@echo "as root also small loop-back file systems, a control group, network and mount namespaces of the tests' own"
	cargo build $(PROGRAMS)
	cd libs/python && $(abspath $(VENV))/bin/python -m pytest -q -p no:cacheprovider
	CAIRN_NODE_MODULES=$(CACHE)/node/node_modules OIDC_PROVIDER_FOLDER=$(OIDC_PROVIDER) CAIRN_BIN=$(CAIRN_DEBUG) \
	  $(VENV)/bin/python -m pytest -q -p no:cacheprovider integration-tests/python

# PyPI's PyTorch brings what a graphics card needs, some gigabytes. Without Debian's, one test is skipped.
.PHONY: torch
torch:
	@if /usr/bin/python3 -c 'import importlib.util as u; exit(not (u.find_spec("torch") and u.find_spec("requests")))' 2>/dev/null; then \
	  :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's python3-torch and python3-requests (150 MB)"; \
	  { timeout 120 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -qq --no-install-recommends \
	    python3-torch python3-requests >/dev/null; } || echo "that failed: the test with PyTorch is skipped"; \
	else \
	  echo "no python3-torch and python3-requests, and no right to install them: the test with PyTorch is skipped"; \
	fi

# The package would start its own server; each test starts one for itself.
REDIS = $(shell command -v redis-server)
.PHONY: redis
redis:
	@if [ -n "$(REDIS)" ]; then \
	  :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's redis-server, and not starting it"; \
	  { timeout 120 apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq \
	    --no-install-recommends redis-server >/dev/null; } || echo "that failed: the test with Redis is skipped"; \
	else \
	  echo "no redis-server, and no right to install it: the test with Redis is skipped"; \
	fi

.PHONY: haproxy
haproxy:
	@if command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ]; then \
	  :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's haproxy, and not starting it"; \
	  { timeout 120 apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq \
	    --no-install-recommends haproxy >/dev/null; } || echo "that failed: the test with HAProxy is skipped"; \
	else \
	  echo "no haproxy, and no right to install it: the test with HAProxy is skipped"; \
	fi

# The packages would start servers of their own; each test starts one for itself.
POSTGRES = $(shell ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null || command -v initdb)
.PHONY: postgres
postgres:
	@if [ -n "$(POSTGRES)" ] && { command -v pgbouncer || [ -x /usr/sbin/pgbouncer ]; } >/dev/null; then \
	  :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's postgresql and pgbouncer (60 MB), and not starting them"; \
	  { timeout 120 apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y -qq \
	    --no-install-recommends postgresql pgbouncer >/dev/null; } || echo "that failed: tests with what is missing are left out"; \
	else \
	  echo "no PostgreSQL or no pgbouncer, and no right to install it: the tests with it are left out"; \
	fi

# Only its checker of rules is used.
.PHONY: promtool
promtool:
	@if command -v promtool >/dev/null; then \
	  :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's prometheus (60 MB), and not starting it"; \
	  { timeout 120 apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq \
	    --no-install-recommends prometheus >/dev/null; } || echo "that failed: the tests of alerts are skipped"; \
	else \
	  echo "no promtool, and no right to install it: the tests of alerts are skipped"; \
	fi

# The package would start a server of its own; each test starts one for itself.
CLICKHOUSE = $(shell PATH="$$PATH:/usr/sbin" command -v clickhouse-server)
.PHONY: clickhouse
clickhouse:
	@if [ -n "$(CLICKHOUSE)" ]; then \
	  :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's clickhouse-server (110 MB), and not starting it"; \
	  { timeout 120 apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y -qq \
	    --no-install-recommends clickhouse-server >/dev/null; } || echo "that failed: the tests with it are left out"; \
	else \
	  echo "no ClickHouse, and no right to install it: the tests with it are left out"; \
	fi

# Debian 12 has 2.9, which cannot be told to write before it acknowledges. The package of Debian 13 is one program that runs
# here as well: it is unpacked into the cache, and not installed.
NATS_VERSION := 2.10.27-1+b2
NATS_SHA256 := 6d913ac987b78734c08537c2adeb1526cf735f216173a9170d94b185fcfe6f8a
NATS = $(wildcard $(CACHE)/nats/usr/sbin/nats-server)
.PHONY: nats
nats:
	@if [ -n "$(NATS)" ]; then \
	  :; \
	elif [ "$$(dpkg --print-architecture 2>/dev/null)" = amd64 ] && command -v curl >/dev/null; then \
	  echo "fetching Debian's nats-server $(NATS_VERSION) (5 MB) into $(CACHE)/nats, and not installing it"; \
	  folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  { timeout 120 curl -sSf -o $$folder/nats.deb \
	      "http://deb.debian.org/debian/pool/main/n/nats-server/nats-server_$(subst +,%2B,$(NATS_VERSION))_amd64.deb" && \
	    echo "$(NATS_SHA256)  $$folder/nats.deb" | sha256sum --check --quiet && \
	    dpkg-deb -x $$folder/nats.deb $$folder/nats && mkdir -p $(CACHE) && rm -rf $(CACHE)/nats && \
	    mv $$folder/nats $(CACHE)/nats; } || echo "that failed: the tests with NATS are left out"; \
	else \
	  echo "no NATS for this machine: the tests with it are left out"; \
	fi

.PHONY: node
node: integration-tests/node/package.json
	@if command -v npm >/dev/null; then \
	  mkdir -p $(CACHE)/node && cp $< $(CACHE)/node && cd $(CACHE)/node && \
	  { { [ -d node_modules/grpc-web ] && [ -d node_modules/@kurrent/kurrentdb-client ]; } || timeout 240 npm install --silent --no-audit --no-fund --no-package-lock; } \
	  || echo "npm could not install what is tested with it: those tests are skipped"; \
	else \
	  echo "no npm: the tests with Google's grpc-web client and with KurrentDB's are skipped"; \
	fi

# The other provider that people log in by in the tests. It is not started as a service.
LEMONLDAP := liblemonldap-ng-portal-perl libplack-perl libgd-securityimage-perl libimage-magick-perl libio-string-perl \
  libstring-random-perl
.PHONY: lemonldap
lemonldap:
	@if ! perl -MLemonldap::NG::Portal::Issuer::OpenIDConnect -e 1 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing Debian's LemonLDAP::NG portal (50 MB)"; \
	    { timeout 120 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -qq \
	      --no-install-recommends $(LEMONLDAP) >/dev/null; } || echo "that failed: the test with it is skipped"; \
	  else \
	    echo "no LemonLDAP::NG, and no right to install it: the test with it is skipped"; \
	  fi; \
	fi

# The provider that people log in by in the tests. Without it, those are skipped.
OIDC_PROVIDER ?= $(CACHE)/oidc-provider
.PHONY: oidc-provider
oidc-provider: ## Installs the OpenID Connect provider of the tests, from npm, outside of the checkout.
	@if cmp -s integration-tests/oidc_provider/package.json $(OIDC_PROVIDER)/package.json && [ -d $(OIDC_PROVIDER)/node_modules/oidc-provider ]; then \
	  exit 0; \
	fi; \
	if ! command -v npm >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's nodejs and npm"; \
	  { timeout 120 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -y -qq --no-install-recommends \
	    nodejs npm >/dev/null; } || true; \
	fi; \
	if ! command -v npm >/dev/null; then \
	  echo "no npm, and no right to install it: the tests of logging in by a genuine provider are skipped"; exit 0; \
	fi; \
	echo "installing npm's oidc-provider into $(OIDC_PROVIDER)"; \
	mkdir -p $(OIDC_PROVIDER) && cp integration-tests/oidc_provider/package.json $(OIDC_PROVIDER)/ && \
	timeout 300 npm install --prefix $(OIDC_PROVIDER) --no-audit --no-fund --silent || \
	{ rm -rf $(OIDC_PROVIDER); echo "that failed: the tests of logging in by a genuine provider are skipped"; }

$(VENV)/.ready: $(REQUIREMENTS)
	@echo "installing the Python packages of $(REQUIREMENTS) into $(VENV)"
	mkdir -p $(CACHE)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $(REQUIREMENTS)
	touch $@

fmt: ## Checks formatting.
	cargo fmt --all -- --check

lint: ## Clippy over everything; a warning is an error.
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## Licences, sources and advisories of all dependencies (needs cargo-deny).
	cargo deny check

docs: ## Regenerates the references under docs/, and fixtures of events that have none.
	cargo build --quiet $(PROGRAMS)
	$(CARGO_TARGET_DIR)/debug/contract-docs
	$(CARGO_TARGET_DIR)/debug/contract-docs fixtures
	$(PYTHON) libs/python/generate_reasons.py
	$(CAIRN_DEBUG) config doc > docs/config.md.new && mv docs/config.md.new docs/config.md
	CAIRN_REGENERATE=1 cargo test --quiet --workspace --test it -- roles

FUZZ_SECONDS ?= 60

# The instrumentation that libFuzzer looks at, which stable compilers have too; nothing but g++ is needed beside cargo.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')

fuzz: ## Looks for inputs that break a parser, FUZZ_SECONDS for each of three; what it finds lies in fuzz/artifacts.
	cp Cargo.lock fuzz/Cargo.lock
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --manifest-path fuzz/Cargo.toml --target $(FUZZ_HOST) \
	  --target-dir $(CARGO_TARGET_DIR)/fuzz
	for target in path request filter; do \
	  mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; \
	  $(CARGO_TARGET_DIR)/fuzz/$(FUZZ_HOST)/release/$$target fuzz/corpus/$$target fuzz/seeds/$$target \
	    -artifact_prefix=fuzz/artifacts/$$target/ -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1; \
	done

bench: $(VENV)/.ready ## Benchmarks, each beside what one would use instead; prints ratios and the machine's figures.
	cargo build --release --package cairn --package cairn-bench
	MLFLOW_PYTHON=$(VENV)/bin/python CAIRN_BIN=$(CARGO_TARGET_DIR)/release/cairn $(CARGO_TARGET_DIR)/release/bench all --growth

clean: ## Removes what this Makefile made in the checkout.
	rm -rf $(CURDIR)/target $(DATA)
