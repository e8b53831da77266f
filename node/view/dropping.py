"""Transactions taken out of the pools of their shards, by an operation that all validators see in one block."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from node.concurrency.gather import gather
from node.primitives.basics import keccak256
from node.query.questions import PoolContentQuestion, PooledQuestion
from node.view.shards import Shards
from rpc.errors import ServerError

Drop = Callable[[int, bytes], Awaitable[None]]


class Dropping:
    """Drops transactions. `drop` returns when the operation that drops one is in a block of its shard,
    `included` tells whether a transaction is in one.
    """

    def __init__(
        self, shards: Shards, drop: Drop, included: Callable[[bytes], Awaitable[bool]]
    ) -> None:
        self._shards = shards
        self._drop_on = drop
        self._included = included

    async def drop(self, tx_hash: bytes) -> bool:
        """Take a transaction out; False if no pool has it. Raises ServerError if a block has it."""
        asked = [
            partial(self._shards.ask, shard, PooledQuestion(tx_hash=tx_hash))
            for shard in self._shards.ids
        ]
        for shard, raw in zip(self._shards.ids, await gather(asked), strict=True):
            if raw is not None:
                await self._drop(shard, [tx_hash])
                return True
        if await self._included(tx_hash):
            raise ServerError(
                f"0x{tx_hash.hex()} is in a block and cannot be dropped; evm_revert takes the network back to "
                "a snapshot"
            )
        return False

    async def drop_all(self, sender: bytes | None) -> None:
        """Take all out that wait, or those of one sender, as many as the pools tell of at once."""
        await gather([partial(self._drop_from, shard, sender) for shard in self._shards.ids])

    async def _drop_from(self, shard: int, sender: bytes | None) -> None:
        found = await self._shards.ask(shard, PoolContentQuestion(sender=sender))
        await self._drop(shard, map(keccak256, [*found.pending, *found.queued]))

    async def _drop(self, shard: int, hashes: Iterable[bytes]) -> None:
        await gather([partial(self._drop_on, shard, each) for each in hashes])
