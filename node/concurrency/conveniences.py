"""Conveniences: tasks and listeners beside consensus whose failure must not end the node.

docs/architecture.md, "Tasks and threads", lists the conveniences and the tasks that end the node. Without a
convenience the chains go on and their content is right. Code that builds, judges, applies or stores blocks is
none: it must stop after an unexpected exception.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import ParamSpec

import structlog
import trio

from node.primitives.errors import CorruptData
from node.storage.errors import StorageUnavailable

FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds before a failed task is started again. The pause doubles each time, and begins at the first value
again after the task has run for the last one.
"""
DISK = (CorruptData, StorageUnavailable)
"""Errors of our own disk: no part of a node continues after them."""

P = ParamSpec("P")


class Conveniences:
    """The runner of conveniences. It logs each failure with its trace and counts it by name. The count starts
    at 0, so that the first failure is a rise of the metric.
    """

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self._log = structlog.get_logger()

    async def run(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` until it returns, again after an unexpected exception. Raises errors of the disk."""
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
        """Wrap `listen` so that its failure does not reach the caller, which is in the middle of something that
        matters.
        """
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
