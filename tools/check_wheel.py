"""Check that `pip install atoll` gives a user all that the documentation says. Builds the wheel, installs it in
a new environment outside the checkout, and runs the command and the example project's tests there.

    python tools/check_wheel.py               dependencies of the versions in locks/runtime.txt
    python tools/check_wheel.py --newest      whatever the registry has, as for a user of today
    python tools/check_wheel.py -- -n 2 -k faults     arguments for the project's pytest

Needs a compiler and the GMP headers, as an installation does. Exit code 0 if all went well.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "examples" / "pytest_project"
TOOLS = ("pytest-asyncio>=1", "pytest-trio>=0.8", "pytest-xdist>=3")
SECONDS = 1500.0


class Environment:
    """A virtual environment, with nothing of the one we run in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV"))
        }
        subprocess.run([sys.executable, "-m", "venv", directory], check=True, timeout=SECONDS)

    def run(self, program: str, *arguments: str | Path, cwd: Path, code: int = 0) -> str:
        """Run one of its programs and show what it prints, which is returned. SystemExit for another code."""
        command = [str(self.directory / "bin" / program), *map(str, arguments)]
        print(f"$ {program} {' '.join(map(str, arguments))}", flush=True)
        done = subprocess.run(
            command, cwd=cwd, env=self._env, timeout=SECONDS, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        print(done.stdout, flush=True)
        if done.returncode != code:
            raise SystemExit(f"{program}: exit code {done.returncode}, expected {code}")
        return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--newest", action="store_true", help="dependencies of today")
    parser.add_argument("arguments", nargs="*", help="for pytest")
    wanted = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="atoll-wheel-") as name:
        directory = Path(name)
        wheel = build(directory)
        environment = Environment(directory / "venv")
        constraints = [] if wanted.newest else ["--constraint", lock(directory)]
        pip = ["install", "-q", "--disable-pip-version-check", *constraints]
        environment.run("pip", *pip, f"{wheel}[pytest]", *TOOLS, cwd=directory)
        installed = time.monotonic()
        check_command(environment, directory)
        project = directory / "project"
        shutil.copytree(PROJECT, project)
        environment.run("pytest", "-v", *wanted.arguments, cwd=project)
        print(
            f"installed in {installed - began:.0f} s, ran in {time.monotonic() - installed:.0f} s"
        )


def build(directory: Path) -> Path:
    """The wheel, made from the source distribution, as a registry has it."""
    hatch = [sys.executable, "-m", "hatchling", "build"]
    subprocess.run([*hatch, "-t", "sdist", "-d", directory], cwd=ROOT, check=True, timeout=SECONDS)
    (archive,) = directory.glob("atoll-*.tar.gz")
    shutil.unpack_archive(archive, directory, filter="data")
    source = directory / archive.name.removesuffix(".tar.gz")
    subprocess.run(
        [*hatch, "-t", "wheel", "-d", directory], cwd=source, check=True, timeout=SECONDS
    )
    (wheel,) = directory.glob("atoll-*.whl")
    return wheel


def lock(directory: Path) -> Path:
    """The versions of locks/runtime.txt as constraints, which cannot have hashes."""
    pins = re.findall(
        r"^[A-Za-z0-9][^\s\\]*==[^\\\n]*",
        (ROOT / "locks" / "runtime.txt").read_text(),
        re.MULTILINE,
    )
    path = directory / "constraints.txt"
    path.write_text("\n".join(pin.strip() for pin in pins) + "\n")
    return path


def check_command(environment: Environment, directory: Path) -> None:
    """`atoll` is there, is this one, and says what is wrong in one line."""
    where = environment.run("python", "-c", "import node; print(node.__file__)", cwd=directory)
    if str(environment.directory) not in where:
        raise SystemExit("the package that is imported is not the one that was installed")
    environment.run("atoll", "--version", cwd=directory)
    environment.run("atoll", "--help", cwd=directory)
    said = environment.run("atoll", "status", cwd=directory, code=2)
    if "there is no network in" not in said or len(said.splitlines()) != 1:
        raise SystemExit("`atoll status` without a network does not say so in one line")


if __name__ == "__main__":
    main()
