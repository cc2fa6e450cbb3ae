# What there is to do here: make help
.DEFAULT_GOAL := help
.PHONY: help env run test bench lint docs lock

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1@\2/p' $(MAKEFILE_LIST) | while IFS=@ read -r name text; do \
		printf '  %-12s %s\n' "$$name" "$$text"; done

env: ## Make the Python environment in .venv (PYTHON=/path/to/python3 chooses which)
	@sh deploy/env.sh

run: env ## Start everything, send the sample complaints, stay up until Ctrl-C (ONCE=1: end when they are recorded)
	@.venv/bin/amends up $(if $(ONCE),--once)

test: env ## Run all tests on a real Kafka and PostgreSQL (ARGS= goes to pytest)
	@.venv/bin/python -m pytest $(ARGS)

bench: env ## Measure the speed (PART= one part alone, BENCH_JSON= file for the numbers)
	@.venv/bin/python -m tests.bench $(if $(PART),--part $(PART)) $(if $(BENCH_JSON),--json $(BENCH_JSON))

lint: env ## Check style, types, layers, migrations, and that generated files are fresh
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/squawk services/*/migrations/*.sql shared/postgres/migrations/*.sql
	.venv/bin/python -m shared.contracts.generate --check
	.venv/bin/amends docs --check

docs: env ## Write the generated pages, schemas and API descriptions again
	.venv/bin/python -m shared.contracts.generate
	.venv/bin/amends docs

lock: env ## Choose package versions again, from pyproject.toml, with hashes
	.venv/bin/uv pip compile --universal --generate-hashes --python-version 3.11 --all-extras pyproject.toml \
		-o requirements/all.txt
