#!/bin/sh
# Makes .venv from the locked dependencies. Checks the machine first and says what is missing.
# usage: tools/setup.sh runtime|dev|which      (which: only says which Python it takes)
#
# The Python is $PYTHON; without it that of .venv, python3, or the newest of the others that is fit for it.
set -eu
cd "$(dirname "$0")/.."
what=${1:?usage: tools/setup.sh runtime|dev|which}
needed="Python 3.11, 3.12 or 3.13 is needed"

fail() {
    printf 'atoll: error: %s\n' "$1" >&2
    exit 2
}

if [ -n "${PYTHON-}" ]; then
    set -- "$PYTHON"
else
    set -- .venv/bin/python python3 python3.13 python3.12 python3.11
fi
python='' lacks=''
for candidate; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    if said=$("$candidate" tools/usable_python.py 2>&1); then
        python=$candidate
        break
    fi
    # What is wrong with the first is what a user wants to know; a shim of pyenv that leads nowhere says it in many lines.
    [ -n "$lacks" ] || lacks=$(printf '%s\n' "$said" | sed -n 1p)
done
[ -n "$python" ] || fail "${lacks:-no Python was found}; $needed: install one, or set PYTHON to its path"
version=$("$python" --version 2>&1)
if [ "$what" = which ]; then
    printf '%s: %s\n' "$(command -v "$python")" "$version"
    exit 0
fi

lock=locks/$what.txt
stamp() { printf '%s-%s' "$(cat "locks/$1.txt" pyproject.toml | cksum)" "$version"; }
is_set_up() { [ -f ".venv/.atoll-$1" ] && [ "$(cat ".venv/.atoll-$1")" = "$(stamp "$1")" ]; }
# What the tests need includes what running needs.
if is_set_up "$what" || is_set_up dev; then exit 0; fi

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
# blake2b-py, which py-evm needs, is written in Rust and has wheels for these two alone.
machine="$(uname -s) $(uname -m)"
case $machine in
"Linux x86_64" | "Darwin arm64") ;;
*) command -v cargo >/dev/null 2>&1 ||
    fail "cargo is missing: on $machine one of py-evm's dependencies is compiled with Rust
  Debian and Ubuntu: apt-get install cargo     Fedora: dnf install cargo     macOS: brew install rust" ;;
esac

# An environment of another Python, or a broken one, is made anew.
[ "$(.venv/bin/python --version 2>&1)" = "$version" ] || "$python" -m venv --clear .venv
printf 'atoll: installing locked dependencies into .venv, with %s (about a minute)\n' "$version" >&2
.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
stamp "$what" >".venv/.atoll-$what"
