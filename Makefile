# MLForge: `make demo` shows it, `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --warn-undefined-variables

# Byte code halves every import, so it is always written.
unexport PYTHONDONTWRITEBYTECODE
# Another environment that happens to be active is none of ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

# A network that inspects TLS has its certificate in the system's store, which uv does not read of its own accord.
export UV_SYSTEM_CERTS := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),true,false)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := .venv-tools
MLFORGE := $(BIN)/mlforge
ARGS ?=

.PHONY: help install up down status logs doctor demo test browser bench lint contracts format requirements clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  \033[1mmake %-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make the environment .venv from uv.lock (needs Python 3.11 to 3.13, nothing else)

$(STAMP): uv.lock pyproject.toml
	@uv="$$(./.ci/uv)"; python="$$(./.ci/python)"; \
	  echo "Installing into $(VENV) with $$("$$uv" --version), $$("$$python" --version) …"; \
	  "$$uv" sync --frozen --compile-bytecode --quiet --python "$$python"
	@touch $@

up: install ## Start all services of this machine and wait until they answer
	@$(MLFORGE) up

down: ## Stop all services, whatever state they are in; data stay
	@if [ -x $(MLFORGE) ]; then $(MLFORGE) down; else echo "Nothing is installed, so nothing runs."; fi

status: install ## Show the services, their memory and addresses
	@$(MLFORGE) status

logs: install ## Show the end of a service's log: make logs ARGS="mlflow -f"
	@$(MLFORGE) logs $(ARGS)

doctor: install ## Check everything that could keep the services from starting
	@$(MLFORGE) doctor

demo: install ## The whole chain on real flights, from nothing to a prediction over HTTP
	@$(MLFORGE) demo $(ARGS)

test: install browser ## Run every test: make test ARGS="tests/unit -k contract"
	@$(BIN)/pytest $(ARGS)

browser: # Chromium for the end-to-end tests
	@./.ci/browser

bench: install ## Measure what has to be fast
	@$(BIN)/python benchmarks/run.py $(ARGS)

lint: install contracts ## Check style, types, layers, contracts, and that requirements.txt is uv.lock's export
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports >/dev/null || { $(BIN)/lint-imports; exit 1; }
	@$$(./.ci/uv) lock --check --quiet
	@$$(./.ci/uv) export $(EXPORT) | diff --brief - requirements.txt >/dev/null \
	  || { echo "requirements.txt is not uv.lock's export → run \`make requirements\`"; exit 1; }

contracts: install ## Refuse contracts that changed more than their version says: make contracts BASE=main
	@./.ci/contracts

EXPORT := --frozen --no-dev --no-emit-project --no-header --quiet

requirements: install ## Export requirements.txt from uv.lock
	@$$(./.ci/uv) export $(EXPORT) --output-file requirements.txt >/dev/null

format: install ## Put the code into its form
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format --quiet

clean: down ## Stop everything and remove environment and data
	@rm -rf $(VENV) $(TOOLS) .mlforge
