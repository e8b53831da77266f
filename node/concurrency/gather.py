"""Several awaitable jobs at once, with their results in order."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

T = TypeVar("T")

WIDTH = 16
"""Jobs under way at a time."""


async def gather(jobs: Sequence[Callable[[], Awaitable[T]]], width: int = WIDTH) -> list[T]:
    """Run the jobs; the results are in the order of `jobs`. The first error cancels the rest and is raised,
    alone.
    """
    if len(jobs) == 1:
        return [await jobs[0]()]
    results: dict[int, T] = {}
    failure: list[Exception] = []
    numbered = iter(enumerate(jobs))

    async def work(scope: trio.CancelScope) -> None:
        for index, job in numbered:
            try:
                results[index] = await job()
            except Exception as error:  # noqa: BLE001 - raised below, without an ExceptionGroup
                failure.append(error)
                scope.cancel()
                return

    async with trio.open_nursery() as nursery:
        for _ in range(min(width, len(jobs))):
            nursery.start_soon(work, nursery.cancel_scope)
    if failure:
        raise failure[0]
    return [results[index] for index in range(len(jobs))]
