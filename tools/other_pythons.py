"""Run the tests of `make quick` and one network with other Pythons, each in a clone of what is committed.

    python tools/other_pythons.py python3.12 python3.13

A Python that is not there is passed over, loudly. Exit code 0 if all that are there passed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 1800.0
NETWORK = "tests/cluster/test_quickstart.py"


def found(name: str) -> str | None:
    """The path of a Python that starts: the one on PATH, else (a shim may lead nowhere) pyenv's newest."""
    path = shutil.which(name)
    if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
        return path
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    versions = root.glob(f"versions/{name.removeprefix('python')}.*/bin/python")
    newest = max(versions, key=lambda path: int(path.parts[-3].rpartition(".")[2]), default=None)
    return None if newest is None else str(newest)


def check(python: str, directory: Path) -> int:
    """Clone, set up, run; return the exit code of what failed first."""
    clone = directory / "clone"
    env = {**os.environ, "PYTHON": python, "ATOLL_CHECKS": "0"}
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True, timeout=SECONDS)
    for command in (["make", "quick"], ["make", "test", f"ARGS=-q {NETWORK}"]):
        print(f"$ PYTHON={python} {' '.join(command)}", flush=True)
        code = subprocess.run(command, cwd=clone, env=env, timeout=SECONDS, check=False).returncode
        if code:
            return code
    return 0


def main(names: list[str]) -> int:
    failed = []
    for name in names:
        python = found(name)
        if python is None:
            print(f"{name} is not here: NOT run")
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="atoll-python-") as directory:
            if check(python, Path(directory)):
                failed.append(name)
        print(
            f"{name}: {'failed' if name in failed else 'passed'}, {time.monotonic() - began:.0f} s"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
