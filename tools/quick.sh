#!/bin/sh
# The checks and the tests without networks, in parallel. What is marked slow, and nine of ten examples of the property
# tests, are left to `make test`.
# usage: tools/quick.sh [ARGUMENTS OF PYTEST]
#
# ATOLL_CHECKS=0 leaves the checks out: what they say does not depend on the Python that runs them.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
log=$(mktemp)
# No fsync of a test needs a disk: what they write is in memory, where there is much of it.
scratch=$(mktemp -d)
if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print ($4 > 1000000) }')" = 1 ]; then
    rmdir "$scratch"
    scratch=$(mktemp -d /dev/shm/atoll-quick.XXXXXX)
fi
trap 'rm -rf "$log" "$scratch"' EXIT
trap 'exit 130' INT TERM # or the line above is not run

# One core is for them as long as they last, which is shorter than the tests.
checks() {
    [ "${ATOLL_CHECKS:-1}" = 0 ] && return
    $bin/ruff format --check -q . && $bin/ruff check -q . && $bin/mypy && $bin/lint-imports
}
checks >"$log" 2>&1 &
code=0
TMPDIR=$scratch ATOLL_EXAMPLES=${ATOLL_EXAMPLES:-0.1} $bin/python -m pytest -q -n auto --dist worksteal \
    -m "not cluster and not slow" tests/unit tests/property "$@" || code=$?
wait $! || {
    code=1
    cat "$log"
}
exit "$code"
