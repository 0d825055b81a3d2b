# mediswift_cs: `make help` lists the targets.
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Options of the demo, such as: make demo DEMO="--level dense --num-records 5000"
DEMO ?=
# An environment without torch and cerebras-pytorch, for the lower layers.
LIGHT_VENV ?= .venv-light
# Options of pytest, such as: make test PYTEST="-k resume -x"
PYTEST ?=
NEEDED_GB := 7
# The layers that need neither torch nor cerebras-pytorch; a test there that compares with a library
# of the whole installation skips.
LIGHT_TESTS := $(addprefix tests/,storage params corpora tokens tasks prepare without_torch \
  test_sizes.py test_layers.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-light torture check format install clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(STAMP) ## pre-train a small sparse model on real PubMed abstracts, fine-tune, score and export it
	@$(BIN)/mediswift demo $(DEMO)

test: $(STAMP) ## install what is missing and run the whole test suite
	@$(BIN)/python -m pytest $(PYTEST)

test-light: ## run the lower layers' tests in an environment without torch and cerebras-pytorch
	@[ -x $(LIGHT_VENV)/bin/python ] || $(PYTHON) -m venv $(LIGHT_VENV)
	@$(LIGHT_VENV)/bin/python -m pip install --disable-pip-version-check -q -r requirements/light.txt \
	  'pytest>=8' 'pytest-timeout>=2.3' 'hypothesis>=6.100' 'scikit-learn>=1.4'
	@$(LIGHT_VENV)/bin/python -m pip install --disable-pip-version-check -q --no-deps -e .
	@! $(LIGHT_VENV)/bin/python -c 'import torch' 2>/dev/null || { \
	  echo "error: torch is installed in $(LIGHT_VENV), where it must not be" >&2; exit 1; }
	@$(LIGHT_VENV)/bin/python -m pytest $(LIGHT_TESTS)

torture: $(STAMP) ## stop jobs at random moments, 20 times each, and give them again (20 minutes)
	@MEDISWIFT_TORTURE=20 $(BIN)/python -m pytest tests/torture $(PYTEST)

check: $(STAMP) ## lint, formatting, types, rendered params files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mediswift_cs.params --check

format: $(STAMP) ## format the code and sort its imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(STAMP) ## make the virtual environment only

clean: ## remove the virtual environment (results in demo/ stay)
	rm -rf $(VENV)

$(STAMP): setup.cfg constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "error: Python 3.11 is needed, because cerebras-pytorch has wheels for no other version;" \
	    "got $$($(PYTHON) --version 2>/dev/null || echo none). Give its path: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@# An environment that is there already only has to be brought up to date.
	@free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); \
	  if [ ! -x $(BIN)/mediswift ] && [ "$$free" -lt $(NEEDED_GB) ]; then \
	    echo "error: the environment needs $(NEEDED_GB) GB of disk, got $$free GB free in $(CURDIR)" >&2; exit 2; fi
	@$(PYTHON) -m venv --help >/dev/null 2>&1 || { \
	  echo "error: this Python has no venv module; on Debian: apt-get install python3.11-venv" >&2; exit 2; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 6 GB, a few minutes the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[demo,test,dev]'
	@touch $@
