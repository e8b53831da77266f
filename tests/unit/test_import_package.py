"""The package `atoll` is what the documentation has users import, and it is on the path with nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from atoll import faults, testing

import node.testing
from node.cluster.faults.injection import Faults

ROOT = Path(__file__).parents[2]


def test_its_names_are_those_of_the_packages_behind_it() -> None:
    assert set(testing.__all__) == set(node.testing.__all__)
    for name in testing.__all__:
        assert getattr(testing, name) is getattr(node.testing, name)
    assert faults.Faults is Faults


@pytest.mark.slow
def test_from_anywhere_it_is_found_and_no_room_of_ours_is(tmp_path) -> None:
    """`import storage` of somebody else's program must never find ours."""
    names = ("view", "chains", "query", "engine", "light", "wire", "telemetry")
    code = f"""
import atoll.testing, importlib.util
found = [name for name in {names} if importlib.util.find_spec(name)]
assert not found, found
"""
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_nothing_but_it_is_in_the_folder_that_is_on_the_path() -> None:
    assert [
        path.name for path in (ROOT / "node" / "public").iterdir() if path.name != "__pycache__"
    ] == ["atoll"]
