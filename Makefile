# Every target is what CI and people run alike; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := bash

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/$(UV_VERSION)/bin/uv
EXTRAS := --extra gateway --extra faces --extra triton --extra edge --extra export --extra cpu
RUN := $(UV) run --frozen --no-sync
export UV_PYTHON := $(PYTHON)
export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup models demo up check test test-fast proto proto-land bench full-size overload faults soak fuzz audit

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# The uv that uv.lock was written with, whatever else is installed.
$(UV):
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "needed: Python 3.11 to 3.13 with venv (Debian: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv .uv/$(UV_VERSION)
	.uv/$(UV_VERSION)/bin/python -m pip install --quiet uv==$(UV_VERSION)

setup: $(UV) ## The environment in .venv, by uv.lock (downloads about 3 GB the first time, for torch)
	$(UV) sync --locked --quiet $(EXTRAS)

models: setup ## The models that come from published weights, into model_repository/, and Triton's own environment
	$(RUN) pellucid export --all
	$(RUN) pellucid triton --prepare

demo: models ## Pictures: real faces moved along their axes, through Triton and the gateway
	$(RUN) pellucid demo

up: models ## Triton and the gateway, until Ctrl-C
	$(RUN) pellucid up

check: setup ## Style, types, architecture, contract, known vulnerabilities
	$(UV) lock --check
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports
	mkdir -p build
	$(RUN) python proto/generate.py image build/contract.binpb
	$(RUN) buf lint build/contract.binpb --config buf.yaml
	$(RUN) buf breaking build/contract.binpb --against proto/landed.binpb --config buf.yaml
	$(RUN) python proto/generate.py drift
	$(MAKE) --no-print-directory audit

test: models ## All tests, with the real Triton
	$(RUN) pytest

test-fast: setup ## The tests that need neither Triton nor torch
	$(RUN) pytest -m "not stack and not torch"

proto: setup ## The stubs beside the .proto files, and what the edge serves of the contract
	$(RUN) python proto/generate.py stubs
	mkdir -p build
	$(RUN) python proto/generate.py image build/contract.binpb
	$(RUN) python -m pellucid_edge.openapi build/contract.binpb service/pellucid_edge/openapi.json
	$(RUN) pellucid edge --address 0.0.0.0:8080 --gateway gateway:50051 --admin-address 127.0.0.1:9901 --write-config deploy/envoy

proto-land: setup ## Make the contract as it is now the one that later changes must not break
	$(RUN) python proto/generate.py image proto/landed.binpb

bench: models ## Throughput and latency: ONNX Runtime in process, Triton, the gateway
	$(RUN) python -m benchmarks

full-size: models ## Every family at its published size, with random weights: seconds and memory
	$(RUN) python -m benchmarks.full_size

overload: models ## One, two and three times what the machine can do: what is answered in time, what is refused
	$(RUN) python -m benchmarks.overload

faults: models ## Processes killed, frozen and cut off under load: every request answered or refused, none lost
	$(RUN) pytest --long tests/faults

soak: models ## Half an hour of mixed traffic: memory stays flat
	$(RUN) pytest --long tests/soak

fuzz: setup ## Every call with thousands of inputs, over gRPC and JSON: nothing crashes, nothing hangs
	$(RUN) pytest --long tests/fuzz

audit: setup ## Known vulnerabilities of what uv.lock pins, and its bill of materials in build/
	mkdir -p build
	$(UV) export --frozen --quiet --no-dev $(EXTRAS) --format cyclonedx1.5 -o build/sbom.cdx.json
	$(UV) export --frozen --quiet --no-emit-project $(EXTRAS) --format requirements.txt -o build/requirements.txt
	$(RUN) python deploy/audit.py build/requirements.txt $(AUDIT)
