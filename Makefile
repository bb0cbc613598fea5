# One command for everything a person does with this tree; each prepares what it needs.

PYTEST = .venv/bin/python -m pytest
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' pyproject.toml

.PHONY: help setup run demo test check format bench accuracy reference lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z ]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: .venv/dev.stamp  ## prepare .venv with everything, pinned by the lock files

run demo: .venv/run.stamp  ## a server with a simulated fleet in Taipei; prints links to open
	@.venv/bin/tracker demo $(ARGS)

test: .venv/dev.stamp  ## all tests; ARGS='-k fences' for some
	@scripts/debian.sh postgresql-postgis redis-server chromium libatomic1 node-react-dom
	@$(PYTEST) $(ARGS)

check: .venv/dev.stamp  ## formatting, lint, types, import contracts
	.venv/bin/ruff format --check --output-format concise .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

format: .venv/dev.stamp  ## format and fix what can be fixed
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/bench.stamp  ## measure, and fail where a ratio fell; ARGS='-k fences' for some, '-k guard --record' to record
	@scripts/debian.sh postgresql-postgis redis-server
	@$(PYTEST) benchmarks -o python_files='bench_*.py' -o python_functions='bench_* test_*' --benchmark-only --benchmark-sort=fullname \
		--benchmark-columns=min,median,ops,rounds $(ARGS)

accuracy: .venv/dev.stamp  ## errors against truth; ARGS='fences' for some
	@.venv/bin/python -m benchmarks.accuracy $(ARGS)

reference: .venv/dev.stamp  ## write docs/reference.md from the code
	.venv/bin/python -m scripts.reference

lock: .venv/dev.stamp  ## pin the newest versions that pyproject.toml allows
	$(COMPILE) --upgrade --group build --output-file requirements.lock
	$(COMPILE) --upgrade --group dev --constraints requirements.lock --output-file requirements-dev.lock
	$(COMPILE) --upgrade --group bench --constraints requirements-dev.lock --output-file requirements-bench.lock

clean:  ## remove .venv and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks

.venv/run.stamp: requirements.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh requirements.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh requirements-dev.lock
	@touch .venv/run.stamp $@

.venv/bench.stamp: requirements-bench.lock .venv/dev.stamp
	@scripts/setup.sh requirements-bench.lock
	@touch .venv/run.stamp .venv/dev.stamp $@
