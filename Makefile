# make run     install, start scowd, run a first container      make stop   end what make run started
# make test    all checks and tests (what CI runs)               make slow   the long and the lucky ones
SHELL := /bin/bash
PY := .venv/bin/python
PYTEST := $(PY) -m pytest -q

.PHONY: help run stop swarm-demo setup check unit contract integration compat conformance security fuzz crash test slow faults bench lock install uninstall wheel deb
help:
	@sed -n '1,2s/^# //p' Makefile; echo "also: swarm-demo setup check unit contract integration compat conformance security fuzz crash faults bench lock install uninstall wheel deb"

run:
	@tools/run
stop:
	@tools/stop
swarm-demo:
	@tools/swarm-demo

setup:
	@tools/setup test

check: setup
	.venv/bin/ruff format --check -q src tests
	.venv/bin/ruff check -q src tests
	$(PY) -m mypy src/scow
	$(PYTEST) tests/arch

unit contract integration compat conformance security fuzz crash: setup
	$(PYTEST) tests/$@

test: check
	$(PYTEST) tests --ignore=tests/arch --durations=15

slow: setup
	$(PYTEST) -m slow tests

# FAULT_ROUNDS=5 repeats the measured ones; -s shows the figures
faults: setup
	$(PYTEST) -m slow -s tests/integration/swarm

bench: setup
	@sed -n '/^```sh/,/^```/{/^```/d;p}' docs/benchmarks.md

lock: setup
	@tools/lock

# PREFIX=/usr/local DESTDIR=
export PREFIX DESTDIR
install:
	@tools/install
uninstall:
	@tools/install uninstall
wheel:
	@tools/wheel
deb:
	@tools/deb
