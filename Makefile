# Works on a machine with only CPython 3.11 or newer, a C compiler and make.

.DEFAULT_GOAL := help
.PHONY: help demo test dev clean FORCE

VENV   := .venv
PYTHON ?=
ARGS   ?=

CORE := packages/core/pyproject.toml $(wildcard packages/core/src/lagoqueue/*.pyx packages/core/src/lagoqueue/*.pxd)

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS="..."     passed on: make demo ARGS="--workers 4 ~/src"; make test ARGS="-s lint typing"; ARGS="-l" lists sessions'
	@echo '  PYTHON=...     the interpreter to make $(VENV) with (default: the newest of python3.14 to python3.11 that runs)'

demo: $(VENV)/.packages ## Index the standard library with real jobs, workers and retries, on SQLite, and serve the dashboard
	@PYTHONPATH=examples $(VENV)/bin/python -m codebase_index $(ARGS)

test: $(VENV)/.nox ## Run everything that CI runs: lint, types, tests, builds, docs
	@$(VENV)/bin/nox $(ARGS)

dev: $(VENV)/.packages $(VENV)/.nox ## Install the packages, editable, and the test tools into .venv
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --group test --group lint --group typing

clean: ## Remove what the other targets made
	rm -rf $(VENV) .nox dist build docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
	rm -rf packages/*/build packages/*/dist packages/*/src/*.egg-info
	find packages -name '*.so' -delete
	find packages/core/src -name '*.c' -delete

# --- The environment ------------------------------------------------------------------------------

# A .venv that was moved, or whose interpreter is gone, does not answer; then it is made again.
ifneq ($(shell $(VENV)/bin/python -c 'print("runs")' 2>/dev/null),runs)
$(VENV)/.python: FORCE
endif
ifneq ($(PYTHON),)
ifneq ($(shell $(VENV)/bin/python -c 'import sys; print(sys.version)' 2>/dev/null),$(shell $(PYTHON) -c 'import sys; print(sys.version)' 2>/dev/null))
$(VENV)/.python: FORCE
endif
endif

$(VENV)/.python: tools/bootstrap.sh
	@sh tools/bootstrap.sh venv $(VENV) "$(PYTHON)"
	@touch $@

$(VENV)/.packages: $(VENV)/.python $(CORE) packages/sqlqueue/pyproject.toml packages/dashboard/pyproject.toml
	@sh tools/bootstrap.sh compiler $(VENV)/bin/python
	@echo "installing the three packages into $(VENV) (compiles two modules, about half a minute)"
	@$(VENV)/bin/python -m pip install -qq --editable packages/core --editable packages/sqlqueue --editable packages/dashboard
	@touch $@

$(VENV)/.nox: $(VENV)/.python pyproject.toml
	@sh tools/bootstrap.sh compiler $(VENV)/bin/python
	@echo "installing nox into $(VENV)"
	@$(VENV)/bin/python -m pip install -qq 'nox>=2025.10.16' uv || $(VENV)/bin/python -m pip install -qq 'nox>=2025.10.16'
	@touch $@
