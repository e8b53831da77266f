"""Asking shards: deadlines, and what is told to the user when a shard does not answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import trio

from node.primitives.errors import DecodeError
from node.query.port import Refused, ShardSource, ShardUnavailable
from rpc.errors import ResourceNotFound, ResourceUnavailable, RpcError, ServerError
from rpc.threads import Threads

T = TypeVar("T")

FAST, SLOW = 12.0, 27.0
"""Seconds for a look-up, and for execution or a walk over a state; both below the endpoint's limit."""
SERVER_ERROR = -32000
THREADS = 2
"""Which make questions and read answers that are large."""


class Shards:
    """The shards' sources by id. `own` is the shard whose chain this node has, None if it has none.
    `aside` is for large questions and answers."""

    def __init__(
        self,
        sources: Mapping[int, ShardSource],
        *,
        own: int | None,
        fast: float = FAST,
        slow: float = SLOW,
    ) -> None:
        self._sources = sources
        self.own = own
        self.ids = tuple(sorted(sources))
        self._fast = fast
        self._slow = slow
        self.aside = Threads(THREADS)

    def __contains__(self, shard: object) -> bool:
        return shard in self._sources

    async def ask(
        self, shard: int, question: Callable[[ShardSource], Awaitable[T]], *, slow: bool = False
    ) -> T:
        """The answer of one shard, or the RpcError that the user gets instead."""
        source = self._sources.get(shard)
        if source is None:
            raise ResourceNotFound(f"there is no shard {shard}")
        seconds = self._slow if slow else self._fast
        try:
            if shard == self.own:  # it waits for no network, and for its own height not long
                return await question(source)
            with trio.CancelScope(deadline=trio.current_time() + seconds) as within:
                answer = await question(source)
        except Refused as refusal:
            if refusal.code == SERVER_ERROR:
                raise ServerError(str(refusal)) from None
            raise RpcError(refusal.code, str(refusal)) from None
        except ShardUnavailable as error:
            raise ResourceUnavailable(f"shard {shard} is unavailable: {error}") from None
        except DecodeError as error:
            raise ResourceUnavailable(
                f"shard {shard} is unavailable: it answered nonsense: {error}"
            ) from error
        if within.cancelled_caught:
            raise ResourceUnavailable(
                f"shard {shard} is unavailable: no answer within {seconds:g} s"
            )
        return answer

    async def find(
        self,
        question: Callable[[ShardSource], Awaitable[T | None]],
        *,
        first: int | None = None,
    ) -> tuple[int, T] | None:
        """The first shard that knows, and its answer: `first` or our own is asked before all others.

        None if every shard says no. Raises ResourceUnavailable when nobody knows and some shard could
        not be asked.
        """
        start = first if first in self._sources else self.own
        if start is not None:
            answer = await self._try(start, question)
            if answer is not None and not isinstance(answer, ResourceUnavailable):
                return start, answer
            failures = [answer] if answer is not None else []
        else:
            failures = []
        found: list[tuple[int, T]] = []

        async def work(shard: int, scope: trio.CancelScope) -> None:
            answer = await self._try(shard, question)
            if isinstance(answer, ResourceUnavailable):
                failures.append(answer)
            elif answer is not None:
                found.append((shard, answer))
                scope.cancel()

        async with trio.open_nursery() as nursery:
            for shard in self.ids:
                if shard != start:
                    nursery.start_soon(work, shard, nursery.cancel_scope)
        if found:
            return found[0]
        if failures:
            raise failures[0]
        return None

    async def _try(
        self, shard: int, question: Callable[[ShardSource], Awaitable[T | None]]
    ) -> T | ResourceUnavailable | None:
        try:
            return await self.ask(shard, question)
        except ResourceUnavailable as error:
            return error
        except RpcError as error:
            return ResourceUnavailable(f"shard {shard} is unavailable: {error.message}")
