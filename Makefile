# Needs Python 3.11 or later, make and git; everything else goes to .venv. `make` alone says what there is.
# ARGS go to the command: make run ARGS="--select fact_sales", make ui ARGS="--port 3001"

SHELL := /bin/sh
BIN := .venv/bin
# pip's own files are checked by hash, nothing is resolved at install time, and no index but pip's own setting is asked
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --require-hashes --no-deps
UV := .tools/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"
MADE := data/lake data/warehouse data/reports data/dagster data/feed data/tmp data/run.lock bench/results
CACHES := .venv .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov

.PHONY: help run test ui lint format bench soak lock clean
.DELETE_ON_ERROR:

help:
	@echo "make run     every table that is stale or missing, then the report"
	@echo "make ui      Dagster's UI, daemon and code server; Ctrl-C stops all of it"
	@echo "make test    lint, types, import direction and all tests; gets the services that tests talk to, once"
	@echo "make lint    only the first three; make format: the same, and mends what it may"
	@echo "make bench   measures against plain DuckDB, at once and twenty times the size"
	@echo "make soak    kills a thousand commands at random moments, and compares what their repetition leaves; an hour or more"
	@echo "make lock    resolves the dependencies of pyproject.toml again"
	@echo "make clean   says what it would delete; make clean CONFIRM=yes deletes it"

run: .venv/.runtime
	@$(BIN)/dataplatform run $(ARGS)

ui: .venv/.runtime
	@$(BIN)/dataplatform up $(ARGS)

test: lint
	@sh .ci/services
	$(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term --cov-fail-under=95 $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff check --quiet --output-format concise
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/.runtime
	$(BIN)/python bench/bench.py $(ARGS)

soak: .venv/.dev
	$(BIN)/python -m dataplatform_tests.kills $(ARGS)

.venv/.runtime: requirements.txt pyproject.toml
	@[ -x $(BIN)/python ] || sh .ci/make-venv .venv
	@echo "installing what it runs on …"
	@$(INSTALL) -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	@echo "installing what it is tested with …"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

lock: $(UV)
	$(COMPILE) pyproject.toml --group build -o requirements.txt
	$(COMPILE) pyproject.toml --group build --group dev -c requirements.txt -o requirements-dev.txt

$(UV):
	@sh .ci/make-venv .tools
	@.tools/bin/python -m pip --disable-pip-version-check --quiet install "uv>=0.9,<1"

clean:
	@for path in $(CACHES) $(MADE); do \
		[ -e "$$path" ] || continue; \
		if [ "$(CONFIRM)" = yes ]; then rm -rf "$$path"; echo "deleted $$path"; \
		else echo "would delete $$path"; fi; \
	done
	@[ "$(CONFIRM)" = yes ] || echo "nothing was deleted; make clean CONFIRM=yes does it"
