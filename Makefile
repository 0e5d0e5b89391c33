# posstream: `make` lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
NODES ?= 1
VENV := .venv
BIN := $(VENV)/bin
# In "compat" mode the checkout is found by its path. Otherwise, Python takes a folder `posstream`,
# `agents`, `tables` or `web` in the current directory for ours.
INSTALL := $(BIN)/pip install --quiet --config-settings editable_mode=compat --editable
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Some images switch the bytecode cache off; each process would compile all modules again.
export PYTHONDONTWRITEBYTECODE =

# Set-up happens again only when the metadata changed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "posstream needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[embedded,graphiql]'
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[embedded,graphiql,test]'
	@touch $@ $(VENV)/.run

$(VENV)/.browser: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[embedded,graphiql,test,browser]'
	@touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.deploy: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[embedded,graphiql,test,deploy]'
	@touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.release: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[embedded,graphiql,release]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[embedded,graphiql,test,bench]'
	@touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.lint: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[embedded,graphiql,test,lint]'
	@touch $@ $(VENV)/.test $(VENV)/.run

.PHONY: help run test test-slow demo lint types floors compose ops test-all test-kafka test-postgres test-node test-browser test-chaos test-bench test-deploy chaos kafka bench bench-recovery bench-search lock release-check docs dashboard schema clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

run: $(VENV)/.run ## embedded broker, worker and web view, until Ctrl-C
	@exec $(BIN)/posstream dev

demo: $(VENV)/.run ## the quick test end to end, with timings
	@$(BIN)/posstream demo

# tests/conftest.py mixes their files, so that no core is idle.
TESTS := tests/integration tests/acceptance tests/plugins tests/component tests/unit

test: $(VENV)/.test ## the suite on the embedded broker and SQLite; COVERAGE=1 measures coverage
	$(if $(COVERAGE),$(BIN)/coverage erase)
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(TESTS)
	@$(if $(COVERAGE),$(BIN)/coverage combine --quiet && $(BIN)/coverage report)

test-slow: $(VENV)/.test ## the tests that take a minute or more each
	$(BIN)/pytest -m slow

lint: $(VENV)/.lint ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.lint $(VENV)/.bench ## mypy, strict
	$(BIN)/mypy

floors: $(VENV)/.lint ## import-linter: lower layers only
	$(BIN)/lint-imports

compose: $(VENV)/.lint ## docker-compose.yml and Dockerfile, linted without an engine
	POSSTREAM_API_KEY=for-the-lint-only POSTGRES_PASSWORD=for-the-lint-only $(BIN)/docker-compose --profile monitoring config -q
	$(BIN)/hadolint Dockerfile

ops: ## the alerts, checked and played by promtool (Debian's prometheus)
	@if command -v promtool >/dev/null; then \
	    promtool check config --syntax-only ops/prometheus/prometheus.yml && \
	    promtool check rules ops/prometheus/rules.yml && promtool test rules ops/prometheus/rules_test.yml; \
	else echo 'skipped: promtool not found; Debian has it in the package prometheus' >&2; test -z "$$CI"; fi

kafka: $(VENV)/.test ## an Apache Kafka of your own on loopback, until Ctrl-C; NODES=3 for three (Java 17, Maven)
	@exec $(BIN)/python -m tests.servers kafka --nodes $(NODES)

test-kafka: $(VENV)/.test ## the integration suite on Apache Kafka: yours at POSSTREAM_TEST_BROKER, or one of its own
	$(BIN)/python -m tests.servers kafka -- $(BIN)/pytest tests/integration

test-chaos: $(VENV)/.test ## the short version of the fault suite (Java 17, Maven, PostgreSQL)
	$(BIN)/pytest -m "chaos and short" tests/chaos

chaos: $(VENV)/.test ## the whole fault suite; writes docs/explanation/guarantees.md; ONLY=name SEED=number EVENTS=number
	@mkdir -p .data
	POSSTREAM_CHAOS_REPORT=.data/chaos.jsonl $(BIN)/pytest -m chaos tests/chaos $(if $(ONLY),-k $(ONLY)) $(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS))
	$(BIN)/python -m tests.chaos.guarantees .data/chaos.jsonl

