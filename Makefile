# make up     the desk: exchange, Dagster, daemon    make demo   one day of trading, end to end
# make down   ends it, also when its terminal is gone
# make test   every test, from nothing
# make check  what must be clean before a commit    make lint   formatting, style, types, layers
# make conformance  the exchange against Alpaca's own documents and its client for Node
# make coverage  the fast tests, and which lines and branches they run: var/coverage/html
# make other  a small set of the tests on the newest Python that the project claims; OTHER_PYTHON names another
# make crash  all 2000 cases of a tick killed at every step under every fault, and a day of faults
# make soak   crashes and faults at random, as long as SECONDS says (600); SEED begins elsewhere
# make newest  the tests of what is made of Dagster's insides, on its newest patch: before a new upper bound
# make audit  known vulnerabilities of what is installed, by an advisory service: says so where it has no answer
# make docs   the pages as a site with search, below var/docs/site; links and anchors checked
# make setup  the environment alone                 make clean  removes it, caches and the demo; no book
# make bench  speed: beside other backtesters, beside plain XGBoost, pandas and polars, and of a whole replay

PYTHON ?= python3
WEB_PORT ?= 3000
SECONDS ?= 600
SEED ?= 0
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.requirements-installed
EDITABLE := $(VENV)/.project-installed
NEWEST := var/newest-dagster
AUDIT := var/audit
OTHER := var/other-python
# A shim of pyenv is found for every version and runs only the chosen one: the one that answers.
OTHER_PYTHON ?= $(shell for one in python3.13 $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.13.*/bin/python3.13; do \
  "$$one" --version >/dev/null 2>&1 && { echo "$$one"; break; }; done)
FAST := not slow and not exchange and not browser
DOCS := var/docs

export DAGSTER_HOME := $(CURDIR)/dagster_home
export DAGSTER_DISABLE_TELEMETRY := 1
unexport PYTHONDONTWRITEBYTECODE  # without bytecode every process that starts compiles what it imports

.DEFAULT_GOAL := help
.PHONY: help setup up down demo bench test coverage other other-python conformance crash soak newest audit docs check lint clean

help:
	@sed -n 's/^# make/make/p' Makefile

setup: $(EDITABLE)
	@$(BIN)/python -m compileall -q trading_assets

