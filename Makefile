# `make demo` and `make test` set everything up by themselves, in .venv: only Python >= 3.11 is needed, and pip's way
# to its packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check --no-input
export PYTHONPATH := $(CURDIR)

.PHONY: demo test test-slow check lint format bench conformance-docker fuzz ready clean

# Debian keeps ensurepip in a package of its own; the pip of the machine can fill the environment then.
$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python >= 3.11 is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --without-pip $(VENV); \
	else echo "$(PYTHON) has neither ensurepip nor pip: install one, on Debian with 'apt install python3-venv'" >&2; \
	    exit 1; fi
	@touch $@

$(VENV)/installed: pyproject.toml | $(VENV)/made
	@echo "Setting up $(VENV), once: this takes half a minute."
	@$(call pip,$(editable) .)
	@touch $@

$(VENV)/ready: pyproject.toml | $(VENV)/made
	@echo "Setting up $(VENV) for the tests, once: this takes half a minute."
	@$(call pip,$(editable) '.[dev]')
	@touch $@ $(VENV)/installed

pip = if [ -x $(BIN)/pip ]; then $(BIN)/python -m pip install $(PIP_FLAGS) $(1); \
    else $(PYTHON) -m pip --python $(BIN)/python install $(PIP_FLAGS) $(1); fi

# The other kind of editable install loads a finder, and half of the standard library, at each start: 10 ms.
editable = --config-settings editable_mode=compat --editable

# What the tests need, without running any.
ready: $(VENV)/ready

demo: $(VENV)/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh sample-apps/demo.sh

test: $(VENV)/ready
	$(BIN)/python -m pytest -m 'not slow'

test-slow: $(VENV)/ready
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# For example: make bench ARGS=--quick
bench: $(VENV)/installed
	$(BIN)/python bench/bench.py $(ARGS)

# The same Dockerfiles with docker's daemon (or ARGS=buildkit: buildkitd and buildctl), which has to be installed; as root.
conformance-docker: $(VENV)/ready
	$(BIN)/python -m tests.differential $(ARGS)

# Coverage-guided if atheris can be installed, else by random changes; ARGS: how many inputs.
fuzz: $(VENV)/ready
	$(BIN)/python -m tests.fuzz $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
