"""Workers of pytest-xdist report a passing test once, and all that went wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.support.brief_reports import BriefReports

def pytest_configure(config):
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(BriefReports())

def pytest_runtest_logreport(report):
    if hasattr(report, "node"):  # where the reports of the workers come together
        with open("reports", "a") as file:
            print(report.when, report.outcome, file=file)
"""
TESTS = """
import pytest

@pytest.fixture
def not_set_up():
    raise ValueError

@pytest.fixture
def not_torn_down():
    yield
    raise ValueError

def test_passes(): pass
def test_fails(): raise ValueError
def test_has_no_fixture(not_set_up): pass
def test_leaves_something(not_torn_down): pass
@pytest.mark.skip
def test_is_skipped(): pass
"""


@pytest.mark.slow
def test_what_is_counted_is_reported(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_each.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "no:cacheprovider"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert sorted((tmp_path / "reports").read_text().splitlines()) == [
        "call failed", "call passed", "call passed", "setup failed", "setup skipped", "teardown failed",
    ], done.stdout  # fmt: skip
    assert "1 failed, 2 passed, 1 skipped, 2 errors" in done.stdout
