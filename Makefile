.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# With it every process of the tests, the demo and Dagster's steps would compile our code again.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(READY) ## fill a sample application, run the nightly maintenance, show what it did
	@$(BIN)/opsctl demo

up: $(READY) ## run the database, Dagster and the API until Ctrl-C
	@exec $(BIN)/opsctl up

test: $(READY) ## run the whole test suite against a real PostgreSQL
	$(BIN)/pytest -m "not prove" --numprocesses 4 --dist loadfile --no-loadscope-reorder

test-unit: $(READY) ## run the tests that need no database and start no process (seconds)
	$(BIN)/pytest tests/unit

test-integration: $(READY) ## run the tests of each part against a real PostgreSQL
	$(BIN)/pytest -m "not prove" --numprocesses 4 --dist loadfile --no-loadscope-reorder tests/integration

test-system: $(READY) ## run the tests of whole processes: demo, services, kills
	$(BIN)/pytest -m "not prove" --numprocesses 3 --dist loadfile tests/system

test-matrix: $(READY) ## run the tests of each part on PostgreSQL 15 to 18 and every Python that is found (an hour)
	$(BIN)/python -m tests.matrix

coverage: $(READY) ## run the whole test suite and print which lines it does not reach
	$(BIN)/pytest -m "not prove" --numprocesses 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

prove: $(READY) ## run the failure tests at full size: kills under load, fuzzing
	$(BIN)/pytest -m prove

pictures: $(READY) ## make the pictures of the Dagster UI in docs/images again (needs Chromium)
	OPS_TEST_PICTURES=docs/images $(BIN)/pytest tests/system/test_browser.py

bench: $(READY) ## compare with PostgreSQL itself and other tools, in one table (an hour; needs wrk)
	$(BIN)/python -m benchmarks

lint: $(READY) ## run ruff, mypy --strict, the import rules and codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

fmt: $(READY) ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(READY) ## run the lint before each commit in this clone
	$(BIN)/pre-commit install

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
	@$(PYTHON) deploy/environment.py .venv requirements-dev.lock
	@touch $@

.PHONY: help demo up test test-unit test-integration test-system test-matrix coverage prove pictures bench lint fmt hooks lock
