# Every task of a developer, and the start of a network, is a target here: `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help setup devnet test e2e fix lint type bench mutants sim sim-long sim-mutants chaos attacks attacks-economy lock clean

PYTHON ?= python3
SEEDS ?= 300
START ?= 1
# Set SECONDS to change either.
CHAOS_SECONDS := $(or $(SECONDS),600)
LONG_SECONDS := $(or $(SECONDS),1800)
KILLS ?= 200
SEED ?= 1
RULES ?= second
EPOCHS ?= 3000
ATTACK_SEEDS ?= 20
BIN := .venv/bin
STAMP := .venv/.installed
CODE := chain consensus storage p2p node cli bench examples tests
PROSE := $(CODE) docs Makefile pyproject.toml *.md
PIP_INSTALL := $(BIN)/pip --disable-pip-version-check install --quiet --no-deps

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## virtual environment in .venv with the locked dependencies and the project
	@:

# Two dependencies are pure source archives: the locked setuptools is installed first and builds them.
# trio-typing, which libp2p needs, has types of an old trio that hide trio's own from mypy: they are removed.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
		|| { echo "vidya needs Python 3.11 or 3.12: make PYTHON=python3.11 ..." >&2; exit 1; }
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv
	@echo "installing the locked dependencies (about a minute)"
	@awk '/^[a-z]/ { wanted = /^setuptools==/ } wanted' requirements.lock \
		| $(PIP_INSTALL) --require-hashes -r /dev/stdin
	@$(PIP_INSTALL) --require-hashes --no-build-isolation --use-pep517 -r requirements.lock
	@rm -rf .venv/lib/python3.*/site-packages/trio-stubs
	@echo "installing vidya itself, from this checkout"
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@
	@echo "ready: commands are in .venv/bin"

devnet: setup  ## four validator-hosts on this machine, with sample content, until Ctrl-C
	@$(BIN)/vidya devnet up

test: setup  ## the tests, without those marked slow
	@$(BIN)/python -m pytest -q -m "not slow"

e2e: setup  ## the slow tests: real processes, one network after the other, and the guides as printed (40 minutes)
	@$(BIN)/python -m pytest -q -m slow tests --ignore=tests/economy --ignore=tests/attacks

fix: setup  ## repairs and formats what ruff can
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format --quiet .

lint: setup  ## ruff, spelling, dead code, house rules, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/codespell $(PROSE)
	@$(BIN)/vulture $(CODE)
	@$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_docs.py
	@$(BIN)/lint-imports --no-logo

type: setup  ## mypy, strict
	@$(BIN)/mypy

bench: setup  ## the short benchmarks; prints tables, appends to bench/results.jsonl
	@$(BIN)/python -m bench.run

sim: setup  ## the deterministic simulator: SEEDS=300 START=1, minutes; ends with one audit hash
	@$(BIN)/python -m tests.sim --seeds $(SEEDS) --start $(START) $(if $(TRACE),--trace)

sim-long: setup  ## long runs of the simulator, 7 to 30 validators: SECONDS=1800 (nightly)
	@$(BIN)/python -m tests.sim.long --seconds $(LONG_SECONDS) --start $(START)

sim-mutants: setup  ## plants faults in the product, one at a time, and shows that the simulator's seeds see each
	@$(BIN)/python -m tests.sim.planted

chaos: setup  ## real nodes under load, killed again and again: SECONDS=600 KILLS=200 SEED=1; ends with a verdict
	@$(BIN)/python -m tests.e2e.chaos --seconds $(CHAOS_SECONDS) --kills $(KILLS) --seed $(SEED)

attacks: setup  ## hostile peers against a real node, one row each: NAMES="silent_tcp ..." or all (15 minutes)
	@$(BIN)/python -m tests.attacks $(NAMES)

attacks-economy: setup  ## attackers against the real economy, one table: RULES=second EPOCHS=3000 ATTACK_SEEDS=20, minutes
	@$(BIN)/python -m tests.economy --rules $(RULES) --epochs $(EPOCHS) --seeds $(ATTACK_SEEDS)

mutants: setup  ## breaks each rule of consensus on purpose and shows that a test sees it
	@$(BIN)/python -m tests.consensus.mutants

lock:  ## rewrite requirements.lock out of pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --quiet --output-file requirements.lock

clean:  ## remove what make made
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
