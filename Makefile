# `make demo` and `make test` need Python 3.11 or later and make, nothing else: the first call sets up .venv.

PYTHON ?= python3
BIN := .venv/bin
CORES ?= all
TEST_WORKERS ?= 2

.PHONY: demo test test-quick test-slurm lint format

demo: .venv/ready
	$(BIN)/snakemake --cores $(CORES)
	@echo
	@echo "Videos for players:  results/demo/delivery/<method>/<clip>/"
	@echo "Tables:              results/demo/tables/table1.md (and .csv), scores.csv"
	@echo "To look at it all:   results/demo/gallery/index.html"

# A file's tests stay together: many share what a fixture has made.
test: lint
	$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile

test-quick: lint
	$(BIN)/python -m pytest -m "not slow and not slurm"

# A real Slurm of one node, started and stopped by the tests; says why it is skipped where it can't be (minutes).
test-slurm: .venv/ready
	$(BIN)/python -m pip install --quiet --editable '.[slurm]'
	$(BIN)/python -m pytest -m slurm -rs tests/workflow

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "StereoZero needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing; torch alone is about 6 GB on disk and takes some minutes."
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@
