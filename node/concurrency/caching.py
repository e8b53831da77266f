"""Bounded caches of immutable data."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import trio

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _one(_: object) -> int:
    return 1


class Lru(Generic[K, V]):
    """A cache of the entries used last: as many as weigh `capacity` together, but at least one."""

    def __init__(self, capacity: int, weigh: Callable[[V], int] = _one) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        old = self._entries.pop(key, None)
        if old is not None:
            self._weight -= self._weigh(old)
        self._entries[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._capacity and len(self._entries) > 1:
            self._weight -= self._weigh(self._entries.popitem(last=False)[1])


class _Making:
    """A value that one task is making; the other callers wait for `done`."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error: Exception | None = None


class JoinedCache(Generic[K, V]):
    """An `Lru` whose values are made on demand, each by one task at a time.

    An error of the maker is raised to every caller that waits for the value, and is not kept. If the making
    task is cancelled, one of the waiting callers takes over.
    """

    def __init__(self, capacity: int, weigh: Callable[[V], int] = _one) -> None:
        self._known: Lru[K, V] = Lru(capacity, weigh)
        self._making: dict[K, _Making] = {}

    async def get(self, key: K, make: Callable[[], Awaitable[V]]) -> V:
        """The value, made by `make` if it is absent."""
        while (value := self._known.get(key)) is None:
            others = self._making.get(key)
            if others is None:
                return await self._make(key, make)
            await others.done.wait()
            if others.error is not None:
                raise others.error
        return value

    async def _make(self, key: K, make: Callable[[], Awaitable[V]]) -> V:
        making = self._making[key] = _Making()
        try:
            value = await make()
        except Exception as error:
            making.error = error
            raise
        else:
            self._known.put(key, value)
            return value
        finally:
            del self._making[key]
            making.done.set()
