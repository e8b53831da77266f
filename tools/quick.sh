#!/bin/sh
# The checks and the tests without networks, in parallel. What is marked slow, and nine of ten examples of the property
# tests, are left to `make test`.
# usage: tools/quick.sh [ARGUMENTS OF PYTEST]
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# One core is for them as long as they last, which is shorter than the tests.
checks() {
    $bin/ruff format --check -q . && $bin/ruff check -q . && $bin/mypy && $bin/lint-imports
}
checks >"$log" 2>&1 &
code=0
ATOLL_EXAMPLES=${ATOLL_EXAMPLES:-0.1} $bin/python -m pytest -q -n auto --dist worksteal \
    -m "not cluster and not slow" tests/unit tests/property "$@" || code=$?
wait $! || {
    code=1
    cat "$log"
}
exit "$code"
