"""Where the public test suites are: archives named by environment variables, never downloaded."""

import os
import tarfile
from pathlib import Path

import pytest

STATE_TESTS = "ATOLL_STATE_TESTS"


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
