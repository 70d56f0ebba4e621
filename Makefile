.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

demo: $(READY) ## fill a sample application, run the nightly maintenance, show what it did
	@$(BIN)/opsctl demo

up: $(READY) ## run the database, Dagster and the API until Ctrl-C
	@exec $(BIN)/opsctl up

test: $(READY) ## run the whole test suite against a real PostgreSQL
	$(BIN)/pytest -m "not prove" --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-unit: $(READY) ## run the tests that need no database (seconds)
	$(BIN)/pytest tests/unit

test-system: $(READY) ## run the tests of whole processes: demo, services, kills
	$(BIN)/pytest -m "not prove" --numprocesses 2 --dist loadfile tests/system

prove: $(READY) ## run the proofs at full size: kills under load, fuzzing
	$(BIN)/pytest -m prove

bench: $(READY) ## compare with PostgreSQL itself and other tools, in one table (an hour; needs wrk)
	$(BIN)/python -m benchmarks

lint: $(READY) ## run ruff, mypy --strict and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lock: $(READY) ## resolve the dependencies again, with hashes and without index URLs (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
	  --custom-compile-command "make lock" --output-file requirements-dev.lock \
	  --constraint requirements.lock --extra embedded --extra kubernetes --extra bench --extra dev pyproject.toml

# All targets share one environment. It is created again when the lock changes.
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	  f"Python 3.11, 3.12 or 3.13 is required, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	@echo "Setting up .venv (a minute or two, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -qq --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: help demo up test test-unit test-system prove bench lint lock
