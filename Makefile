# Every target prepares `.venv` itself; `make setup` does only that. PYTHON=... chooses the interpreter.
.DEFAULT_GOAL := help
.PHONY: help setup ask test check lock clean

# The question travels through the environment as it was typed: never expanded by make, never read by a shell.
export BORING_ASK_QUESTION := $(value Q)
unexport Q
export PYTHON

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

setup: ## prepare .venv (Python 3.11 to 3.13 and pip are enough)
	@.ci/setup.sh

ask: setup ## answer a question: make ask Q="What is 17 * 23?"
	@[ -n "$$BORING_ASK_QUESTION" ] || { echo 'Ask something: make ask Q="What is 17 * 23?"' >&2; exit 2; }
	@.venv/bin/boring ask --index docs -- "$$BORING_ASK_QUESTION"

test: setup ## run the tests
	@.ci/check.sh tests

check: setup ## run everything a change has to pass: lint, types, floors, tests
	@.ci/check.sh

lock: setup ## resolve the dependencies anew; UPGRADE=1 takes newer versions
	@.ci/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## remove what setup and tools made; data and models stay
	@rm -rf .venv .tools build dist ./*.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
