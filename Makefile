# The whole of it: `make nightly` and `make test`. Needs git, make and Python 3.11 to 3.13.

VENV := .venv
BIN := $(VENV)/bin
HOME_DIR := data
PYTHON ?= $(firstword $(foreach candidate,python3.13 python3.12 python3.11 python3 python,$(shell \
	$(candidate) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) and print("$(candidate)")' 2>/dev/null)))

.PHONY: nightly ui test test-spark test-spark-sample test-postgres benchmark-smallest check docs install install-spark install-postgres lock clean
.DEFAULT_GOAL := nightly

nightly: install ## One night of the sample shop (synthetic data), with a summary at the end
	@$(BIN)/ecom-pipeline init --profile sample --home $(HOME_DIR) --exports data/sample
	@$(BIN)/ecom-pipeline nightly --home $(HOME_DIR)

ui: install ## The Dagster UI of the sample shop on 127.0.0.1
	@$(BIN)/ecom-pipeline init --profile sample --home $(HOME_DIR) --exports data/sample
	@$(BIN)/ecom-pipeline ui --home $(HOME_DIR)

test: install ## Every test
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-spark: install-spark ## The tests on a real standalone Spark cluster (needs Java 17)
	@ECOM_REQUIRE_SPARK=1 $(BIN)/python -m pytest -m spark ecom_pipeline_tests/spark

test-spark-sample: install-spark ## Of these, the sample shop beside DuckDB, a killed worker, remote storage, checks, scoring, training
	@ECOM_REQUIRE_SPARK=1 $(BIN)/python -m pytest -m spark $(addprefix ecom_pipeline_tests/spark/test_,parity.py \
		killed_worker.py remote_storage.py quality.py scoring.py training.py) \
		-k "(sample_shop or killed or remote or quality or scoring or weights) and not forgotten"

test-postgres: install-postgres ## The test with a PostgreSQL server of its own (needs initdb and pg_ctl)
	@ECOM_REQUIRE_POSTGRES=1 $(BIN)/python -m pytest -m postgres ecom_pipeline_tests/operations

benchmark-smallest: install ## The data steps of a full and of an incremental night of ten thousand events, measured
	@$(BIN)/python -m benchmarks.scale --events 1e4 --without-models

check: install ## Lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: install ## The documentation as a site in build/site; a dead link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

install: $(VENV)/.installed ## The environment, with pinned dependencies

$(VENV)/.installed: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "ecom_pipeline needs Python 3.11, 3.12 or 3.13 on the PATH; found: $$(python3 --version 2>&1)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install-spark: $(VENV)/.installed-spark ## pyspark, for engine: spark (some 450 MB; needs Java 17)

$(VENV)/.installed-spark: $(VENV)/.installed requirements-spark.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-spark.txt
	@touch $@

install-postgres: $(VENV)/.installed-postgres ## dagster-postgres, for a history of runs in PostgreSQL

$(VENV)/.installed-postgres: $(VENV)/.installed requirements-postgres.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-postgres.txt
	@touch $@

lock: ## Compile requirements.txt and those of the extras anew from pyproject.toml (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		--extra dev --extra complete-journey pyproject.toml --output-file requirements.txt
	@for extra in spark postgres; do \
		$(BIN)/python -c 'import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]])' $$extra \
		| uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		--constraint requirements.txt - --output-file requirements-$$extra.txt; done

clean: ## Remove the environment and the sample shop's home; data/sample stays
	@rm -rf $(VENV) data/landing data/warehouse data/models data/published data/reports data/logs data/privacy data/.dagster data/settings.yaml
