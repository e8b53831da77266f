# Two commands for a fresh clone: `make up` runs a network, `make test` runs the tests.
.PHONY: up quick test nightly containers conformance fuzz fuzz-decoders mutants bench-execution bench-memory check format lock clean help

# Containers often set it: every process would then compile all that it imports, and pytest rewrite all tests anew.
unexport PYTHONDONTWRITEBYTECODE

ATOLL = .venv/bin/atoll
ARGS ?=

help:
	@sed -n 's/^# //p' Makefile

# make up [ARGS="--shards 4"]: set up and start a network in .atoll; Ctrl-C stops it and keeps its data
up:
	@tools/setup.sh runtime
	@$(ATOLL) up $(ARGS)

# make quick [ARGS="-k pool"]: what to run after every change: the checks, and the tests that start nothing, in a minute
quick:
	@tools/setup.sh dev
	@tools/quick.sh $(ARGS)

# make test [ARGS="tests/unit -k pool"]: set up and run the tests
test:
	@tools/setup.sh dev
	@.venv/bin/python -m pytest $(ARGS)

# make nightly [ARGS="mutants decoders"]: what is too long for every change, or these targets of it (ARGS=--list tells)
nightly:
	@tools/setup.sh dev
	@.venv/bin/python tools/nightly.py $(ARGS)

# make containers: build the image and run the network in containers, with faults (needs docker, or root and dockerd)
containers:
	@tools/setup.sh dev
	@ATOLL_COMPOSE=1 .venv/bin/python -m pytest tests/compose $(ARGS)

# make conformance: the public suites alone (ATOLL_STATE_TESTS and ATOLL_OPENRPC name their archives)
conformance:
	@tools/setup.sh dev
	@.venv/bin/python -m pytest tests/conformance $(ARGS)

# make fuzz [ARGS="--transactions 100000 --seed 7"]: random transactions through ours, py-evm and EELS
fuzz:
	@tools/setup.sh dev
	@.venv/bin/python -m tests.conformance.differential $(ARGS)

# make fuzz-decoders [ARGS="--inputs 1000000 --seed 3"]: broken input for every decoder
fuzz-decoders:
	@tools/setup.sh dev
	@.venv/bin/python -m tests.property.decoders $(ARGS)

# make mutants [ARGS="--only heads-for-stake --jobs 2"]: mistakes made on purpose, which the tests have to find
mutants:
	@tools/setup.sh dev
	@.venv/bin/python -m tests.mutants.run $(ARGS)

# make bench-execution [ARGS="--rounds 9"]: blocks and state roots, ours against py-evm and EELS
bench-execution:
	@tools/setup.sh dev
	@.venv/bin/python benchmarks/execution.py $(ARGS)

# make bench-memory [ARGS="--blocks 2000"]: whether memory stays flat over 10,000 blocks
bench-memory:
	@tools/setup.sh dev
	@.venv/bin/python benchmarks/state_memory.py $(ARGS)

# make check: formatting, lint, types, import contracts
check:
	@tools/setup.sh dev
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format:
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

# make lock: resolve the dependencies anew, for every Python that the project takes (needs uv)
lock:
	uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-annotate --no-header pyproject.toml --group build -o locks/runtime.txt
	uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-annotate --no-header pyproject.toml --group build --group dev -o locks/dev.txt

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
