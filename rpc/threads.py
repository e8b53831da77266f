"""Work beside the event loop: whatever a client can make long.

Others go on meanwhile: a thread gives the interpreter up every now and then, a task on the event loop does not.
What costs less than the way to a thread and back (some 100 µs) is done at once.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import trio

from rpc.caller import CALLER
from rpc.turns import Turns

T = TypeVar("T")
V = TypeVar("V")

FEW = 32
"""Values that are worked on at once."""
SMALL = 16 * 1024
"""Bytes that are decoded at once."""

# A mapping, since the stubs that libp2p brings along are of a trio that did not know the word.
_ABANDON: dict[str, Any] = {"abandon_on_cancel": True}


class Threads:
    """At most `width` threads at a time, for users in turn. A caller that gives up leaves its thread to
    finish alone."""

    def __init__(self, width: int) -> None:
        self._turns: Any = Turns(width, CALLER.get)  # trio asks no more of it, its stubs do

    async def run(self, job: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(job, limiter=self._turns, **_ABANDON)

    async def run_if(self, large: bool, job: Callable[[], T]) -> T:
        """In a thread if it is large, else at once."""
        return await self.run(job) if large else job()

    async def each(self, make: Callable[[V], T], values: Sequence[V]) -> list[T]:
        """The results of `make` for each value."""
        return await self.run_if(len(values) > FEW, lambda: [make(value) for value in values])
