# podnet's everyday commands; `make help` lists them. Every target works in a fresh clone.
# SCRATCH is where SwiftPM builds, CONFIGURATION what `make build` builds. `make demo` builds for debugging unless told
# otherwise: that takes half the time, `make test` uses it again, and the flows are just as instant.

SCRATCH ?= .build
CONFIGURATION ?= release
# Arguments for one run: make test ARGUMENTS='--filter WireTests', make bench ARGUMENTS='--rounds 3'.
ARGUMENTS ?=
# How many clusters `make lab` draws.
LAB_RANDOM ?= 200

SWIFT_BUILD = swift build --scratch-path $(SCRATCH) --explicit-target-dependency-import-check error
SWIFT_TEST = swift test --disable-xctest --scratch-path $(SCRATCH)
BENCHMARKS_BUILD = swift build -c release --package-path Benchmarks --scratch-path $(SCRATCH)-benchmarks
SWIFT_SOURCES = Sources Tests Package.swift Benchmarks/Sources Benchmarks/Package.swift
PODNET = $(SCRATCH)/$(CONFIGURATION)/podnet

# The two flows of `make demo`, on the built-in topology: a client pod that calls a Service whose endpoint is on another
# node, and a machine outside the cluster that calls a NodePort.
DEMO_CLUSTER_IP = default/client svc/web:80
DEMO_NODE_PORT = host/client node/worker-1:30080

.DEFAULT_GOAL := help
.PHONY: help demo build test lint lab format goldens bench clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: CONFIGURATION = debug
demo: build ## build, trace two flows, write their captures into captures/
	@mkdir -p captures
	@echo; echo '$$ podnet trace $(DEMO_CLUSTER_IP)'
	@$(PODNET) trace $(DEMO_CLUSTER_IP)
	@echo; echo '$$ podnet trace $(DEMO_NODE_PORT)'
	@$(PODNET) trace $(DEMO_NODE_PORT)
	@echo; echo '$$ podnet capture $(DEMO_CLUSTER_IP) -w captures/clusterip.pcapng'
	@$(PODNET) capture $(DEMO_CLUSTER_IP) -w captures/clusterip.pcapng
	@echo; echo '$$ podnet capture $(DEMO_NODE_PORT) -w captures/nodeport.pcapng'
	@$(PODNET) capture $(DEMO_NODE_PORT) -w captures/nodeport.pcapng
	@echo; ls -l captures/clusterip.pcapng captures/nodeport.pcapng

build: ## build the podnet program (after installing what building needs)
	@scripts/install-dependencies build
	$(SWIFT_BUILD) -c $(CONFIGURATION) --product podnet

test: ## run every test (after installing the programs that tests compare with)
	@scripts/install-dependencies test
	$(SWIFT_BUILD) --build-tests
	$(SWIFT_TEST) --skip-build $(ARGUMENTS)

lint: ## check formatting, layers and the tidy rules
	@scripts/install-dependencies build
	swift format lint --strict --recursive --parallel $(SWIFT_SOURCES)
	scripts/check-layers $(SCRATCH)
	$(SWIFT_TEST) --filter TidyTests

lab: ## compare topologies and 200 drawn clusters with this machine's kernel, frame by frame (root)
	@scripts/install-dependencies test
	$(SWIFT_BUILD) -c release --product podnet
	seq 4 | xargs -P 4 -I N $(SCRATCH)/release/podnet lab check --random $(LAB_RANDOM) \
	    $(foreach file,$(wildcard topologies/*.yaml),-f $(file)) --part N/4 --prefix podnet-lab-N- $(ARGUMENTS)

format: ## rewrite the Swift sources in the project's format
	swift format --in-place --recursive --parallel $(SWIFT_SOURCES)

goldens: ## rewrite the expected outputs from what podnet says now, then show what changed
	PODNET_UPDATE_GOLDENS=1 $(MAKE) test
	git --no-pager diff --stat

bench: ## measure speed: interface crossings a second, and the time of one trace
	@scripts/install-dependencies build
	$(BENCHMARKS_BUILD) --product podnet
	$(BENCHMARKS_BUILD) --product podnet-benchmarks
	$(SCRATCH)-benchmarks/release/podnet-benchmarks --podnet $(SCRATCH)-benchmarks/release/podnet $(ARGUMENTS)

clean: ## remove everything that was built
	rm -rf $(SCRATCH) $(SCRATCH)-benchmarks Benchmarks/.build
