"""Makes the environment that EELS runs in and prints the path of its Python.

    .venv/bin/python -m tests.conformance.differential.eels_env

EELS (https://github.com/ethereum/execution-specs) pins old versions of coincurve and cryptography, so it
cannot share ours. The environment is kept in the user's cache directory and made once per version.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "2.20.0"


def location() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "atoll" / f"eels-{VERSION}"


def python() -> Path:
    """The Python of the environment, made first where it is missing. Raises CalledProcessError."""
    directory = location()
    executable = directory / "bin" / "python"
    done = directory / ".done"
    if not done.exists():
        print(f"installing ethereum-execution {VERSION} into {directory}", file=sys.stderr)
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run(
            [executable, "-m", "pip", "install", "-q", f"ethereum-execution=={VERSION}"],
            check=True,
            stdout=sys.stderr,
        )
        done.touch()
    return executable


if __name__ == "__main__":
    print(python())
