"""A thread with room for the deepest calls of the EVM."""

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from node.concurrency.interpreter import RECURSION_LIMIT, STACK_BYTES

T = TypeVar("T")


def run_with_stack(function: Callable[[], T]) -> T:
    """Run `function` in a thread whose stack holds 1,024 calls; its result or its exception."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
    outcome: list[T] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001 - handed over to the waiting thread
            failure.append(error)

    before = threading.stack_size(STACK_BYTES)
    try:
        thread = threading.Thread(target=target, name="execution")
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
