"""Make mistakes on purpose, one after the other, and see that the tests find each of them.

    make mutants                                    all of them
    python -m tests.mutants.run --list              what there is, and who has to find it
    python -m tests.mutants.run --only heads-for-stake
    python -m tests.mutants.run --clean             that the suites find nothing where nothing is wrong

Each is a small change of the source in a copy of the tree (`consensus.py`, `host.py`, ... beside this), and the
tests that must fail for it; those that the simulation makes in its own process are run by it. A mistake
that is not found within ten minutes is a hole in the tests: the exit code is 1 then, and a test is to be
written.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.catalogue import IN_PROCESS, MISTAKES
from tests.mutants.mistake import ROOT, InProcess, Mistake

LIMIT = 600.0
"""Seconds within which each has to be found."""
COPIED = (
    "consensus",
    "contracts",
    "docker",
    "docs",
    "examples",
    "node",
    "p2p",
    "rpc",
    "tests",
    "tools",
)
FAILED, BROKEN = 1, 2
"""Exit codes of pytest: tests failed; it could not run them."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one: `by` names the test or the seed that found it, None if nobody did."""

    name: str
    area: str
    by: str | None
    seconds: float
    why: str = ""


class Copies:
    """Copies of the tree, one for each mistake that is tried at a time."""

    def __init__(self, directory: Path, count: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._writes = time.time()
        for number in range(count):
            self._free.put(_copy(directory / str(number)))

    def try_out(self, mistake: Mistake) -> Result:
        """Make a mistake in a free copy, run its suite, and put the copy in order again."""
        root = self._free.get()
        path = root / mistake.file
        started = time.monotonic()
        try:
            before = mistake.apply(root)
            self._touch(path)
            try:
                code, output = _pytest(root, mistake.suite)
            finally:
                path.write_text(before)
                self._touch(path)
        finally:
            self._free.put(root)
        by = _who_failed(output) if code == FAILED else None
        why = (
            "" if by else {0: "all passed", -1: "no end within the limit"}.get(code, output[-400:])
        )
        return Result(mistake.name, mistake.area, by, time.monotonic() - started, why)

    def clean(self, suite: tuple[str, ...]) -> bool:
        """Whether a suite passes where nothing is wrong."""
        root = self._free.get()
        try:
            code, output = _pytest(root, suite)
        finally:
            self._free.put(root)
        if code:
            print(f"{' '.join(suite)} fails without any mistake:\n{output[-2000:]}")
        return code == 0

    def _touch(self, path: Path) -> None:
        """Compiled files are told apart by seconds and size: no two versions of one may share both."""
        self._writes += 2
        os.utime(path, (self._writes, self._writes))


def _copy(to: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", "images")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, to / path.name)
    return to


def _pytest(root: Path, suite: Iterable[str]) -> tuple[int, str]:
    """(exit code, output); -1 for one that does not end."""
    options = ("-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider")
    return _run((sys.executable, "-m", "pytest", *options, *suite), root)


def _run(command: tuple[str, ...], root: Path) -> tuple[int, str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(root / ".h"),
    }
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return -1, ""
    return process.returncode, output


def _who_failed(output: str) -> str:
    """The first test that failed, without its directories."""
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0].split(maxsplit=1)[1].split("/")[-1] if lines else "a failure"


def in_process(mistake: InProcess) -> Result:
    """Let the simulation make it."""
    started = time.monotonic()
    code, output = _run((sys.executable, "-m", "tests.simulation.run", *mistake.arguments), ROOT)
    found = [line for line in output.splitlines() if line.startswith("violation of")]
    by = found[0].removeprefix("violation of ") if code == 1 and found else None
    why = "" if by else output[-400:]
    return Result(mistake.name, mistake.area, by, time.monotonic() - started, why)


def chosen(names: list[str] | None) -> tuple[list[Mistake], list[InProcess]]:
    """Those named, or all."""
    known = {m.name for m in (*MISTAKES, *IN_PROCESS)}
    unknown = set(names or ()) - known
    if unknown:
        raise SystemExit(f"there is no mistake {', '.join(sorted(unknown))}; --list shows them")
    return (
        [m for m in MISTAKES if names is None or m.name in names],
        [m for m in IN_PROCESS if names is None or m.name in names],
    )


def run_all(files: list[Mistake], others: list[InProcess], jobs: int) -> list[Result]:
    """Try all, some at a time, and say of each what came of it."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, ThreadPoolExecutor(jobs) as pool:
        copies = Copies(Path(name), min(jobs, len(files)))
        waiting = [pool.submit(copies.try_out, mistake) for mistake in files]
        waiting += [pool.submit(in_process, mistake) for mistake in others]
        print(f"{'mistake':42} {'in':18} {'seconds':>7}  found by", flush=True)
        for result in (future.result() for future in waiting):
            results.append(result)
            by = result.by or f"NOBODY ({result.why})"
            print(f"{result.name:42} {result.area:18} {result.seconds:7.1f}  {by}", flush=True)
    return results


def check_clean(files: list[Mistake], jobs: int) -> bool:
    """Whether the suites pass in a tree without mistakes."""
    suites = sorted({argument for mistake in files for argument in mistake.suite})
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        copies = Copies(Path(name), 1)
        failed = [suite for suite in suites if not copies.clean((suite,))]
        return not failed


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="this one; can be repeated")
    parser.add_argument("--area", metavar="NAME", help="those of one area (see --list)")
    parser.add_argument("--jobs", type=int, default=1, help="at a time (default 1)")
    parser.add_argument("--list", action="store_true", help="show them, and make none")
    parser.add_argument("--clean", action="store_true", help="run the suites without a mistake")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error("--jobs is at least 1")
    files, others = chosen(options.only)
    if options.area is not None:
        files = [m for m in files if m.area == options.area]
        others = [m for m in others if m.area == options.area]
    if options.list:
        for mistake in files:
            print(f"{mistake.name:42} {mistake.file:34} {' '.join(mistake.suite)}")
        for other in others:
            print(f"{other.name:42} {other.area:34} {' '.join(other.arguments)}")
        return 0
    if options.clean:
        return 0 if check_clean(files, options.jobs) else 1
    results = run_all(files, others, options.jobs)
    missed = [result.name for result in results if result.by is None]
    print(f"{len(results) - len(missed)} of {len(results)} deliberate mistakes found")
    if missed:
        print(f"not found: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
