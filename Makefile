# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. Everything is installed by what needs it.

SHELL       := /bin/bash
GO          ?= go
BIN         := bin/ballast
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS     := -X main.version=$(VERSION)
TOOLS       := $(GO) tool -modfile=tools/go.mod
FUZZTIME    ?= 10s
SEEDS       ?= 10000
OPEN_SEEDS  ?=
EMULATOR    := qemu-aarch64-static

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Run a demo site with everything in one process (Ctrl-C ends it with a summary)
	$(BIN) up

.PHONY: test
test: js-deps ## Run all tests
	$(GO) test -timeout 40m ./...

.PHONY: build
build: ## Build bin/ballast
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/ballast

.PHONY: race
race: js-deps ## Run all tests under the race detector
	$(GO) test -race -timeout 40m ./...

.PHONY: faults
faults: ## Run the fault tests: the real binary, processes killed and stopped
	$(GO) test -count=1 -run 'TestFault' -v ./cmd/ballast/...

.PHONY: bench
bench: build ## Print the benchmark figures (bus, latency, fold, engine)
	$(BIN) bench bus latency reaction fold audit engine --events 1000000

# Deterministic: these seeds give the same runs everywhere. The time bounds it on
# a slow machine; the result says how many seeds were played, and which were left
# out: OPEN_SEEDS, separated by commas, those of open findings, which lie in
# cmd/ballast/internal/simulate/testdata/open.
.PHONY: simulate
simulate: build ## Play SEEDS seeds of deciders, permit machines and faults, ten minutes at most
	$(BIN) simulate --seeds $(SEEDS) $(if $(OPEN_SEEDS),--except $(OPEN_SEEDS)) --for 10m

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME each
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; \
	  done; done

# The linter's cache names files by their full paths: one shared by several
# checkouts reports what it cannot read any more in those that are gone.
.PHONY: lint
lint: export GOLANGCI_LINT_CACHE = $(CURDIR)/bin/lint-cache
lint: ## gofmt, go vet and the linters of .golangci.yml
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt these: $$out"; exit 1; fi
	$(GO) vet ./...
	$(TOOLS) golangci-lint run ./...

.PHONY: js-deps
js-deps: ## Install the independent JavaScript client that a test uses
	@if [ ! -d cmd/ballast/testdata/js/node_modules ]; then \
	  cd cmd/ballast/testdata/js && npm ci --no-audit --no-fund --silent; fi

# The kernel for arm64 can be run nowhere else; and the deciders must reach the
# same decisions there, which floating point with fused multiply-add would upset.
.PHONY: arm64
arm64: ## Build for arm64; run its kernel and the deciders' tests, emulated on other machines
	@if [ "$$($(GO) env GOHOSTARCH)" != arm64 ] && ! command -v $(EMULATOR) >/dev/null; then \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "this needs $(EMULATOR): install it (Debian: package qemu-user-static)"; exit 1; fi; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends qemu-user-static; fi
	GOARCH=arm64 $(GO) build ./...
	GOARCH=arm64 $(GO) vet ./hashengine/...
	@emulate=; if [ "$$($(GO) env GOHOSTARCH)" != arm64 ]; then emulate='-exec $(EMULATOR)'; fi; set -x; \
	GOARCH=arm64 BALLAST_TEST_SHA2=1 $(GO) test $$emulate ./hashengine/... ./handlers/dispatch/... ./handlers/settlement/... ./workers/permit/... && \
	GOARCH=arm64 $(GO) test $$emulate -run 'File|Changes' ./handlers/audit && \
	GOARCH=arm64 $(GO) test $$emulate ./handlers/auditbench

# The tests start a server of their own, as nobody's but theirs; without the
# package they run on SQLite alone.
.PHONY: postgres
postgres: ## Test the ledger on PostgreSQL too (installs the Debian package when root)
	@if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "this needs PostgreSQL: install it (Debian: package postgresql)"; exit 1; fi; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; fi
	BALLAST_TEST_POSTGRES=1 $(GO) test -count=1 ./handlers/books

.PHONY: ci
ci: lint postgres race build arm64 simulate ## What CI runs: linters, the ledger on PostgreSQL, every test under the race detector, the build, arm64, the simulation
	$(GO) test -timeout 40m ./...

.PHONY: clean
clean: ## Remove what was built (never data)
	rm -rf bin dist
