"""Time and blocks as a developer sets them: the clocks of the shards, ordered blocks, when blocks are made."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import trio

from node.primitives.dev_operation import MAX_TIME, DevKind
from node.primitives.messenger import MINING_SLOT
from node.primitives.mining import MAX_INTERVAL, NAME_BYTES, MiningMode, MiningOrder
from node.view import clocks
from node.view.network_view import NetworkView
from node.view.operations import Operations, deadline, operation
from node.view.shards import Shards
from rpc.backend import ChainBackend
from rpc.errors import InvalidParams, LimitExceeded, ServerError

AT_ONCE = 64
"""Blocks of one order: those that did not come in time come later, if the shards make blocks again."""
MAX_MINED = 1024
"""Blocks that one call may ask for: each is decided by every shard, and taken in by the beacon."""


class Mining:
    """An `rpc.backend.MiningBackend` over the shards."""

    def __init__(self, shards: Shards, network: NetworkView, operations: Operations) -> None:
        self._shards = shards
        self._network = network
        self._operations = operations
        self._turn = trio.Lock()

    # ------------------------------------------------------------------ blocks

    async def mine(
        self,
        chain: ChainBackend,
        blocks: int,
        interval: int = 0,
        *,
        first: int | None = None,
        at: int | None = None,
    ) -> None:
        if blocks > MAX_MINED:
            raise LimitExceeded(
                f"{blocks} blocks are asked for, at most {MAX_MINED} can be: every block is agreed on by all "
                "validators of every shard; evm_increaseTime moves time without blocks"
            )
        if interval > MAX_INTERVAL:
            raise InvalidParams(f"at most {MAX_INTERVAL} s between two blocks, not {interval} s")
        made = 0
        async with self._turn:
            while made < blocks:
                count = min(blocks - made, AT_ONCE)
                with deadline(f"{made} of {blocks} blocks were made, the next ones"):
                    await self._order(chain.pool_shards, count, interval, first, at)
                made += count
                at = await self._newest() + interval if interval and made < blocks else None

    async def _order(
        self, shards: Sequence[int], blocks: int, interval: int, first: int | None, at: int | None
    ) -> None:
        """Order so many blocks, and wait for them."""
        number, base = await self._begin(interval, first, at)
        name = secrets.token_bytes(NAME_BYTES)
        order = MiningOrder(name=name, shards=len(shards), left=blocks, interval=interval)
        _check_time(number + order.seconds)
        make = partial(operation, DevKind.MINE, number=number, slot=base, data=order.encoded)
        await self._operations.everywhere(shards, make, blocks)

    async def _begin(self, interval: int, first: int | None, at: int | None) -> tuple[int, int]:
        """The timestamp of the first block of an order, and what the validators' clocks show now; zeros if the
        first block is to have the time of the shards' clocks.
        """
        if at is not None:
            await self._check_later(at)
            return at, int(time.time())
        if not interval:
            return 0, 0
        newest, base = await self._newest(), int(time.time())
        awaited = await clocks.next_time(self._shards)
        if awaited > newest:
            return awaited, base
        gap = interval if first is None else first
        return max(base + await clocks.furthest(self._shards) + gap, newest + 1), base

    async def _check_later(self, timestamp: int) -> None:
        newest = await self._newest()
        if timestamp <= newest:
            raise ServerError(
                f"Timestamp {timestamp} is lower than or equal to previous block's timestamp {newest}"
            )
        _check_time(timestamp)

    async def _newest(self) -> int:
        """The timestamp of the newest block of the network."""
        head = await self._network.block("latest", False)
        if head is None:
            raise ServerError("header not found")
        return head.timestamp

    # ------------------------------------------------------------------ time

    async def increase_time(self, seconds: int) -> int:
        with deadline("the clock of some shard"):
            async with self._turn:
                base = int(time.time())
                ahead = await clocks.furthest(self._shards) + seconds
                await self._set(DevKind.SET_CLOCK, base + ahead, base)
        return ahead

    async def set_time(self, timestamp: int) -> None:
        with deadline("the clock of some shard"):
            async with self._turn:
                newest = await self._newest()
                if timestamp < newest:
                    raise ServerError(
                        f"time cannot go back: {timestamp} lies before {newest}, where the newest block is"
                    )
                await self._set(DevKind.SET_CLOCK, timestamp, int(time.time()))

    async def set_next_time(self, timestamp: int) -> None:
        with deadline("the next timestamp of some shard"):
            async with self._turn:
                await self._check_later(timestamp)
                await self._set(DevKind.SET_NEXT_TIME, timestamp, int(time.time()))

    async def _set(self, kind: DevKind, timestamp: int, base: int) -> None:
        _check_time(timestamp)
        make = partial(operation, kind, number=timestamp, slot=base)
        await self._operations.everywhere(self._shards.ids, make)

    # ------------------------------------------------------------------ when blocks are made

    async def _mode(self) -> MiningMode:
        shard = self._shards.ids[0] if self._shards.own is None else self._shards.own
        return MiningMode.of(await clocks.word(self._shards, shard, MINING_SLOT))

    async def automines(self) -> bool:
        return (await self._mode()).automine

    async def interval(self) -> int:
        return (await self._mode()).interval

    async def set_automine(self, on: bool) -> None:
        await self._set_mode(lambda mode: replace(mode, automine=on))

    async def set_interval(self, milliseconds: int, *, instead: bool = False) -> None:
        if milliseconds > MAX_INTERVAL:
            raise InvalidParams(f"at most {MAX_INTERVAL} ms between two blocks, not {milliseconds}")
        await self._set_mode(
            lambda mode: MiningMode(automine=mode.automine and not instead, interval=milliseconds)
        )

    async def _set_mode(self, change: Callable[[MiningMode], MiningMode]) -> None:
        with deadline("the mining mode of some shard"):
            async with self._turn:
                mode = change(await self._mode())
                make = partial(operation, DevKind.SET_MINING, number=mode.number)
                await self._operations.everywhere(self._shards.ids, make)


def _check_time(timestamp: int) -> None:
    if timestamp > MAX_TIME:
        raise InvalidParams(f"time ends at {MAX_TIME}, {timestamp} lies after it")
