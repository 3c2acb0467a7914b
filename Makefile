# `make run` starts the example, `make test` and `make check` say whether a change is sound.
# The first of them makes .venv, for which only Python 3.11 or newer is needed.

PYTHON := .venv/bin/python
JOBS ?= 4
PYTEST := $(PYTHON) -m pytest -n $(JOBS) --dist loadscope
BROKER ?=
CASE ?=

.PHONY: run test test-all test-brokers check bench soak docs clean

run: .venv/.made ## the example chat [BROKER=amqp://user@host/vhost]
	@$(PYTHON) examples/chat/run.py $(if $(BROKER),--broker '$(BROKER)')

test: .venv/.made ## the tests in their short forms [JOBS=4]
	@tests/install_broker.sh
	@$(PYTEST) -m 'not slow'

test-all: .venv/.made ## the tests, those marked slow too
	@tests/install_broker.sh
	@$(PYTEST)

test-brokers: .venv/.made ## those that need RabbitMQ, on the RabbitMQ 4.0 and 4.3 of newer Debians [root on Debian]
	@tests/install_broker.sh
	@failed=; \
	for suite in trixie forky; do \
	    tests/build_broker.sh $$suite .run/brokers/$$suite && \
	    POSTROOM_TEST_BROKER=.run/brokers/$$suite $(PYTEST) -m 'rabbitmq and not slow' || failed=1; \
	done; test -z "$$failed"

check: .venv/.made ## style, types and layers
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check .
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/lint-imports --no-logo --no-cache > .venv/layers.log 2>&1 || { cat .venv/layers.log; exit 1; }

bench: .venv/.made $(if $(filter rabbitmq,$(CASE)),.venv-peers/.made) ## measures [CASE=name] [BROKER=sqlite|rabbitmq]; without CASE: which cases there are
	@$(PYTHON) -m benchmarks bench $(CASE) $(if $(BROKER),--broker '$(BROKER)')

soak: .venv/.made ## runs a fault for long [CASE=name] [BROKER=sqlite|rabbitmq]; without CASE: which cases there are
	@$(PYTHON) -m benchmarks soak $(CASE) $(if $(BROKER),--broker '$(BROKER)')

docs: .venv/.made ## follows the links of the documentation and runs its examples
	@$(PYTHON) -m pytest tests/docs

clean: ## removes what tools leave behind; .venv stays
	@rm -rf build dist .run .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name '.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew where there is none that works, brought up to date where the pins have changed.
.venv/.made: pyproject.toml constraints.txt
	@echo "making .venv (about a minute)" >&2
	@new_enough='import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(PYTHON) -c "$$new_enough" 2>/dev/null; then \
	    for python in python3.13 python3.12 python3.11 python3; do \
	        $$python -c "$$new_enough" 2>/dev/null && break; \
	        python=; \
	    done; \
	    test -n "$$python" || { echo "Postroom needs Python 3.11 or newer with its venv module: install python3 and python3-venv" >&2; exit 1; }; \
	    $$python -m venv --clear .venv; \
	fi
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The systems that the bench rabbitmq compares with, apart from what Postroom itself is checked with. The bench runs
# without them too, and says that they are missing.
.venv-peers/.made: pyproject.toml constraints.txt .venv/.made
	@echo "making .venv-peers (about a minute)" >&2
	@$(PYTHON) -m venv --clear .venv-peers
	@if .venv-peers/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[peers]'; \
	then touch $@; else echo "the peers could not be installed" >&2; fi
