#!/bin/sh
# Makes .venv from the locked dependencies. Checks the machine first and says what is missing.
# usage: tools/setup.sh runtime|dev
set -eu
cd "$(dirname "$0")/.."
lock="locks/${1:?usage: tools/setup.sh runtime|dev}.txt"

fail() {
    printf 'atoll: error: %s\n' "$1" >&2
    exit 2
}

python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || fail "no $python found: install Python 3.11 or newer, or set PYTHON to it"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old: Python 3.11 or newer is needed (set PYTHON to its path)"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python lacks venv: install it (Debian and Ubuntu: apt-get install python3-venv)"

stamp=.venv/.atoll-$1
want=$(cat "$lock" pyproject.toml | cksum)-$("$python" --version 2>&1)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0
# What the tests need includes what running needs.
[ "$1" = runtime ] && [ -f .venv/.atoll-dev ] && [ "$(cat .venv/.atoll-dev)" = "$(cat locks/dev.txt pyproject.toml | cksum)-$("$python" --version 2>&1)" ] && exit 0

# fastecdsa, which libp2p needs, has no wheel: it is compiled against GMP and the Python headers.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}
command -v "$cc" >/dev/null 2>&1 ||
    fail "no C compiler ($cc) found: one of libp2p's dependencies is compiled on this machine
  Debian and Ubuntu: apt-get install gcc libgmp-dev python3-dev     Fedora: dnf install gcc gmp-devel python3-devel
  macOS: xcode-select --install && brew install gmp"
printf '#include <gmp.h>\nint main(void) { mpz_t n; mpz_init(n); return 0; }\n' >"$work/gmp.c"
"$cc" "$work/gmp.c" -lgmp -o "$work/gmp" 2>"$work/log" ||
    fail "the GMP headers are missing: one of libp2p's dependencies is compiled against them
  Debian and Ubuntu: apt-get install libgmp-dev     Fedora: dnf install gmp-devel     macOS: brew install gmp"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$include/Python.h" ] ||
    fail "the headers of $python are missing ($include/Python.h)
  Debian and Ubuntu: apt-get install python3-dev     Fedora: dnf install python3-devel"

[ -x .venv/bin/python ] || "$python" -m venv .venv
printf 'atoll: installing locked dependencies into .venv (about a minute)\n' >&2
.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s' "$want" >"$stamp"
