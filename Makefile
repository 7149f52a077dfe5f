# Everything a contributor runs. `make` alone prints this list.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup check lint types test test-long bench docs clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(BIN)/.installed ## Make .venv and install edgec in it, editable, with what the tests need

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@

check: lint types test ## Everything that has to pass before a change is merged

lint: setup ## Format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup ## Type errors in edgec, backends, frontend, hw and passes
	$(BIN)/basedpyright --pythonpath $(BIN)/python --level error

test: setup ## All tests but the long ones
	$(BIN)/python -m pytest -n $(JOBS) -m 'not long'

test-long: setup ## The tests that take minutes, and more hypothesis examples for the core
	$(BIN)/python -m pytest -n $(JOBS) -m long
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n $(JOBS) -m 'not long' tests/core

bench: setup ## What the benchmarks measure, one after the other; DATA=FOLDER has the models that some of them need
	@for script in bench/*.py; do \
		grep -q '__name__ == "__main__"' "$$script" || continue; \
		needs=`sed -n "s|.*python [a-z/]*$${script##*/} \([A-Z][A-Z]*\).*|\1|p" "$$script"`; \
		case "$$needs" in \
			"") echo "== $$script"; $(BIN)/python "$$script" || exit 1;; \
			DATA) if [ -d "$(DATA)" ]; then echo "== $$script"; $(BIN)/python "$$script" "$(DATA)" || exit 1; \
				else echo "== $$script: skipped, it needs models (make bench DATA=FOLDER)"; fi;; \
			*) echo "== $$script: skipped, it needs an argument ($$needs)";; \
		esac; \
	done

docs: setup ## Check that the pages in docs/ name every op, format and code, and that their examples run
	$(BIN)/python -m pytest -q tests/core/test_docs.py

clean: ## Remove what the commands above made
	rm -rf $(VENV) build dist out out-stages .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
