"""Filters: what `eth_newFilter` and its relatives leave behind on the server.

Nothing runs between two polls. A filter is a position in the chain (or in the pools' news); a poll reads
what came after it. So an idle filter costs a few hundred bytes, and nothing is kept for a client that
never comes back but that, until it expires.
"""

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from rpc import render
from rpc.backend import Backend
from rpc.caller import CALLER, Caller
from rpc.encoding import data
from rpc.errors import LimitExceeded, ServerError
from rpc.limits import Limits
from rpc.threads import Threads
from rpc.wire import LogFilter

MAX_BLOCKS = 4096
"""Blocks of one answer; the next poll goes on from there."""


@dataclass(slots=True)
class _Filter:
    """`position` is the last block that was told, or the cursor in the pools' news. `logs` is set for a
    filter of logs, `blocks` tells the other two kinds apart."""

    scope: int | None
    position: int
    used: float
    logs: LogFilter | None = None
    blocks: bool = False
    owner: Caller | None = None
    polled: bool = False
    busy: trio.Lock = field(default_factory=trio.Lock)


class Filters:
    """The filters of one server, each of one endpoint. Unused ones expire."""

    def __init__(
        self, limits: Limits, aside: Threads, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._aside = aside
        self._limits = limits
        self._clock = clock
        self._filters: OrderedDict[int, _Filter] = OrderedDict()  # the one used last at the end
        self._owned: Counter[Caller | None] = Counter()

    def __len__(self) -> int:
        return len(self._filters)

    async def add_logs(self, backend: Backend, scope: int | None, wanted: LogFilter) -> int:
        """A filter for logs of blocks to come. Raises LimitExceeded, as all of these do."""
        head = await backend.chain(scope).block_number()
        return self._add(_Filter(scope, head, self._clock(), logs=wanted))

    async def add_blocks(self, backend: Backend, scope: int | None) -> int:
        """A filter for the hashes of blocks to come."""
        head = await backend.chain(scope).block_number()
        return self._add(_Filter(scope, head, self._clock(), blocks=True))

    async def add_pending(self, backend: Backend, scope: int | None) -> int:
        """A filter for the hashes of transactions that pools take in from now on."""
        page = await backend.chain(scope).pool.since(None)
        return self._add(_Filter(scope, page.cursor, self._clock()))

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        """The chains have these newest blocks now, by scope: filters that were beyond tell what comes after
        them; pools begin anew."""
        for filter_id, found in self._filters.items():
            position = 0
            if found.blocks or found.logs is not None:
                position = min(found.position, heads.get(found.scope, found.position))
            # Another one: a poll that is under way is of the old chain.
            self._filters[filter_id] = replace(found, position=position, busy=trio.Lock())

    def remove(self, scope: int | None, filter_id: int) -> bool:
        """Remove a filter; true if it existed."""
        self._expire()
        found = self._filters.get(filter_id)
        if found is None or found.scope != scope:
            return False
        self._drop(filter_id)
        return True

    async def changes(self, backend: Backend, scope: int | None, filter_id: int) -> list[Any]:
        """The news since the last call, ready for JSON. Raises ServerError for an unknown filter."""
        found = self._find(scope, filter_id)
        async with found.busy:
            if found.logs is not None:
                return await self._new_logs(backend, found, found.logs)
            if found.blocks:
                return await self._new_blocks(backend, found)
            page = await backend.chain(scope).pool.since(found.position)
            found.position = page.cursor
            return [data(tx_hash) for tx_hash in page.hashes]

    async def all_logs(self, backend: Backend, scope: int | None, filter_id: int) -> list[Any]:
        """All logs that a filter of logs matches, from its own first block on."""
        found = self._find(scope, filter_id)
        if found.logs is None:
            raise ServerError("filter not found")
        return await self._aside.each(render.log, await backend.chain(scope).logs(found.logs))

    async def _new_blocks(self, backend: Backend, found: _Filter) -> list[Any]:
        head = await backend.chain(found.scope).block_number()
        last = min(head, found.position + MAX_BLOCKS)
        if last <= found.position:
            return []
        hashes = await backend.chain(found.scope).block_hashes(found.position + 1, last)
        found.position = last
        return [data(block_hash) for block_hash in hashes]

    async def _new_logs(self, backend: Backend, found: _Filter, wanted: LogFilter) -> list[Any]:
        head = await backend.chain(found.scope).block_number()
        last = min(head, found.position + MAX_BLOCKS)
        first = found.position + 1
        if isinstance(wanted.from_block, int):
            first = max(first, wanted.from_block)
        while True:
            stop = min(last, wanted.to_block) if isinstance(wanted.to_block, int) else last
            if wanted.block_hash is not None or stop < first:
                found.position = max(found.position, last)
                return []
            try:
                views = await backend.chain(found.scope).logs(
                    replace(wanted, from_block=first, to_block=stop)
                )
            except LimitExceeded:
                if last <= first:
                    raise
                last = first + (last - first) // 2  # the rest is for the next poll
                continue
            found.position = last
            return await self._aside.each(render.log, views)

    # ------------------------------------------------------------------ the registry

    def _add(self, new: _Filter) -> int:
        self._expire()
        new.owner = CALLER.get()
        most = self._limits.filters_of_one
        if self._owned[new.owner] >= most:
            raise LimitExceeded(
                f"too many filters: this connection has installed {most}; uninstall some, "
                f"or wait until unused ones expire"
            )
        if len(self._filters) >= self._limits.filters:
            self._drop(self._dispensable())
        filter_id = secrets.randbits(127) | 1 << 127
        self._filters[filter_id] = new
        self._owned[new.owner] += 1
        return filter_id

    def _drop(self, filter_id: int) -> None:
        owner = self._filters.pop(filter_id).owner
        self._owned[owner] -= 1
        if not self._owned[owner]:
            del self._owned[owner]

    def _dispensable(self) -> int:
        """The filter that makes room: one of the owner with the most filters.

        It is one that was never polled if there is such a filter, otherwise the least recently used one. So a
        client that polls its filters keeps them.
        """
        most = max(self._owned.values())
        polled: int | None = None
        for filter_id, each in self._filters.items():  # in order of use
            if self._owned[each.owner] != most:
                continue
            if not each.polled:
                return filter_id
            polled = filter_id if polled is None else polled
        assert polled is not None  # some owner has the most
        return polled

    def _find(self, scope: int | None, filter_id: int) -> _Filter:
        self._expire()
        found = self._filters.get(filter_id)
        if found is None or found.scope != scope:
            raise ServerError("filter not found")
        found.used, found.polled = self._clock(), True
        self._filters.move_to_end(filter_id)
        return found

    def _expire(self) -> None:
        oldest = self._clock() - self._limits.filter_expiry
        while self._filters:
            filter_id, first = next(iter(self._filters.items()))
            if first.used > oldest:
                return
            self._drop(filter_id)
