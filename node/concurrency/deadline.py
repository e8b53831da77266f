"""A timer for a task that mostly waits for something else.

In a busy task a cancel scope around every wait costs more than the waits. This timer is set far less often than
a deadline changes: if it expires before the deadline that holds by then, it sets itself again.
"""

from collections.abc import Callable

import trio


class Alarm:
    """Calls `ring` when the time asked for last has come. `run` is the task that waits."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._wanted = float("inf")
        self._scope = trio.CancelScope()

    def at(self, deadline: float) -> None:
        """Replace the deadline: ring once at this time (of trio's clock)."""
        self._wanted = deadline
        if deadline < self._scope.deadline:
            self._scope.deadline = deadline

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            self._scope = trio.CancelScope(deadline=self._wanted)
            with self._scope:
                await trio.Event().wait()
            if self._wanted <= trio.current_time():
                self._wanted = float("inf")
                self._ring()
