# `make demo` shows the recorder at work; `make test` proves it; `make check` is the quick part of
# the proof, for every change. Each sets up .venv by itself.

PYTHON ?= python3
SECONDS ?= 15
BIN := .venv/bin

#: Where the programs that read exports are installed, each in an environment of its own.
EXPORTS := .venv-exports

#: The same for the clients of a replay.
CLIENTS := .venv-clients

#: Which of the cluster's tests; all of them take some ten minutes.
CLUSTER := tests/cluster

#: Tests of one file share a worker: what they share is made once.
SPREAD := --numprocesses auto --dist loadfile

.PHONY: demo check lint types quick fix test test-exports test-clients test-cluster docs bench torture clean

demo: .venv/installed
	$(BIN)/recorder demo --seconds $(SECONDS)

# What starts no process and makes no tables: about a minute on two cores.
check: .venv/installed-dev
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=recurse lint types quick

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/mypy

quick: .venv/installed-dev
	$(BIN)/pytest $(SPREAD) -m 'not process and not slow'

fix: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tests with real clocks, sockets and kills come after the others: they mostly wait. Both parts
# run, whatever the first one finds.
test: .venv/installed-dev lint types
	@failed=0; \
	$(BIN)/pytest $(SPREAD) -m 'not process' || failed=1; \
	$(BIN)/pytest $(SPREAD) -m process || failed=1; \
	exit $$failed

# The files that an export writes are tried by `make test`; here, what other programs read of them.
test-exports: .venv/installed-dev
	$(BIN)/python tests/exports/environments.py $(EXPORTS)
	RECORDER_TEST_EXPORTS=$(EXPORTS) $(BIN)/pytest tests/exports/test_consumers.py \
	    tests/exports/test_oracle.py tests/exports/test_mappers.py

# What clients that others wrote read of a replay; needs npm for half of them.
test-clients: .venv/installed-dev
	$(BIN)/python tests/clients/environments.py $(CLIENTS)
	RECORDER_TEST_CLIENTS=$(CLIENTS) $(BIN)/pytest tests/clients

test-cluster: .venv/installed-dev
	@if command -v java >/dev/null; then \
	    $(BIN)/pip install --quiet --editable '.[cluster]' && \
	    RECORDER_TEST_CLUSTER=1 $(BIN)/pytest $(CLUSTER); \
	else \
	    echo "Java is not installed: the cluster's tests are skipped (they need Java 17 or newer)"; \
	fi

docs: .venv/installed-dev
	UPDATE_DOCS=1 $(BIN)/pytest -q tests/test_docs.py tests/test_settings_page.py tests/test_cli.py \
	    tests/status/test_conditions.py tests/ingest/test_copies.py \
	    tests/lake/test_scale_page.py::test_the_page_tells_what_the_figures_give

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks.capture

# The faults of docs/reliability.md, and the long form of every test.
torture: .venv/installed-dev
	$(BIN)/python -m benchmarks.reliability
	COMPACT_KILLS=100 $(BIN)/pytest -q tests/ingest/test_compact.py -k kill_dash_nine
	RECORDER_TEST_FULL=1 RECORDER_TEST_COMMITS=15 $(BIN)/pytest $(SPREAD) -m 'not process'
	RECORDER_TEST_RECORDS=1000 $(BIN)/pytest -q tests/reference

clean:
	rm -rf .venv $(EXPORTS) $(CLIENTS) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip

.venv/installed: pyproject.toml | .venv/bin/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ .venv/installed
