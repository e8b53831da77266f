"""Programs of JavaScript as they are published, installed from a lock file, and their own tests."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SWITCH = "ATOLL_CLIENTS"
INSTALL_SECONDS = 300
SCRIPT_SECONDS = 240


def install(source: Path, directory: Path, what: str) -> Path:
    """`source` with what its `package-lock.json` names, in `directory`; skips the test if not asked for."""
    if not os.environ.get(SWITCH):
        pytest.skip(
            f"{SWITCH} is not set: these tests install the clients of other languages with npm; "
            f"NOTHING WAS CHECKED with {what}"
        )
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed: {SWITCH} asks for the clients that need it")
    shutil.copytree(
        source, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    # Not `npm ci`: it wants every platform's optional programs in the lock file, not those of this one.
    done = subprocess.run(
        ["npm", "install", "--no-save", "--no-audit", "--no-fund"],
        cwd=directory,
        check=False,
        timeout=INSTALL_SECONDS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return directory


def run(directory: Path, *command: str, cwd: str = ".", env: dict[str, str] | None = None) -> str:
    """What a client printed; fails the test with all of it if the client fails."""
    program = directory / "node_modules" / ".bin" / command[0]
    done = subprocess.run(
        [str(program) if program.exists() else command[0], *command[1:]],
        cwd=directory / cwd,
        env={**os.environ, "NO_COLOR": "1", "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=SCRIPT_SECONDS,
        check=False,
    )
    # Foundry's launchers end with 0 whatever the program did.
    if done.returncode != 0 or "Error:" in done.stderr:
        pytest.fail(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def run_tests(directory: Path, script: str, scene: Path, least: int) -> None:
    """Run the tests of a script; at least so many have to be there, and all of them pass."""
    report = run(
        directory,
        "node",
        "--test",
        "--test-reporter=tap",
        f"{script}.test.mjs",
        env={"ATOLL_SCENE": str(scene)},
    )
    counts = dict(
        line[2:].split()
        for line in report.splitlines()
        if line.startswith("# ") and len(line.split()) == 3
    )
    print(f"{script}: {counts['pass']} of {counts['tests']} tests pass")
    assert int(counts["tests"]) == int(counts["pass"]) >= least, report
