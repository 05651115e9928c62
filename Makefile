# Every command that people, pre-commit and CI run. `make` alone lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-drift smoke test gpu faults lint check format bench soak clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ARGS ?=
BENCH ?= aggregation

export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## make .venv and install everything in it, once; looks first whether the machine will do
	@test -n "$(PYTHON)" || { echo "setup: Python 3.11 is needed, and no python is on the path; install it." >&2; exit 2; }
	@"$(PYTHON)" tools/set_up.py

demo: setup  ## train across four parties on this machine; KEEP=1 leaves the servers up, ARGS go to `fedcart demo`
	@$(BIN)/fedcart demo $(if $(filter 1,$(KEEP)),--keep) $(ARGS)

demo-drift: setup  ## data shift at a shop, its scheduled check finds it, a new model is released; ARGS=--no-drift or --worse
	@$(BIN)/fedcart drift demo $(if $(filter 1,$(KEEP)),--keep) $(ARGS)

smoke: setup  ## the whole path in under a minute: two parties, one round, a tiny random model
	@$(BIN)/fedcart demo --recipe smoke $(ARGS)

test: setup  ## the whole default suite, two processes side by side; ARGS go to pytest
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(ARGS)

gpu: setup  ## what only a machine with a GPU can show; ARGS go to pytest
	@$(BIN)/python -m pytest tests/gpu/on_a_gpu.py $(ARGS)

faults: setup  ## kill, hang and fail every step of a run in turn (an hour or more); ARGS go to `python -m tests.faults`
	@$(BIN)/python -m tests.faults $(ARGS)

lint: setup  ## ruff, format, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test  ## everything that must pass before a commit

format: setup  ## let ruff put the files in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup  ## run benchmarks: BENCH="aggregation ...", ARGS go to each (--json, ...)
	@for name in $(BENCH); do $(BIN)/python -m bench.$$name $(ARGS) || exit 1; done

soak: setup  ## 200 rounds with random faults, drawn into .fedcart/reports/soak.png; fails when memory or open files grow
	@mkdir -p .fedcart/reports
	@$(BIN)/python -m bench.soak --plot .fedcart/reports/soak.png $(ARGS)

clean:  ## remove .venv and caches; runs and data below .fedcart stay
	@if [ -x $(BIN)/fedcart ] && [ -d .fedcart ]; then $(BIN)/fedcart down; fi
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
