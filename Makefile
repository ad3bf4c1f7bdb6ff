# `make demo` and `make test` need Python 3.11 or later, and a package index the first time; both
# build .venv.

PYTHON ?= python3
BIN := .venv/bin
# Every CPython from 3.11 up that is found, for `make test-matrix`.
PYTHONS ?= $(shell for version in 3.11 3.12 3.13 3.14; do \
	for python in python$$version $(HOME)/.pyenv/versions/$$version.*/bin/python; do \
		$$python -c '' 2>/dev/null && echo $$python && break; done; done; true)

# abeja-sdk is made for no later Python, and its peers are compared with it on the same one.
PYTHON_OF_PEERS ?= $(firstword $(foreach python,python3.11 $(wildcard \
	$(HOME)/.pyenv/versions/3.11.*/bin/python),$(shell $(python) -c '' 2>/dev/null && echo $(python))))
PEERS := benchmarks/.venvs
# How often `make fuzz` draws.
ROUNDS ?= 5
# How many changes `make mutants` tries.
MUTANTS ?= 200
# Tests wait more than they compute; each worker takes seconds to collect them.
WORKERS ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN))))
# In small chunks, slow tests are spread over all workers, and each begins with property tests.
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --maxschedchunk=16 \
	--override-ini=faulthandler_exit_on_timeout=true
# Without its cache of bytecode, each worker and each program under test compiles all that it loads.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test coverage mutants check lint types layers test-system test-matrix test-lowest-direct test-pythons test-lowest test-prereleases test-long fuzz nightly soak bench docs docs-serve package clean

help:
	@echo 'make demo          set up, and run the main job against the sandbox'
	@echo 'make test          set up, and run the tests'
	@echo 'make check         lint, types, import rules, then make test'
	@echo 'make coverage      the same tests, and the lines that none of them reaches'
	@echo 'make mutants       changes to the package that no test notices; takes half an hour'
	@echo 'make test-system   the tests with docker-registry, skopeo and Chromium'
	@echo 'make docs          the site, in docs/_build/html; make docs-serve shows it'
	@echo 'make bench         figures, compared with other clients (ITEMS="calls paging" for some)'
	@echo 'make package       the distributions, in dist, checked on each Python'
	@echo 'make fuzz          the property tests with fresh examples'
	@echo 'make nightly       everything that takes long: fuzz, all faults, soak, all versions'
	@echo 'make clean         remove the environments and what was built'

demo: .venv/demo.stamp
	$(BIN)/python examples/quickstart.py

# The same in every run: hypothesis draws the same examples, and sets have the same order.
test: .venv/dev.stamp
	PYTHONHASHSEED=0 $(PYTEST)

# The same tests with the newest releases on the newest Python, and what they reach; child processes
# count too. Python 3.11 loses the trace of a coroutine after a cancelled await.
coverage: .venv/matrix.stamp
	.ci/matrix $(lastword $(PYTHONS)) highest --cov --cov-report=term

# A seeded sample of changes to the package, each of which a test has to notice. It takes half an hour.
mutants: .venv/dev.stamp
	$(BIN)/python tests/mutants.py --sample $(MUTANTS)

check: lint types layers docs test

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/typos
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --quiet --offline .github

types: .venv/dev.stamp
	$(BIN)/mypy
	$(BIN)/pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=src $(BIN)/pyright --verifytypes abeja_registry --ignoreexternal

layers: .venv/dev.stamp
	$(BIN)/lint-imports

# The tests that need tools of the system: docker-registry, skopeo and chromium. Without one they
# fail.
test-system: .venv/system.stamp .venv-abejacli/stamp
	$(BIN)/python -m pytest tests/system

# The tests with the lower bounds of pyproject.toml on the oldest Python, and with the newest
# releases on the newest one.
test-matrix: test-lowest-direct
	.ci/matrix $(lastword $(PYTHONS)) highest

test-lowest-direct: .venv/matrix.stamp
	.ci/matrix $(firstword $(PYTHONS)) lowest-direct

