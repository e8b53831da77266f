"""The threads that execute blocks and calls: they have a deep stack and run beside the event loop.

Blocks of one node are executed one at a time, in order. Calls from users have threads of their own, so that a
long `eth_call` never holds up consensus.
"""

import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from node.concurrency.interpreter import RECURSION_LIMIT, STACK_BYTES, check_interpreter
from rpc.caller import CALLER
from rpc.turns import Turns

T = TypeVar("T")

SWITCH_SECONDS = 0.0005
"""Seconds that an executing thread keeps the interpreter while the event loop wants it.

The event loop gives the interpreter up at every system call and has to wait for it again; a request takes
several. At 5 ms, as Python has it, trivial answers take some 15 ms beside full blocks, at 0.5 ms about half of
that, and the blocks no longer (benchmarks/busy_rpc.py).
"""

MAX_WAITING = 256
"""User calls that may wait for a thread."""
BLOCKS = 2  # one whose result is used, and one that was given up

# A mapping, since the stubs that libp2p brings along are of a trio that did not know the word.
_ABANDON: dict[str, Any] = {"abandon_on_cancel": True}


OnDisk = Callable[[Callable[[], None]], Awaitable[None]]
"""A function that runs a job that waits for the disk."""


async def on_disk(job: Callable[[], None]) -> None:
    """Run the job in a thread, so that users and the other chain go on. Waits for it, even if cancelled."""
    await trio.to_thread.run_sync(job)


async def at_once(job: Callable[[], None]) -> None:
    """Run the job on the event loop. For tests with a virtual clock, which would run on during a thread."""
    job()


class Worker:
    """Runs functions in threads; at most `calls` user calls at a time, for users in turn.

    Blocks are executed one at a time. There is room for a second: a block that was given up, because its height
    ended or the node stops, is left to finish alone; it only reads. The same holds for a call whose caller
    gives up. `wait_idle` tells when their resources can be closed.
    """

    def __init__(self, *, calls: int = 2) -> None:
        check_interpreter()
        limit_recursion()
        threading.stack_size(STACK_BYTES)
        sys.setswitchinterval(SWITCH_SECONDS)
        self._turn = trio.Lock()
        self._blocks = trio.CapacityLimiter(BLOCKS)
        self._calls = Turns(calls, CALLER.get, most=MAX_WAITING)
        self._running = 0
        self._changed = threading.Condition()

    async def block(self, job: Callable[[], T]) -> T:
        """Run a job that builds, judges or commits a block."""
        async with self._turn:
            return await trio.to_thread.run_sync(
                self._counted, job, limiter=self._blocks, **_ABANDON
            )

    async def call(self, job: Callable[[], T]) -> T:
        """Run a user's call. If the caller gives up, the thread finishes within its gas. Raises LimitExceeded
        if too many calls wait.
        """
        limiter: Any = self._calls  # trio asks for no more than this has, its stubs do
        return await trio.to_thread.run_sync(self._counted, job, limiter=limiter, **_ABANDON)

    @property
    def calls(self) -> tuple[int, int]:
        """Counts of user calls: (running, waiting for a thread)."""
        return self._calls.running, self._calls.waiting

    async def blocks_done(self) -> None:
        """Return when no job of a block runs, abandoned ones included."""
        tokens = [object() for _ in range(BLOCKS)]
        for token in tokens:
            await self._blocks.acquire_on_behalf_of(token)
        for token in tokens:
            self._blocks.release_on_behalf_of(token)

    def wait_idle(self, seconds: float) -> bool:
        """Block until no job runs, for at most `seconds`. True if none runs."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    def _counted(self, job: Callable[[], T]) -> T:
        with self._changed:
            self._running += 1
        try:
            return job()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()


def limit_recursion() -> None:
    """Set the recursion limit again, after all imports: libraries that come with py-evm raise it so far that
    hostile nesting in a decoder written in C would overflow the C stack.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
