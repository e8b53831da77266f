"""Where the public test suites are: archives named by environment variables, never downloaded."""

import os
import tarfile
from pathlib import Path

import pytest

from tests.conformance.table import ConformanceTable

STATE_TESTS = "ATOLL_STATE_TESTS"
TABLE = pytest.StashKey[ConformanceTable]()


@pytest.fixture
def conformance_table(request: pytest.FixtureRequest) -> ConformanceTable:
    """An empty table, which is printed at the end of the run."""
    table = request.config.stash[TABLE] = ConformanceTable()
    return table


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(TABLE, ConformanceTable()).lines()
    if lines:
        terminalreporter.section("state tests of ethereum/execution-spec-tests")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def state_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the unpacked execution-spec-tests `state_tests`."""
    archive = os.environ.get(STATE_TESTS)
    if not archive:
        pytest.skip(f"{STATE_TESTS} is not set: it names the archive of the state tests (tar.xz)")
    target = tmp_path_factory.mktemp("state_tests")
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "state_tests"