# The newest releases on the Pythons in between.
test-pythons: .venv/matrix.stamp
	set -e; for python in $(filter-out $(firstword $(PYTHONS)) $(lastword $(PYTHONS)),$(PYTHONS)); do \
		.ci/matrix $$python highest; done

# What takes long, or may fail for a reason outside this package: another release of a dependency, or
# other examples than before. Each part runs, whatever becomes of the others; `coverage` is the tests
# with the newest releases on the newest Python.
nightly: .venv/dev.stamp .venv/matrix.stamp
	$(MAKE) --keep-going coverage fuzz test-long soak test-lowest-direct test-pythons test-lowest test-prereleases

# Every cell of the faults' table, five times the kills, and each page at Python's prompt.
test-long: .venv/dev.stamp
	NIGHTLY=1 $(PYTEST) --quiet --timeout=1800 tests/faults tests/sandbox/test_durability.py \
		tests/test_docs.py

# The lowest versions of everything that is installed, also of what dependencies need in turn.
test-lowest: .venv/matrix.stamp
	.ci/matrix $(firstword $(PYTHONS)) lowest

test-prereleases: .venv/matrix.stamp
	.ci/matrix $(lastword $(PYTHONS)) prereleases

# The property tests alone, with other examples in each round and run. An input that fails becomes
# an @example of its test.
fuzz: .venv/dev.stamp
	for round in $$(seq $(ROUNDS)); do \
		$(PYTEST) --quiet -m hypothesis --hypothesis-profile=fuzz \
			|| exit 1; \
	done

# 20,000 operations of 16 threads through a server that fails every fifth request.
soak: .venv/dev.stamp
	$(BIN)/python -m pytest --quiet --capture=no --timeout=0 tests/soak/soak.py

# Figures, none of which is a test; ITEMS="calls paging" measures these alone.
bench: .venv/dev.stamp $(PEERS)/peers/stamp $(PEERS)/abeja-sdk/stamp
	$(BIN)/python -m benchmarks.run $(ITEMS)
	$(PEERS)/peers/bin/python -m benchmarks.charts
	$(BIN)/python benchmarks/sandbox.py

# The site. It needs no network, and a warning fails it.
docs: .venv/docs.stamp
	$(BIN)/sphinx-build --quiet -W --keep-going -n -b html docs docs/_build/html

docs-serve: docs
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory docs/_build/html 8000

package: .venv/package.stamp .venv/matrix.stamp
	.ci/package $(PYTHONS)

clean:
	rm -rf .venv .venv-* $(PEERS) .coverage dist sbom docs/_build

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv

.venv/demo.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox,cli,versions]'
	touch $@

# Dependency groups want a pip newer than the one that Python 3.11 brings.
.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[sandbox,cli,arrow,versions]' --group dev
	touch $@ .venv/demo.stamp

.venv/system.stamp: pyproject.toml .venv/dev.stamp
	$(BIN)/python -m pip install --quiet --group system --group docs
	touch $@

.venv/docs.stamp: pyproject.toml .venv/dev.stamp
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

.venv/package.stamp: pyproject.toml .venv/dev.stamp
	$(BIN)/python -m pip install --quiet --group package
	touch $@

# Made for no later Python than abeja-sdk, too.
.venv-abejacli/stamp: pyproject.toml
	@test -n "$(PYTHON_OF_PEERS)" || { echo 'Python 3.11 is needed for abejacli'; exit 1; }
	$(PYTHON_OF_PEERS) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(@D)/bin/python -m pip install --quiet --group system-abejacli
	touch $@

.venv/matrix.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group matrix
	touch $@

# The peers of `make bench`; abeja-sdk stands apart, with the urllib3 that it is written for.
$(PEERS)/%/stamp: pyproject.toml
	@test -n "$(PYTHON_OF_PEERS)" || { echo 'Python 3.11 is needed for abeja-sdk'; exit 1; }
	$(PYTHON_OF_PEERS) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(@D)/bin/python -m pip install --quiet --group bench-$*
	test $* = abeja-sdk || $(@D)/bin/python -m pip install --quiet --editable .
	@$(@D)/bin/python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("urllib3_future") \
		and "niquests has replaced urllib3")'
	touch $@
