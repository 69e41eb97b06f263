# make demo | test | check | docs | bench: each sets up .venv by itself and is quick the second time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help demo test check format docs bench bench-smoke measure picture clean

help:
	@echo "make demo    edit the embedded model and look at what changed (demo/)"
	@echo "make test    run the tests"
	@echo "make check   formatting, lint, types, import rules"
	@echo "make format  let ruff repair what it can"
	@echo "make docs    build the documentation (site/)"
	@echo "make bench   the papers' tables on the embedded model, with reports (bench/)"
	@echo "make measure speed and quality figures quoted in the docs"
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

# The papers' tables on Toybox; each goes on where it was stopped. ReFACT's Table 1, TIME's 2 to 4.
TABLES := refact-table1 time-table2 time-table3-gender time-table4-ablation
BENCH := $(BIN)/overpaint bench --model toybox --preset
bench: .venv/installed-test
	$(BENCH) refact-table1 --seeds 2 -o bench/refact-table1
	$(BENCH) time-table2 --seeds 4 -o bench/time-table2
	$(BENCH) time-table3-gender --methods baseline,oracle,time,time-multi --seeds 8 -o bench/time-table3-gender
	$(BENCH) time-table4-ablation --seeds 2 -o bench/time-table4-ablation
	@for table in $(TABLES); do $(BIN)/overpaint report bench/$$table || exit 1; done

# The same in the small: does every table come out at the other end?
bench-smoke: .venv/installed-test
	rm -rf bench/smoke && mkdir -p bench/smoke
	$(BENCH) refact-table1 --limit 1 --seeds 2 --steps 6 -o bench/smoke/refact-table1
	$(BENCH) time-table2 --limit 1 --seeds 2 --steps 6 -o bench/smoke/time-table2
	$(BENCH) time-table3-gender --methods baseline,oracle,time --set time.steps=3 --limit 1 --seeds 8 --steps 6 -o bench/smoke/time-table3-gender
	$(BENCH) time-table4-ablation --limit 1 --seeds 1 --steps 4 -o bench/smoke/time-table4-ablation
	@for table in $(TABLES); do $(BIN)/overpaint report bench/smoke/$$table || exit 1; done

measure: .venv/installed-test
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv build dist site demo bench .pytest_cache .ruff_cache .hypothesis .import_linter_cache
