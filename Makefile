# Everything runs in .venv; a target installs what it needs when pyproject.toml has changed.
#   make PYTHON=/path/to/python3.12 …   chooses the Python that .venv is made with
#   make test ARGS="-k ledger -x"       hands arguments to pytest
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?=
MODEL ?=
ARGS ?=
BIN := .venv/bin
MARKED := postgres16 or browser or model or slow

.PHONY: help demo lab test test-marked test-npm test-all campaign check format bench bench-peers wheel clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.local ## From nothing to an A/B verdict with a small local model (MODEL=… for another)
	@$(BIN)/workbench demo $(if $(MODEL),--model '$(MODEL)')

lab: .venv/.local ## Open JupyterLab with the tutorial
	@$(BIN)/workbench lab

test: .venv/.dev ## Run the fast tests (no browser, no model, no second PostgreSQL)
	@$(BIN)/python -m pytest -n 2 -m 'not ($(MARKED) or npm)' $(ARGS)

test-marked: .venv/.dev ## Run only what `make test` leaves out
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m '($(MARKED)) and not npm' $(ARGS)

test-npm: .venv/.dev ## Run the tests against servers that others wrote (needs Node.js and the npm registry)
	@$(BIN)/python -m pytest -m npm $(ARGS)

test-all: test test-marked ## Run every test but those

campaign: .venv/.dev ## Break everything again and again (half an hour; ARGS="kills stops …" for some of it)
	@$(BIN)/python -m tests.campaign $(ARGS)

check: .venv/.dev ## Lint, formatting, types, import rules, tidy files
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python .ci/hygiene.py

format: .venv/.dev ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: .venv/.dev ## Measure speed side by side with a floor (a few minutes; prints ratios)
	@for program in embedded_start prompt_overhead provider_overhead calls compare search; do \
		printf '\n== %s\n' $$program; $(BIN)/python benchmarks/$$program.py; done

bench-peers: .venv/.dev ## Measure calls per second beside the openai SDK, promptfoo and Inspect (installs them into .peers; needs npm)
	@test -d .peers/venv || { $(BIN)/python -m venv .peers/venv && .peers/venv/bin/pip install -q openai inspect_ai; }
	@test -d .peers/node || npm install --silent --no-audit --no-fund --prefix .peers/node promptfoo
	@$(BIN)/python benchmarks/calls.py --peers .peers

wheel: .venv/.dev ## Build the wheel into dist/
	@$(BIN)/python -m build --wheel --outdir dist

clean: ## Remove .venv, caches and builds (never your data)
	@rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@.ci/venv '$(PYTHON)'

.venv/.local: pyproject.toml | .venv/bin/python
	@.ci/install local

.venv/.dev: pyproject.toml | .venv/bin/python
	@.ci/install dev
