"""Holding all processes of a network at once, to look at it as it is at one instant.

SIGSTOP ends no system call half done: what a stopped process leaves on disk is what SIGKILL would leave. They
resume even if the holder is killed: a child that only waits for the holder's end sends SIGCONT then.
"""

import gc
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from node.cluster.errors import NetworkFailed
from node.cluster.processes.pidfile import ProcessId

STOP_DEADLINE = 10.0
POLL_INTERVAL = 0.001


@contextmanager
def held(processes: Sequence[ProcessId]) -> Iterator[None]:
    """All of them are stopped inside, and go on after it.

    Raises NetworkFailed if one of them ended, or went on meanwhile: then what was seen is of no instant.
    """
    # A process that was stopped by another program stays so.
    ours = [process for process in processes if not process.is_stopped]
    if not ours:
        yield
        return
    guard = _Guard(ours)
    try:
        for process in ours:
            process.send(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_DEADLINE
        while not all(process.is_stopped for process in processes):
            _check_alive(processes)
            if time.monotonic() > deadline:
                raise NetworkFailed(
                    "a node did not stop: the operating system holds it, probably at the disk"
                )
            time.sleep(POLL_INTERVAL)
        yield
        _check_alive(processes)
        if not all(process.is_stopped for process in processes):
            raise NetworkFailed("a paused node was resumed by another program; try again")
    finally:
        for process in ours:
            process.send(signal.SIGCONT)
        guard.dismiss()


def _check_alive(processes: Sequence[ProcessId]) -> None:
    for process in processes:
        if not process.is_alive:
            raise NetworkFailed(f"the process {process.pid} of a node ended meanwhile; try again")


class _Guard:
    """A child that resumes the processes when we end in whatever way, SIGKILL included."""

    def __init__(self, processes: Sequence[ProcessId]) -> None:
        ours, self._end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                # A collection here would finalize what the parent has, which may wait for its threads.
                gc.disable()
                os.setsid()  # a terminal's Ctrl-C is not for it
                os.close(self._end)
                os.read(ours, 1)  # nothing is ever written: it returns when the other end is gone
                for process in processes:
                    process.send(signal.SIGCONT)
            finally:
                os._exit(0)
        os.close(ours)

    def dismiss(self) -> None:
        os.close(self._end)
        os.waitpid(self._pid, 0)
