# mediswift_cs: `make help` lists the targets.
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# 3.11 has cerebras-pytorch, and a file that keeps every version; 3.12 and 3.13 have neither.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
CONSTRAINTS := $(if $(filter 3.11,$(VERSION)),-c constraints.txt)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Options of the demo, such as: make demo DEMO="--level dense --num-records 5000"
DEMO ?=
# Options of the replication, such as: make replicate REPLICATE="--scale night --seed 2"
REPLICATE ?= --scale hour
# An environment without torch and cerebras-pytorch, for the lower layers.
LIGHT_VENV ?= .venv-light
# An environment that builds the documentation, without torch as well.
DOCS_VENV ?= .venv-docs
# Options of pytest, such as: make test PYTEST="-k resume -x"
PYTEST ?=
NEEDED_GB := 7
# The layers that need neither torch nor cerebras-pytorch; a test there that compares with a library
# of the whole installation skips, and pytest says first which files it leaves out.
LIGHT_TESTS := $(addprefix tests/,storage params corpora tokens tasks prepare checkpoints \
  without_torch test_flops.py test_flops_of_runs.py test_sizes.py test_layers.py)

.DEFAULT_GOAL := help
.PHONY: help demo replicate test light test-light test-package docs torture check format install clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(STAMP) ## pre-train a small sparse model on real PubMed abstracts, fine-tune, score and export it
	@$(BIN)/mediswift demo $(DEMO)

replicate: $(STAMP) ## try the paper's claims at a small scale, with controls of equal training FLOPs (an hour)
	@$(BIN)/mediswift replicate $(REPLICATE)

test: $(STAMP) ## install what is missing and run the whole test suite
	@$(BIN)/python -m pytest $(PYTEST)

light:
	@[ -x $(LIGHT_VENV)/bin/python ] || $(PYTHON) -m venv $(LIGHT_VENV)
	@$(LIGHT_VENV)/bin/python -m pip install --disable-pip-version-check -q -r requirements/light.txt \
	  'pytest>=8' 'pytest-timeout>=2.3' 'hypothesis>=6.100' 'scikit-learn>=1.4' build 'setuptools>=68'
	@$(LIGHT_VENV)/bin/python -m pip install --disable-pip-version-check -q --no-deps -e .
	@! $(LIGHT_VENV)/bin/python -c 'import torch' 2>/dev/null || { \
	  echo "error: torch is installed in $(LIGHT_VENV), where it must not be" >&2; exit 1; }

test-light: light ## run the lower layers' tests in an environment without torch and cerebras-pytorch
	@$(LIGHT_VENV)/bin/python -m pytest $(LIGHT_TESTS) $(PYTEST)

test-package: light ## build wheel and sdist, install each outside the checkout, run commands there
	@LIGHT=$(abspath $(LIGHT_VENV)) tests/package.sh

docs: ## build the documentation into site/; a broken link or anchor is an error
	@[ -x $(DOCS_VENV)/bin/python ] || $(PYTHON) -m venv $(DOCS_VENV)
	@$(DOCS_VENV)/bin/python -m pip install --disable-pip-version-check -q -r requirements/light.txt -r requirements/docs.txt
	@$(DOCS_VENV)/bin/python -m pip install --disable-pip-version-check -q --no-deps -e .
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build --clean -d site

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

clean: ## remove the virtual environment (results in demo/ and replication/ stay)
	rm -rf $(VENV)

$(STAMP): setup.cfg requirements/light.txt requirements/torch.txt requirements/cerebras.txt constraints.txt Makefile
	@case "$(VERSION)" in 3.11) ;; \
	  3.12|3.13) echo "Python $(VERSION): without cerebras-pytorch, which has wheels for 3.11 only; its tests skip";; \
	  *) echo "error: Python 3.11 is needed, or 3.12 or 3.13 for all but cerebras-pytorch;" \
	    "got $$($(PYTHON) --version 2>/dev/null || echo none). Give its path: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2;; esac
	@# An environment of another Python would be used as it is.
	@[ ! -x $(BIN)/python ] || $(BIN)/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' || { \
	  echo "error: $(VENV) has another Python than $(VERSION): give VENV=another_folder, or make clean" >&2; exit 2; }
	@# An environment that is there already only has to be brought up to date.
	@free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); \
	  if [ ! -x $(BIN)/mediswift ] && [ "$$free" -lt $(NEEDED_GB) ]; then \
	    echo "error: the environment needs $(NEEDED_GB) GB of disk, got $$free GB free in $(CURDIR)" >&2; exit 2; fi
	@# Debian's Python has venv itself, and leaves an environment without pip where ensurepip is missing.
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: this Python cannot make an environment; on Debian: apt-get install python$(VERSION)-venv" >&2; exit 2; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 6 GB, a few minutes the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on $(CONSTRAINTS) -e '.[demo,test,dev]'
	@touch $@
