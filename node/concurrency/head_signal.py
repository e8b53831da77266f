"""Waiting for a new head of one of this node's chains."""

import trio


class HeadSignal:
    """Sent when a chain of this node has grown; any number of tasks may wait for it."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def send(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self, patience: float) -> None:
        """Return at the next signal, or after `patience` seconds."""
        with trio.move_on_after(patience):
            await self._event.wait()
