"""Holding processes: all are stopped inside, and all go on whatever becomes of the one who holds them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.cluster.dumps.pause import held
from node.cluster.errors import NetworkFailed
from node.cluster.processes.pidfile import ProcessId

pytestmark = pytest.mark.slow

BUSY = """
import os, threading, time
os.nice(19)  # two of them must not keep the test from its turn
parent = os.getppid()
threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)], daemon=True).start()
print("ready", flush=True)
while os.getppid() == parent: pass  # nor stay when it is gone
"""


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


@pytest.fixture
def processes() -> Iterator[list[ProcessId]]:
    with ExitStack() as stack:
        named = []
        for _ in range(2):
            command = [sys.executable, "-c", BUSY]
            child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            process = ProcessId.of(child.pid)
            assert process is not None
            named.append(process)
        yield named


def states(process: ProcessId) -> set[str]:
    """Of all its threads."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks}


def goes_on(process: ProcessId) -> bool:
    return "T" not in states(process)


def test_all_threads_of_all_are_stopped(processes: list[ProcessId]) -> None:
    with held(processes):
        assert [states(process) for process in processes] == [{"T"}, {"T"}]
    until(lambda: all(map(goes_on, processes)))
    with held([]):
        pass


def test_they_go_on_after_an_error(processes: list[ProcessId]) -> None:
    with pytest.raises(ZeroDivisionError), held(processes):
        raise ZeroDivisionError
    until(lambda: all(map(goes_on, processes)))


def test_they_go_on_when_the_holder_is_killed(processes: list[ProcessId]) -> None:
    holder = os.fork()
    if holder == 0:
        try:
            with held(processes):
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(holder, 0)[1]) == -signal.SIGKILL
    until(lambda: all(map(goes_on, processes)))


def test_one_that_is_stopped_already_stays_so(processes: list[ProcessId]) -> None:
    processes[0].send(signal.SIGSTOP)
    until(lambda: states(processes[0]) == {"T"})
    with held(processes):
        assert [states(process) for process in processes] == [{"T"}, {"T"}]
    until(lambda: goes_on(processes[1]))
    assert states(processes[0]) == {"T"}


def test_one_that_goes_on_meanwhile(processes: list[ProcessId]) -> None:
    def hold() -> None:
        with held(processes):
            processes[0].send(signal.SIGCONT)
            until(lambda: goes_on(processes[0]))

    with pytest.raises(NetworkFailed, match="resumed by another program"):
        hold()


def test_one_that_ends_meanwhile(processes: list[ProcessId]) -> None:
    def hold() -> None:
        with held(processes):
            processes[0].send(signal.SIGKILL)
            until(lambda: not processes[0].is_alive)

    with pytest.raises(NetworkFailed, match="ended meanwhile"):
        hold()
    until(lambda: goes_on(processes[1]))