# Without --no-deps an old pip asks for a hash of gql[requests] beside the one of gql; pip check makes up for it.
$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit("trading_assets needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d: say make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the packages of requirements.txt: a minute or two"
	@$(BIN)/python -m pip install --quiet --no-deps --only-binary :all: --require-hashes --compile -r requirements.txt
	@$(BIN)/python -m pip check
	@touch $@

$(EDITABLE): $(INSTALLED) pyproject.toml
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

up: setup
	@$(BIN)/python -m trading_assets.up --port $(WEB_PORT)

# Without setup: what runs must be endable, whatever is to be installed.
down:
	@$(BIN)/trading-assets down

demo: setup
	$(BIN)/trading-assets demo

bench: setup
	$(BIN)/python -m benchmarks.replay_speed
	$(BIN)/python -m benchmarks.learning
	$(BIN)/python benchmarks/replay_whole --rounds 2

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 30 $(TESTS)

coverage: setup
	@mkdir -p var/coverage
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(FAST)" --cov --cov-report html --cov-report term

other-python:
	@echo $(OTHER_PYTHON)

# What depends on the Python itself: the definitions load; decisions, data, stores, models, their compiled parts.
other:
	@test -n "$(OTHER_PYTHON)" || { echo "NOT RUN: there is no Python 3.13 here; OTHER_PYTHON=/its/path names one"; exit 2; }
	@rm -rf $(OTHER) && $(OTHER_PYTHON) -m venv $(OTHER)
	@$(OTHER)/bin/python -m pip install --quiet --no-deps --only-binary :all: --require-hashes -r requirements.txt
	@$(OTHER)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(OTHER)/bin/python --version
	$(OTHER)/bin/dagster definitions validate -w workspace.yaml
	$(OTHER)/bin/python -m pytest -n 2 --dist loadfile -m "$(FAST)" \
	  tests/core tests/market tests/features tests/model tests/store tests/engine/decision

conformance: setup
	$(BIN)/python tests/conformance/conformance.py

crash: setup
	ALL_CRASH_CASES=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/crash tests/engine/ticks/test_day_of_faults.py tests/engine/ticks/test_day_of_many_symbols.py

soak: setup
	$(BIN)/python tests/crash/soak.py --seconds $(SECONDS) --seed $(SEED)

# A second environment over the first, in which only Dagster differs.
newest: setup
	@rm -rf $(NEWEST) && $(BIN)/python -m venv $(NEWEST)
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$(echo $(NEWEST)/lib/python*/site-packages)/desk.pth
	@$(NEWEST)/bin/python -m pip install --quiet --no-deps --upgrade --ignore-installed \
	  "dagster<1.14" "dagster-shared<1.14" "dagster-pipes<1.14" "dagster-graphql<1.14" "dagster-webserver<1.14"
	@$(NEWEST)/bin/python -c 'import dagster; print("Dagster", dagster.__version__)'
	$(NEWEST)/bin/python -m pytest tests/defs tests/web

# An environment of its own. Status 1: something is known to be vulnerable; 2: nobody could be asked.
audit:
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
	  $(AUDIT)/bin/python -m pip install --quiet --only-binary :all: "pip-audit>=2.9,<3"; } || \
	  { rm -rf $(AUDIT); echo "NOT AUDITED: pip-audit cannot be installed from here; nothing is known of requirements.txt"; exit 2; }
	@said=$$($(AUDIT)/bin/pip-audit --disable-pip --require-hashes --progress-spinner off -r requirements.txt 2>&1); \
	  status=$$?; echo "$$said"; \
	  case "$$said" in \
	    *"Found "[0-9]*" known vulnerabilit"*) exit 1;; \
	    *"could not be audited"*) \
	      echo "NOT AUDITED: the advisory service knows nothing of $$(echo "$$said" | grep -c 'could not be audited') packages"; exit 2;; \
	    *"No known vulnerabilities found"*) exit $$status;; \
	    *) echo "NOT AUDITED: the advisory service has no answer; nothing is known of requirements.txt"; exit 2;; \
	  esac

# MkDocs in an environment of its own, over links to the pages where they stand: so their links are as on GitHub.
$(DOCS)/.requirements-installed: docs/requirements.txt
	@rm -rf $(DOCS) && $(PYTHON) -m venv $(DOCS)/venv
	@$(DOCS)/venv/bin/python -m pip install --quiet --no-deps --only-binary :all: --require-hashes -r docs/requirements.txt
	@touch $@

docs: $(DOCS)/.requirements-installed
	@rm -rf $(DOCS)/source $(DOCS)/site && mkdir -p $(DOCS)/source/deploy $(DOCS)/source/trading_assets/market
	@ln -s $(CURDIR)/*.md $(CURDIR)/LICENSE $(CURDIR)/docs $(DOCS)/source
	@ln -s $(CURDIR)/deploy/README.md $(DOCS)/source/deploy
	@ln -s $(CURDIR)/trading_assets/market/data $(DOCS)/source/trading_assets/market
	@$(DOCS)/venv/bin/mkdocs build --strict --config-file docs/mkdocs.yml
	@echo "$(DOCS)/site/index.html; with search: $(PYTHON) -m http.server --bind 127.0.0.1 --directory $(DOCS)/site"

check: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(FAST)"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/typed.py
	$(BIN)/lint-imports

# Journals, histories and Dagster's record of the runs are nobody's to clean: only what can be made again goes.
clean:
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  var/demo var/coverage $(NEWEST) $(OTHER) $(AUDIT) $(DOCS)
	@find trading_assets tests -name __pycache__ -prune -exec rm -rf {} +
	@rmdir var 2>/dev/null; for place in var dagster_home; do \
	  left=$$(find -H $$place -mindepth 1 -maxdepth 1 ! -name dagster.yaml 2>/dev/null | sort | tr '\n' ' '); \
	  [ -z "$$left" ] || echo "Left, as it cannot be made again: $$left"; done
