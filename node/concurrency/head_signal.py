"""Waiting for a change of this node's chains."""

import trio


class Bell:
    """Rung when a chain of this node has grown; any number of tasks may listen."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def listen(self, patience: float) -> None:
        """Return at the next ring, or after `patience` seconds."""
        with trio.move_on_after(patience):
            await self._event.wait()
