# make demo     from nothing to a data set, a detector trained on it, and pages (SKU_LIST=path for your own products)
# make install  the environment alone, with all extras
# make test     the environment and every check: format, lint, types, tests
# make quick    the same without the tests that train networks, in an environment that is there
# make pages    the commands of the task pages, as a reader would give them
# make nightly  BOP sets against the benchmark's toolkit (BOP_TOOLKIT=path of a checkout, or what else pip installs)
# make docs     the documentation as a site, in site/index.html

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
SKU_LIST ?=
BOP_TOOLKIT ?= git+https://github.com/thodan/bop_toolkit
# A list of your own gets a folder of its own.
OUT ?= demo-out$(if $(SKU_LIST),/$(basename $(notdir $(SKU_LIST))))
BIN := $(VENV)/bin
SETUP := pyproject.toml constraints.txt tools/setup.sh

.PHONY: demo install test check quick pages nightly lint docs clean

demo: $(VENV)/.base
	SYNTH=$(BIN)/synth tools/demo.sh "$(OUT)" "$(SKU_LIST)"

install: $(VENV)/.all

test: $(VENV)/.all check

# Compiled modules are kept: tests start hundreds of processes.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=25

check: lint
	$(PYTEST)

quick: lint
	$(PYTEST) -m "not trains and not pages"

pages:
	$(PYTEST) -m "pages or not pages" -k test_commands_and_programs_run tests/test_readme.py

nightly: $(VENV)/.all
	tools/nightly.sh $(VENV) "$(BOP_TOOLKIT)"

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.all
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(VENV)/.base: $(SETUP)
	PYTHON="$(PYTHON)" tools/setup.sh $(VENV) ".[train,weights]"
	touch $@

$(VENV)/.all: $(SETUP)
	PYTHON="$(PYTHON)" tools/setup.sh $(VENV) ".[train,weights,export,transformers,scale,dev,docs]"
	touch $@ $(VENV)/.base

clean:
	rm -rf $(VENV) build dist site *.egg-info demo-out
