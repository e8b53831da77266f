"""Where blocks and calls are executed: threads with a deep stack, beside the event loop.

Blocks of one node are executed one at a time, in order. Calls from users have threads of their own, so
that a long `eth_call` never holds up consensus.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from node.execution.guard import RECURSION_LIMIT, STACK_BYTES, check_interpreter

T = TypeVar("T")

# A mapping, since the stubs that libp2p brings along are of a trio that did not know the word.
_ABANDON: dict[str, Any] = {"abandon_on_cancel": True}


class Worker:
    """Runs functions in threads; at most `calls` user calls at a time."""

    def __init__(self, *, calls: int = 2) -> None:
        check_interpreter()
        # One of py-evm's libraries raises it so far that hostile nesting would overflow the C stack.
        sys.setrecursionlimit(RECURSION_LIMIT)
        threading.stack_size(STACK_BYTES)
        self._blocks = trio.CapacityLimiter(1)
        self._calls = trio.CapacityLimiter(calls)

    async def block(self, job: Callable[[], T]) -> T:
        """For building and judging blocks. Not cancelled half way: state caches stay whole."""
        return await trio.to_thread.run_sync(job, limiter=self._blocks)

    async def call(self, job: Callable[[], T]) -> T:
        """For user calls. A caller that gives up leaves the thread to finish within its gas."""
        return await trio.to_thread.run_sync(job, limiter=self._calls, **_ABANDON)
