"""Which processes the guard of the cluster tests ends."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster.support.guard import ancestors, guarded, processes_of, runs_ours


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("python -P -m node node --config x", True),
        ("python -m node up --dir x", True),
        ("python -P -m node.testing.launcher x 1", True),
        ("python /x/.venv/bin/atoll up --dir x", True),
        ("/x/bin/atoll up", True),
        ("python -m pytest -m node --basetemp=x/", False),
        ("python /x/bin/pytest -m node --basetemp=x/", False),
        ("make cluster", False),
        ("tee x/log", False),
        ("vim x/atoll", False),
        ("vim atoll", False),
        ("python", False),
    ],
)
def test_who_is_ours(command: str, ours: bool) -> None:
    assert runs_ours(command.split()) is ours


Start = Callable[[Sequence[str]], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a shell that waits, under any name: its arguments are only looked at."""
    (tmp_path / "node").write_text("read forever")
    started = []

    def shell(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            arguments, executable="/bin/sh", stdin=subprocess.PIPE, cwd=tmp_path
        )
        started.append(process)
        return process

    yield shell
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.cluster
def test_nodes_end_and_others_that_name_a_file_there_do_not(tmp_path: Path, start: Start) -> None:
    with guarded(tmp_path):
        node = start(["python", "-m", "node", "node", f"{tmp_path}/node.toml"])
        editor = start(["vim", "node", f"{tmp_path}/log"])
        assert processes_of(tmp_path) == [node.pid]
    assert node.wait() < 0
    assert editor.poll() is None


def test_those_who_started_us_are_spared() -> None:
    parents = ancestors()
    assert {1} < parents or sys.platform != "linux"
