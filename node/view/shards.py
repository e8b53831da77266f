"""Questions to shards: their time limits, and the user's error when a shard does not answer."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import trio

from node.primitives.errors import DecodeError
from node.query.port import Refused, ShardSource, ShardUnavailable
from node.query.question import Question
from rpc.errors import ResourceNotFound, ResourceUnavailable, RpcError, ServerError
from rpc.threads import Threads
from rpc.times import LOOK_UP, Patience

T = TypeVar("T")

FAILURES = (Refused, ShardUnavailable, DecodeError)
"""The errors of asking a shard, and of reading its answer."""
SERVER_ERROR = -32000
THREADS = 2
"""Which make questions and read answers that are large."""


class Shards:
    """The shards' sources by id. `own` is the shard whose chain this node has, None if it has none.
    `aside` is for large questions and answers."""

    def __init__(self, sources: Mapping[int, ShardSource], *, own: int | None) -> None:
        self._sources = sources
        self.own = own
        self.ids = tuple(sorted(sources))
        self.aside = Threads(THREADS)

    def __contains__(self, shard: object) -> bool:
        return shard in self._sources

    async def ask(self, shard: int, question: Question[T]) -> T:
        """The answer of one shard, or the RpcError that the user gets instead."""
        if shard == self.own:  # it waits for no network, and for its own height not long
            try:
                return await self._sources[shard].ask(question)
            except FAILURES as error:
                raise _told(shard, error) from error
        with self.source(shard, question.patience) as source:
            return await source.ask(question)

    @contextmanager
    def source(self, shard: int, patience: Patience = LOOK_UP) -> Iterator[ShardSource]:
        """One shard, for as long as it may take: its refusal or silence is the RpcError that the user gets. The
        same goes for an answer that cannot be decoded when it is read inside (DecodeError).
        """
        source = self._sources.get(shard)
        if source is None:
            raise ResourceNotFound(f"there is no shard {shard}")
        seconds = math.inf if shard == self.own else patience.shard
        try:
            with trio.CancelScope(deadline=trio.current_time() + seconds) as within:
                yield source
        except FAILURES as error:
            raise _told(shard, error) from error
        if within.cancelled_caught:
            raise _unavailable(shard, f"no answer within {seconds:g} s")

    async def find(
        self, question: Question[T | None], *, first: int | None = None
    ) -> tuple[int, T] | None:
        """The first shard that knows, and its answer: `first` or our own is asked before all others.

        None if every shard says no. Raises ResourceUnavailable if no shard knows and some shard could not be
        asked.
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
        self, shard: int, question: Question[T | None]
    ) -> T | ResourceUnavailable | None:
        try:
            return await self.ask(shard, question)
        except ResourceUnavailable as error:
            return error
        except RpcError as error:
            return _unavailable(shard, error.message)


def _told(shard: int, error: Exception) -> RpcError:
    """The error that the user reads."""
    match error:
        case Refused(code=code) if code == SERVER_ERROR:
            return ServerError(str(error))
        case Refused(code=code):
            return RpcError(code, str(error))
        case DecodeError():
            return _unavailable(shard, f"it answered nonsense: {error}")
    return _unavailable(shard, str(error))


def _unavailable(shard: int, why: str) -> ResourceUnavailable:
    return ResourceUnavailable(f"shard {shard} is unavailable: {why}")
