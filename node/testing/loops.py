"""Waiting without holding up an event loop, asyncio's or trio's."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_ABANDON: dict[str, Any] = {"abandon_on_cancel": True}  # trio-typing does not know it


def _in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


async def in_thread(function: Callable[[], T]) -> T:
    """The result of `function`. When it is cancelled, its thread goes on, and its answer is dropped."""
    if not _in_trio():
        return await asyncio.to_thread(function)
    import trio

    return await trio.to_thread.run_sync(function, **_ABANDON)


async def in_thread_whatever_happens(function: Callable[[], T]) -> T:
    """Cancelled or not: the function runs, and is waited for as long as the loop lets us."""
    if not _in_trio():
        return await asyncio.shield(asyncio.to_thread(function))
    import trio

    with trio.CancelScope(shield=True):
        return await trio.to_thread.run_sync(function)


async def sleep(seconds: float) -> None:
    """Let the loop go on for so long."""
    if not _in_trio():
        await asyncio.sleep(seconds)
        return
    import trio

    await trio.sleep(seconds)
