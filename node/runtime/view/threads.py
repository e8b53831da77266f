"""Decoding and database walks beside the event loop."""

from collections.abc import Callable
from typing import Any, TypeVar

import trio

T = TypeVar("T")

# A mapping, since the stubs that libp2p brings along are of a trio that did not know the word.
_ABANDON: dict[str, Any] = {"abandon_on_cancel": True}


class Threads:
    """At most `width` threads at a time. A caller that gives up leaves its thread to finish alone."""

    def __init__(self, width: int) -> None:
        self._limiter = trio.CapacityLimiter(width)

    async def run(self, job: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(job, limiter=self._limiter, **_ABANDON)
