"""pytest loads the plugin in every project of an environment that has Atoll, so that it must cost nothing."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

LOADED = """
import sys, pytest
before = set(sys.modules)
import node.testing.plugin
print(*sorted(name.split(".")[0] for name in set(sys.modules) - before))
"""


@pytest.mark.slow
def test_only_the_standard_library_and_pytest_are_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"node"}


def test_pytest_finds_it() -> None:
    (found,) = entry_points(group="pytest11", name="atoll")
    assert found.value == "node.testing.plugin"
