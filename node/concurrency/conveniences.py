"""What a node does beside consensus must not end it.

Which tasks and listeners are such conveniences, and which end the node, is in docs/architecture.md, "Tasks and
threads". The difference: without a convenience the chains go on and what they hold is right; what builds,
judges, applies or stores blocks must not go on after an exception that nobody expected.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import ParamSpec

import structlog
import trio

from node.primitives.errors import CorruptData
from node.storage.errors import StorageUnavailable

FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds before a task that failed begins anew; twice as long each time, until it has run for the longest."""
DISK = (CorruptData, StorageUnavailable)
"""Our own disk: no part of a node goes on without it."""

P = ParamSpec("P")


class Conveniences:
    """Runs them, logs what they fail with, with its trace, and counts it by name: from 0 on, so that a first
    failure is a rise of the metric."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self._log = structlog.get_logger()

    async def run(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        """`task` until it returns, anew after an unexpected exception. Raises errors of the disk."""
        self.failures[name] += 0
        pause = FIRST_PAUSE
        while True:
            started = trio.current_time()
            try:
                await task()
            except Exception as error:  # noqa: BLE001 - whatever it is: see above
                self._note(name, error)
            else:
                return
            if trio.current_time() - started >= LAST_PAUSE:
                pause = FIRST_PAUSE
            await trio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)

    def listener(self, name: str, listen: Callable[P, None]) -> Callable[P, None]:
        """`listen`, for those who call it in the middle of something that matters."""
        self.failures[name] += 0

        def heard(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                listen(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - whatever it is: see above
                self._note(name, error)

        return heard

    def _note(self, name: str, error: Exception) -> None:
        if _of_disk(error):
            raise error
        self.failures[name] += 1
        self._log.error("a convenience failed, the node goes on", what=name, exc_info=error)


def _of_disk(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_of_disk(inner) for inner in error.exceptions)
    return isinstance(error, DISK)
