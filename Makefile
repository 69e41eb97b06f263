# make demo | test | check | docs | bench: each sets up .venv by itself and is quick the second time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help demo test check format docs bench picture clean

help:
	@echo "make demo    edit the embedded model and look at what changed (demo/)"
	@echo "make test    run the tests"
	@echo "make check   formatting, lint, types, import rules"
	@echo "make format  let ruff repair what it can"
	@echo "make docs    build the documentation (site/)"
	@echo "make bench   speed and quality figures quoted in the docs (bench/)"
	@echo "make clean   remove .venv and everything built"

# One stamp per set of extras: a target installs what it needs and nothing more.
.venv/created:
	@echo "setting up .venv with $(PYTHON) (once)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Overpaint needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	@touch $@
.venv/installed: .venv/created pyproject.toml constraints.txt
	$(INSTALL) -e '.[lora]'
	@touch $@
.venv/installed-test: .venv/installed
	$(INSTALL) -e '.[test]'
	@touch $@
.venv/installed-check: .venv/installed-test
	$(INSTALL) -e '.[check]'
	@touch $@
.venv/installed-docs: .venv/created pyproject.toml constraints.txt
	$(INSTALL) 'mkdocs'
	@touch $@

demo: .venv/installed
	$(BIN)/python examples/demo.py demo

# The README's picture is the demo's, copied.
picture: demo
	cp demo/president.png docs/images/before-after.png

# One process per core and one thread each: torch's own threads only get in each other's way.
test: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(ARGS)

check: .venv/installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: .venv/installed-check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-docs
	$(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

bench: .venv/installed-test
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv build dist site demo bench .pytest_cache .ruff_cache .hypothesis .import_linter_cache
