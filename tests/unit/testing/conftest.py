"""Processes that stand for nodes which never answer."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.cluster.processes.pidfile import ProcessId, write_pid_file

SECONDS = 60.0

Enlist = Callable[[Path], ProcessId]


@pytest.fixture
def silent() -> Iterator[Enlist]:
    """Starts a process that does nothing, and names it in a pid file."""
    started = []

    def start(pid_file: Path) -> ProcessId:
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        started.append(process)
        named = ProcessId.of(process.pid)
        assert named is not None
        write_pid_file(pid_file, named)
        return named

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def killed(silent: Enlist) -> Callable[[Path], None]:
    """Leaves the pid file of a process that was killed."""

    def leave(pid_file: Path) -> None:
        process = silent(pid_file)
        process.send(signal.SIGKILL)
        deadline = time.monotonic() + SECONDS
        while process.is_alive:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return leave
