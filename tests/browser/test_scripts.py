"""The dashboard's scripts under node: all of them parse, and those without a page are tested on their own."""

import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from node import dashboard

NODE = shutil.which("node")
OLDEST = (20, 19)  # the first that takes a .js file for the module it is
STATIC = Path(str(files(dashboard).joinpath("static")))
TESTS = sorted((Path(__file__).parent / "scripts").glob("*.test.mjs"))


@pytest.fixture(scope="module")
def node() -> str:
    if NODE is None:
        pytest.skip("node is not installed: the dashboard's scripts are NOT tested on their own")
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        pytest.skip(f"node {version.strip()} is too old to run the dashboard's scripts")
    return NODE


@pytest.mark.parametrize("file", sorted(STATIC.glob("*.js")), ids=lambda file: file.name)
def test_every_script_parses(node: str, file: Path) -> None:
    done = subprocess.run([node, "--check", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_scripts_without_a_page(node: str, file: Path) -> None:
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", file],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "DASHBOARD": str(STATIC)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed is not None
    assert int(passed[1]) == file.read_text().count("\ntest(")
