"""A wake-up for one waiting task, set from synchronous code."""

from __future__ import annotations

import trio


class Signal:
    """`set` never blocks and is remembered; `wait` returns once per run of `set` calls."""

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._set = False
        self._event: trio.Event | None = None

    def set(self) -> None:
        """Wake the waiter, or let the next `wait` return at once."""
        self._set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait for `set` (always a checkpoint)."""
        if self._set:
            await trio.lowlevel.checkpoint()
        else:
            self._event = trio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._set = False
