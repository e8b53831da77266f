"""Marks and clocks of tests: see tests/support/guards.py."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.guards import Unmarked, marks_for, runs_in_real_time

ROOMS = ("config", "consensus", "engine", "metrics")
"""Rooms of tests that need no EVM."""

COLLECT = """
import sys, pytest
code = pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", *sys.argv[1:]])
loaded = [name for name in sys.modules if name == "eth" or name.startswith("node.execution.evm")]
sys.exit(f"exit code {code}, loaded {loaded}" if code or loaded else 0)
"""


@pytest.mark.parametrize(
    ("command", "marks"),
    [
        (["/usr/bin/git", "status"], set()),
        (["bash", "-c", "python"], set()),
        ([sys.executable, "-c", "pass"], {"slow", "cluster"}),
        ([sys.executable, "-P", "-m", "node", "status"], {"slow", "cluster"}),
        (["/x/.venv/bin/atoll", "--version"], {"slow", "cluster"}),
        (["/x/.venv/bin/atoll", "up", "--detach"], {"cluster"}),
        ([sys.executable, "-P", "-m", "node", "node", "--config", "x"], {"cluster"}),
        ([sys.executable, "-P", "-m", "node.testing.launcher", "x", "1"], {"cluster"}),
    ],
)
def test_the_marks_that_a_process_needs(command: list[str], marks: set[str]) -> None:
    assert marks_for(command) == marks


def test_a_test_without_a_mark_starts_no_python() -> None:
    with pytest.raises(Unmarked, match="cluster or slow"):
        subprocess.run([sys.executable, "-c", "pass"], check=True)


@pytest.mark.slow
def test_one_that_is_slow_starts_no_network() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    with pytest.raises(Unmarked, match="marked cluster"):
        subprocess.run([sys.executable, "-m", "node", "up"], check=True)


def test_a_clock_that_only_a_fixture_asks_for() -> None:
    assert runs_in_real_time(["net"], ["net", "autojump_clock"])
    assert not runs_in_real_time(["net", "autojump_clock"], ["net", "autojump_clock"])
    assert not runs_in_real_time(["net"], ["net"])


@pytest.mark.slow
def test_tests_of_consensus_load_no_evm() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, *(f"tests/unit/{room}" for room in ROOMS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_example_depends_on_the_speed_of_the_machine() -> None:
    """The profile in tests/conftest.py has no deadline, and none is set beside it."""
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check
    tests = Path(__file__).parents[1]
    beside = [
        f"{path.relative_to(tests)}:{node.lineno}"
        for path in tests.rglob("test_*.py")
        if "hypothesis" in (source := path.read_text("utf-8"))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "settings"
        if any(word.arg == "deadline" for word in node.keywords)
    ]
    assert beside == []
