# `make demo` shows the recorder at work; `make test` proves it. Both set up .venv by themselves.

PYTHON ?= python3
SECONDS ?= 15
BIN := .venv/bin

.PHONY: demo test bench torture clean

demo: .venv/installed
	$(BIN)/recorder demo --seconds $(SECONDS)

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks.capture

torture: .venv/installed-dev
	$(BIN)/python -m benchmarks.reliability

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build

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
