# make demo | test | check | docs | bench: each sets up .venv by itself and is quick the second time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help demo test check format docs bench bench-one bench-other bench-smoke gpu measure tables picture clean

help:
	@echo "make demo    edit the embedded model and look at what changed (demo/)"
	@echo "make test    run the tests"
	@echo "make check   formatting, lint, types, import rules"
	@echo "make format  let ruff repair what it can"
	@echo "make docs    build the documentation (site/)"
	@echo "make bench   the papers' tables on the embedded model, with reports (bench/, hours)"
	@echo "make measure speed and quality figures quoted in the docs"
	@echo "make gpu     tests and timings on a CUDA device"
	@echo "make tables  put what bench and measure found into README and docs"
	@echo "make clean   remove .venv and everything built"

# One stamp per set of extras: a target installs what it needs and nothing more.
.venv/created:
	@echo "setting up .venv with $(PYTHON) (once)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Overpaint needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	@touch $@
.venv/installed: .venv/created pyproject.toml constraints.txt
	$(INSTALL) -e '.[lora,benchmark]'
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

# Not --quiet: it hides the warnings that --strict should count.
docs: .venv/installed-docs
	$(BIN)/mkdocs build --strict
	@echo "open site/index.html"

# The papers' tables on Toybox: ReFACT's Table 1, TIME's 2 to 4, every method, many edits at once.
# Two runs at a time, with half of the cores each; pictures that both want are painted by one.
# Each goes on where it was stopped, and to more seeds when there are to be more: SEEDS=1 is a quick
# look. `overpaint report bench/NAME` shows one that is not finished.
STEPS ?= 10
SEEDS ?= 8
BENCH = $(BIN)/overpaint bench --model toybox --steps $(STEPS) --share bench/shared
HALF := $(shell echo $$(( ($(OMP_NUM_THREADS) + 1) / 2 )))
TABLES := refact-table1 time-table2 time-table3-gender time-table4-ablation methods mass
bench: .venv/installed-test
	@echo "two runs at a time; each says what it found when it is done"
	@$(MAKE) --no-print-directory -j2 -Otarget OMP_NUM_THREADS=$(HALF) bench-one bench-other
	@for table in $(TABLES); do $(BIN)/overpaint report bench/$$table || exit 1; done

bench-one:
	$(BENCH) --preset refact-table1 --seeds $(SEEDS) -o bench/refact-table1
	$(BENCH) --preset time-table2 --seeds $(SEEDS) -o bench/time-table2
	$(BENCH) --preset mass --seeds $(SEEDS) -o bench/mass

bench-other:
	$(BENCH) --preset time-table3-gender --seeds 8 --methods baseline,oracle,time,time-multi -o bench/time-table3-gender
	$(BENCH) --preset time-table4-ablation --seeds $(SEEDS) -o bench/time-table4-ablation
	$(BENCH) --preset methods --seeds $(SEEDS) -o bench/methods

# The same in the small: does every table come out at the other end?
bench-smoke: SMOKE = $(BIN)/overpaint bench --model toybox --limit 1 --share bench/smoke/shared
bench-smoke: .venv/installed-test
	rm -rf bench/smoke && mkdir -p bench/smoke
	$(SMOKE) --preset refact-table1 --seeds 2 --steps 6 -o bench/smoke/refact-table1
	$(SMOKE) --preset time-table2 --seeds 2 --steps 6 -o bench/smoke/time-table2
	$(SMOKE) --preset time-table3-gender --methods baseline,oracle,time --set time.steps=3 --seeds 8 --steps 6 -o bench/smoke/time-table3-gender
	$(SMOKE) --preset time-table4-ablation --seeds 1 --steps 4 -o bench/smoke/time-table4-ablation
	$(BIN)/python benchmarks/families.py --quick
	$(BIN)/python benchmarks/methods.py --limit 1 --seeds 1 --steps 4 --methods time uce --share bench/smoke/shared --out bench/smoke/methods
	@for table in $(TABLES); do test ! -d bench/smoke/$$table || $(BIN)/overpaint report bench/smoke/$$table || exit 1; done

# What the documentation quotes beside: how good the embedded model is, how fast everything.
MEASURE := $(BIN)/python benchmarks
measure: .venv/installed-test
	$(MEASURE)/toybox_quality.py --only judge edits speed sheets --seeds 8 --steps 10 --json bench/toybox_quality.json
	$(MEASURE)/toybox_quality.py --only gender --pictures 52 --json bench/toybox_gender.json
	$(MEASURE)/families.py --json bench/families.json
	$(MEASURE)/recall.py --json bench/recall.json
	$(MEASURE)/throughput.py --json bench/throughput.json
	$(MEASURE)/speed_edit.py --json bench/speed_edit.json
	$(MEASURE)/localize.py --json bench/localize.json
	$(MEASURE)/localize.py --split validation --json bench/localize-validation.json
	$(MEASURE)/strength.py --steps 10 --json bench/strength.json

# What needs a GPU, in under 8 minutes on one card: the same patches and pictures as on the CPU, and
# how long whole edits take. Uses the Python that has CUDA: make gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python
gpu:
	PYTHONPATH=src:benchmarks $(GPU_PYTHON) -m pytest -q -p no:cacheprovider -W default tests/gpu
	PYTHONPATH=src:benchmarks $(GPU_PYTHON) benchmarks/speed.py --device cuda --json bench/speed-gpu.json

# Puts what bench and measure found into README and docs; names what is missing.
tables: .venv/installed-test
	$(BIN)/python examples/tables.py $(ARGS)

clean:
	rm -rf .venv build dist site demo bench .pytest_cache .ruff_cache .hypothesis .import_linter_cache
