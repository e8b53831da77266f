"""Signals as something to wait for, in a program without an event loop."""

import os
import select
import signal
from types import FrameType
from typing import Any, Self

from node.cluster.processes.pidfile import ProcessId

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While it is entered, SIGINT, SIGTERM and SIGHUP are counted instead of ending the program.

    So is the end of `parent`, if it is given. `wait` also returns when a child ends. To be used from the main
    thread.
    """

    def __init__(self, parent: ProcessId | None = None) -> None:
        self.count = 0
        """Number of stops asked for so far: a second Ctrl-C means that the user is in a hurry."""
        self._parent = parent
        self._before: dict[signal.Signals, Any] = {}
        self._wake = (-1, -1)

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes, at most `seconds`."""
        ready, _, _ = select.select([self._wake[0]], [], [], seconds)
        if ready:
            os.read(self._wake[0], 4096)
        if self._parent is not None and not self._parent.is_alive:
            self._parent = None
            self.count += 1

    def __enter__(self) -> Self:
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for end in self._wake:
            os.close(end)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.count += 1
        try:
            os.write(self._wake[1], b"\0")
        except BlockingIOError:
            pass  # the pipe is full of reasons to wake up