test-postgres: $(VENV)/.test ## the SQL suite on PostgreSQL: yours at POSSTREAM_TEST_DATABASE_URL, or one of its own
	$(BIN)/python -m tests.servers postgres -- $(BIN)/pytest tests/component -k sql

test-node: $(VENV)/.test ## the web view as clients from npm see it (Node.js, npm)
	$(BIN)/pytest -m node

test-browser: $(VENV)/.browser ## the pages in a browser (chromium)
	$(BIN)/pytest -m browser

test-deploy: $(VENV)/.deploy ## what ops/ deploys, checked without a cluster
	$(BIN)/pytest -m deploy tests/deploy

test-bench: $(VENV)/.bench ## a minute of the benchmarks: whether they still run (Java 17, Maven)
	@mkdir -p .data
	$(BIN)/pytest tests/unit/benchmarks
	$(BIN)/python -m tests.servers kafka -- $(BIN)/pytest tests/integration/secured/test_benchmarks.py
	$(BIN)/python -m benchmarks hits --rounds 1 --events 20000 --customers 1000 --contestants posstream,batch_aiokafka --results .data/bench-test.json

test-all: test test-slow test-browser test-kafka test-postgres test-node test-chaos test-bench test-deploy lint types floors compose ops ## everything that there is

bench: $(VENV)/.bench ## posstream beside its peers, on Apache Kafka; writes docs/reference/benchmarks.md; ONLY=hits,latency ROUNDS=3 EVENTS=400000 BROKER=kafka://HOST:PORT
	@$(BIN)/python -m benchmarks $(ONLY) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(EVENTS),--events $(EVENTS)) $(if $(BROKER),--broker $(BROKER))

bench-recovery: $(VENV)/.test ## how fast a cache of up to a million is there again, on Apache Kafka; 15 minutes
	@$(BIN)/python -m benchmarks.recovery

bench-search: $(VENV)/.test ## how long a search in 100,000 customers takes, on SQLite and PostgreSQL
	@$(BIN)/python -m tests.servers postgres -- $(BIN)/python -m benchmarks.customer_search

lock: $(VENV)/.release ## write requirements.lock, what the image installs; ten minutes
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
	  --extra graphiql --extra tracing --build-deps-for wheel --allow-unsafe --no-annotate \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --output-file requirements.lock setup.cfg

# A wheel of the checkout, in an environment without it.
EMPTY := .data/release

release-check: $(VENV)/.release ## build sdist, wheel and SBOM into dist/; install the wheel and run it
	@rm -rf dist $(EMPTY)
	$(BIN)/python -m build
	$(BIN)/python -m venv $(EMPTY)
	$(EMPTY)/bin/pip install --quiet --require-hashes --requirement requirements.lock
	$(EMPTY)/bin/pip install --quiet --no-deps --no-index dist/*.whl
	$(EMPTY)/bin/pip check
	cd $(EMPTY) && bin/posstream --help >/dev/null && bin/posstream schema | cmp - ../../docs/reference/schema.graphql
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file dist/posstream.cdx.json $(EMPTY)/bin/python
	@ls dist

docs: $(VENV)/.test ## run every command block of the README
	$(BIN)/pytest tests/acceptance/test_docs.py

dashboard: $(VENV)/.test ## write ops/grafana/posstream.json from the code
	$(BIN)/python -m ops.dashboard > ops/grafana/posstream.json

schema: $(VENV)/.test ## write docs/reference/schema.graphql from the code
	$(BIN)/posstream schema > docs/reference/schema.graphql

clean: ## remove what make made, unless a worker runs on it
	@test ! -e .data/worker-name || $(PYTHON) -c 'import fcntl; fcntl.flock(open(".data/worker-name"), fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null || { echo 'a worker uses .data: stop it before' >&2; exit 1; }
	rm -rf $(VENV) .data dist screenshots *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
