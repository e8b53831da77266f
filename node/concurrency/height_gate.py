"""Waiting for a chain to grow, and for tasks to be up."""

from typing import Any, TypeAlias

import trio

# trio's TaskStatus. The type stubs that libp2p brings along are of an older trio and lack it.
Started: TypeAlias = Any


class HeightGate:
    """A height that only rises; tasks can wait for it."""

    def __init__(self, height: int) -> None:
        self.height = height
        self._changed = trio.Event()

    def advance(self, height: int) -> None:
        self.height = height
        self._changed.set()
        self._changed = trio.Event()

    async def wait_change(self) -> None:
        await self._changed.wait()

    async def reach(self, height: int, *, patience: float) -> None:
        """Return once the chain has `height`. Raises trio.TooSlowError after `patience` seconds."""
        if self.height >= height:
            return
        with trio.fail_after(patience):
            while self.height < height:
                await self._changed.wait()
