"""Rules for tests that a run of them holds them to.

`make quick` leaves out what is marked `cluster` or `slow`. It stays quick because a test without these marks
can start no Python, and because no test can wait in real time where it believes to have a virtual clock.
"""

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import PurePath

import pytest

CLOCKS = {"autojump_clock", "loopback_clock", "mock_clock"}
NETWORK = {"node", "up"}
"""The commands of `atoll` that start nodes."""

_running: list[pytest.Item] = []


class Unmarked(AssertionError):
    """A test does what none of its marks says."""


def runs_in_real_time(arguments: Collection[str], fixtures: Collection[str]) -> bool:
    """True if a test's fixtures ask for a virtual clock, and the test does not.

    pytest-trio takes the clock from the test's own `arguments`. It does not look at its `fixtures`.
    """
    return bool(CLOCKS & set(fixtures)) and not CLOCKS & set(arguments)


def marks_for(command: Sequence[str]) -> frozenset[str]:
    """The marks of which a test needs one to start `command`; empty if it is no Python."""
    words = [PurePath(word).name for word in command]
    if not words or not (words[0].startswith("python") or words[0] == "atoll"):
        return frozenset()
    called = {after for word, after in pairwise(words) if word in ("node", "atoll")}
    if called & NETWORK or "node.testing.launcher" in words:
        return frozenset({"cluster"})
    return frozenset({"cluster", "slow"})


@contextmanager
def watched(item: pytest.Item) -> Iterator[None]:
    """While it lasts, `item` is refused every process that its marks do not allow."""
    _running.append(item)
    try:
        yield
    finally:
        _running.pop()


def _hook(event: str, arguments: tuple[Sequence[str | bytes | os.PathLike[str]], ...]) -> None:
    if event == "subprocess.Popen":
        command = [os.fsdecode(word) for word in arguments[1]]
    elif event == "os.fork":
        command = ["python"]
    else:
        return
    if _running:
        item, marks = _running[-1], marks_for(command)
        if marks and not any(item.get_closest_marker(mark) for mark in marks):
            needed = " or ".join(sorted(marks))
            raise Unmarked(f"{item.nodeid} has to be marked {needed}: it starts {command}")


sys.addaudithook(_hook)
