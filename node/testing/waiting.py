"""Waiting for a condition: one look at a time, so that threads, asyncio and trio can each wait in their way."""

import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from node.cluster.errors import RequestFailed, RpcRefused
from node.testing.conditions import Condition, Pending
from node.testing.errors import TransactionFailed, Unbalanced, WaitTimeout

WAIT_SECONDS = 60.0
INTERVAL = 0.05
RESOURCE_UNAVAILABLE = -32002
"""The node says: not now."""

T = TypeVar("T")


class Described(Protocol):
    """A `Network`, of which conditions may ask more than a wait does."""

    def describe(self) -> str: ...


class Wait(Generic[T]):
    """One wait: `poll` until it is true, then `result` is what the condition gave."""

    def __init__(
        self,
        network: Described,
        condition: Condition[T] | Callable[[], T],
        timeout: float,
        what: str | None,
    ) -> None:
        self._network = network
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        if isinstance(condition, Condition):
            self._look: Callable[[], T | Pending] = lambda: condition.look(network)
            self._what = what or condition.what
        else:
            self._look = lambda: _ask(condition)
            self._what = what or f"{getattr(condition, '__qualname__', condition)} to be true"
        self.result: T

    def poll(self) -> bool:
        """Look once. Raises WaitTimeout when it is not so and the time is up."""
        __tracebackhide__ = True
        cause: BaseException | None = None
        try:
            found = self._look()
        except (TransactionFailed, Unbalanced):
            raise  # waiting would not help
        except AssertionError as error:
            found, cause = Pending(str(error) or "an assertion does not hold"), error
        except RequestFailed as error:
            if isinstance(error, RpcRefused) and error.code != RESOURCE_UNAVAILABLE:
                raise
            found, cause = Pending(str(error)), error
        if not isinstance(found, Pending):
            self.result = found
            return True
        if time.monotonic() < self._deadline:
            return False
        raise WaitTimeout(
            f"waited {self._timeout:g} s for {self._what}: {found.reason}\n{self._network.describe()}"
        ) from cause


def _ask(function: Callable[[], T]) -> T | Pending:
    found = function()
    return found if found else Pending(f"it gives {found!r}")
