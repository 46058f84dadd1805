# make book   set up and write the book: _book/index.html, every chapter, _book/*.pdf
# make test   set up and run the tests, on any machine
# make help   everything else
PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
# torch comes in a step of its own, and its stamp's name says which version is installed. The GPU set wants exactly this
# version; everything else keeps a torch that is there. Override where another version, index or build is wanted:
#   make test TORCH_INSTALL="uv pip install --torch-backend=cpu torch==2.13.0"
ifneq ($(filter setup-gpu,$(MAKECMDGOALS)),)
TORCH   ?= torch==2.11.0
endif
TORCH_VERSION := $(patsubst torch==%,%,$(filter torch==%,$(TORCH)))
TORCH   ?= torch==2.13.0
TORCH_STAMP := $(VENV)/.torch-$(or $(TORCH_VERSION),$(patsubst $(VENV)/.torch-%,%,$(firstword $(wildcard $(VENV)/.torch-*))),any)
TORCH_INSTALL ?= $(BIN)/python -m pip install --quiet $(TORCH)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.PHONY: help book book-quarto book-pandoc submission preview figures readme picture check test lint types bench \
        browser coverage mutation lock \
        setup-book setup-dev setup-train setup-gpu setup-quarto setup-bench clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: setup-book ## HTML, PDF, Word and notebooks into _book/
	$(BIN)/codelab book build

book-quarto: setup-book ## The book with Quarto, which must be on PATH
	$(BIN)/codelab book build --renderer quarto

book-pandoc: setup-book ## The book without Quarto, even where Quarto is there
	$(BIN)/codelab book build --renderer pandoc

submission: setup-book ## What is handed in: essays, notebooks, the whole exam and a zip of them, into submission/
	$(BIN)/codelab book submission

preview: setup-book ## quarto preview while writing
	QUARTO_PYTHON=$(BIN)/python quarto preview

figures: setup-book ## Draw figures/*.svg again
	$(BIN)/codelab figures

readme: setup-book ## Write the tables of README.md again
	$(BIN)/codelab book readme

picture: setup-dev ## Draw the picture in README.md from _book; needs Chromium
	PYTHONPATH=code $(BIN)/python code/bench/picture.py _book

check: setup-book ## Is anything frozen stale? Are references and figures complete?
	$(BIN)/codelab check

test: setup-dev ## Every test that needs no GPU
	$(BIN)/python -m pytest -n $(JOBS)

lint: setup-dev ## ruff
	$(BIN)/ruff check code
	$(BIN)/ruff format --check code

types: setup-dev ## mypy, strict
	$(BIN)/mypy

bench: setup-bench ## Evaluator speed, metering overhead, render time
	$(BIN)/python code/bench/metering.py
	$(BIN)/python code/bench/evaluator.py
	$(BIN)/python code/bench/render.py

browser: setup-dev ## Open _book in headless Chromium, where there is one, and look for faults
	PYTHONPATH=code $(BIN)/python code/bench/browser.py _book

coverage: setup-dev ## Which lines of the parts that must be right do tests reach?
	PYTHONPATH=code $(BIN)/python code/bench/reach.py

mutation: setup-dev ## Which changes to the metrics and the judge do tests miss? Half an hour
	PYTHONPATH=code $(BIN)/python code/bench/mutation.py

lock: $(BIN)/python ## Resolve requirements/*.txt again from pyproject.toml
	$(BIN)/python -m pip install --quiet 'uv>=0.9'
	PATH="$(abspath $(BIN)):$$PATH" sh requirements/lock.sh

# One environment; each stamp is made again when its lock changes.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.book: requirements/book.txt pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) -r requirements/book.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

# `any` is whatever version is there; the stamp of the version found is what remains.
TORCH_FOUND = $(BIN)/python -c 'from importlib import metadata; print(metadata.version("torch").split("+")[0])' 2>/dev/null
TORCH_FITS = found=$$($(TORCH_FOUND)) && case $* in any|"$$found") ;; *) false;; esac
$(VENV)/.torch-%: | $(BIN)/python
	$(TORCH_FITS) || $(TORCH_INSTALL)
	@$(TORCH_FITS) || { echo "torch: $$found is installed, $* is wanted; see TORCH_INSTALL in the Makefile" >&2; exit 2; }
	@rm -f $(VENV)/.torch $(VENV)/.torch-*
	@touch $(VENV)/.torch-$$($(TORCH_FOUND))

$(VENV)/.train: requirements/train.txt $(TORCH_STAMP) $(VENV)/.book
	$(PIP_INSTALL) -r requirements/train.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.train
	$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

setup-book: $(VENV)/.book ## Everything that the book needs, no torch
setup-train: $(VENV)/.train ## Run experiments on this machine
setup-dev: $(VENV)/.dev ## Tests, linters, peers for the benchmark

setup-bench: setup-dev ## The evaluators that ours is compared with
	$(PIP_INSTALL) -r requirements/bench.txt

setup-gpu: $(VENV)/.train ## unsloth and vLLM, for an NVIDIA GPU with CUDA 13
	$(PIP_INSTALL) -r requirements/gpu.txt

setup-quarto: $(BIN)/python ## Quarto from its package, where GitHub can be reached
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/quarto.txt

clean: ## Remove what was built; records and frozen chapters stay
	rm -rf _book submission .quarto
