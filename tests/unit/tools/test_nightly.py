"""The nightly targets are those that CONTRIBUTING lists, and each names what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def listed() -> list[tuple[str, str]]:
    done = subprocess.run(
        [sys.executable, "tools/nightly.py", "--list"],
        cwd=ROOT, check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return [
        (line.split()[0], command) for line, command in zip(lines[::2], lines[1::2], strict=True)
    ]


def test_the_page_lists_the_targets() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = page[page.index("| target | what |") :].split("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.M) == [name for name, _ in listed()]


@pytest.mark.parametrize(("name", "command"), listed())
def test_a_target_runs_what_there_is(name: str, command: str) -> None:
    files = re.findall(r"(?:tests|tools|benchmarks)/[\w/]+(?:\.py)?", command)
    modules = [module.replace(".", "/") for module in re.findall(r"-m (tests[\w.]+)", command)]
    assert files or modules
    for place in files:
        assert (ROOT / place).exists()
    for place in modules:
        assert (ROOT / f"{place}.py").exists() or (ROOT / place / "__main__.py").exists()


def test_an_unknown_target_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "tools/nightly.py", "mutnats"],
        cwd=ROOT, check=False, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no target mutnats; --list prints them" in done.stderr
