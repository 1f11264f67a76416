# Everything that a checkout can do; each target does its own set-up. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup guest hosts build el2 lab study recompute document hypervisors bench torture check test publish-check soak fuzz clean

EL2_CARGO := target/el2-cargo
EL2_BUILD := $(EL2_CARGO) build --release --target-dir target/el2
AARCH32_BUILD := target/aarch32-cargo build --release --target-dir target/aarch32
LAB := target/debug/trapcast
XTASK := target/debug/xtask

help: ## Lists the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Installs what is missing: QEMU, Rust for EL2 and for AArch32
	@scripts/setup.sh

guest: ## Downloads the Linux guests, and QEMU 10 where this machine's is older
	@scripts/guest.sh
	@scripts/qemu.sh

hosts: guest ## Downloads what KVM and Xen hosts consist of, for `trapcast observe`
	@scripts/hosts.sh

build: el2 lab ## Builds the hypervisor, the guests and the trapcast command

el2: setup
	$(EL2_BUILD) -p trapcast-hypervisor --bin trapcast-el2
	$(EL2_BUILD) -p trapcast-guests --features bare --bins
	$(AARCH32_BUILD) -p trapcast-guests --features aarch32 --bin checker32 --bin timers32 --bin features32 \
		--bin scan32

lab: setup
	cargo build --target-dir target -p trapcast -p trapcast-observer -p xtask

study: build $(if $(FULL),hosts,guest) ## Runs workloads under every scheme; FULL=1: all, and longer, on KVM and Xen too; FRESH=1: not resumed
	$(LAB) study $(if $(FULL),--full) $(if $(FRESH),--fresh)

recompute: lab ## Computes a study's numbers again from its records, by DuckDB and Python; STUDY=DIR takes another study
	@scripts/setup.sh --tests
	@scripts/python.sh
	target/python/bin/python scripts/recompute $(STUDY)

document: lab ## Writes what README and docs say of the study from its kept results; CHECK=1 checks it
	$(XTASK) document $(if $(CHECK),--check)

hypervisors: build hosts ## Observes Trapcast under each scheme, KVM and Xen with the same guests: docs/hypervisors.md
	$(XTASK) hypervisors

bench: build guest ## Measures the fast paths in instructions, beside those of Linux KVM
	$(XTASK) bench

torture: build guest ## Ten million window checks while vCPUs move at random, and as many hostile operations
	$(XTASK) torture

check: ## Style, lints, documents and unit tests: what needs no QEMU and no guest
	@scripts/test.sh --check

test: ## Runs every test: style, lints, documents, units, end to end under QEMU
	@scripts/test.sh

publish-check: ## Checks the crates that others take, from their packages, in an empty project
	@scripts/publish-check.sh

soak: ## All mixtures of the models, torture, other hypervisors, fuzzing: hours, or about SECONDS=600 for each
	@scripts/soak.sh $(SECONDS)

fuzz: ## Fuzzes all readers of files with cargo-fuzz; SECONDS=600 takes longer for each
	@scripts/fuzz.sh $(SECONDS)

clean: ## Removes all that was built and downloaded
	rm -rf target
