# Everything a newcomer needs is `make run` and `make test`; both set up .venv by themselves.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# --no-compile: bytecode of what is really imported is made at first use, a fifth of the set. Images
# often forbid that; each process would then compile torch and transformers anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# -qq: errors alone. A new pip warns of every package that one of several registries lacks.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -c constraints.txt

.PHONY: help run test pythons check docs bench drill plan clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/run.done ## the main job: the whole pipeline on the defaults, to the report
	$(BIN)/repo-pipeline run

plan: .venv/run.done ## what `make run` would do to each stage, and why
	$(BIN)/repo-pipeline plan

test: .venv/dev.done ## all tests, in three processes
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

pythons: .venv/dev.done ## the tests that need no heavy library, on Python 3.12 and 3.13 where they are
	$(BIN)/python -m tests.pythons

check: .venv/dev.done ## lint, format, types, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell -D - -D docs/banned.txt
	$(BIN)/mkdocs build --strict -q

docs: .venv/dev.done ## the documentation as a site, in build/site
	$(BIN)/mkdocs build --strict

bench: .venv/dev.done ## benchmarks, each a side-by-side ratio; kept in benchmarks/results
	for script in $(filter-out benchmarks/kill_% benchmarks/record.py benchmarks/checkouts.py,$(wildcard benchmarks/*.py)); do \
	    $(BIN)/python benchmarks/record.py $$script || exit 1; done

drill: .venv/dev.done ## kills from a seed, full disks, dead servers, two nodes: everything marked stress
	$(BIN)/python -m pytest -m stress

clean: ## remove the environment and the caches; data, models, results and runs/ stay
	rm -rf .venv .venv-3.* build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A new pip resolves this set in a third of the time of the one that Python 3.11 brings (14 CPU seconds, not 42).
.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(INSTALL) --upgrade pip || echo "pip stays the one that Python brought; it works, and takes longer"

.venv/run.done: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) -e '.[pipeline]'
	touch $@

.venv/dev.done: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) -e '.[pipeline,dev]'
	touch .venv/run.done $@
