"""Development operations on their way: from the node that a developer asks to a block that it shows."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import trio

from node.concurrency.gather import gather
from node.concurrency.head_signal import HeadSignal
from node.primitives.basics import ShardId
from node.primitives.dev_operation import SALT_BYTES, DevKind, DevOperation
from node.query.port import Leg
from node.query.questions import LegQuestion, SubmitQuestion
from node.view.network_view import NetworkView
from node.view.ports import BeaconReader
from node.view.shard_view import ShardView
from node.view.shards import Shards
from rpc.errors import InvalidParams, ResourceUnavailable, ServerError
from rpc.times import DEVELOPMENT as PATIENCE

POLL = 0.25


class Operations:
    """Puts operations into blocks. What returns without an error has happened, as this node shows the chain."""

    def __init__(
        self,
        beacon: BeaconReader,
        shards: Shards,
        network: NetworkView,
        chains: Mapping[int, ShardView],
        head_signal: HeadSignal,
    ) -> None:
        self._beacon = beacon
        self._shards = shards
        self._network = network
        self._chains = chains
        self._head_signal = head_signal

    async def everywhere(
        self, shards: Sequence[int], operation: Callable[[], DevOperation], blocks: int = 1
    ) -> None:
        """One operation on each of these shards. See `perform`."""
        await gather([partial(self.perform, shard, operation(), blocks) for shard in shards])

    async def perform(self, shard: int, operation: DevOperation, blocks: int = 1) -> None:
        """Returns when the network's chain, as this node shows it, contains the operation's block of the shard,
        and the `blocks` - 1 after it. Raises ServerError if it had no effect.
        """
        await self._shards.ask(shard, SubmitQuestion(raw=operation.encoded))
        while (leg := await self._shown(shard, operation, blocks)) is None:
            await self._head_signal.wait(POLL)
        receipt = await self._chains[shard].transaction_receipt(operation.hash)
        if receipt is not None and receipt.status != 1:
            raise ServerError(
                f"{operation.kind.name} had no effect in block {leg.height} of shard {shard}: what it is about "
                "changed before its turn came; call again for the reason"
            )

    async def _shown(self, shard: int, operation: DevOperation, blocks: int) -> Leg | None:
        leg = await self._shards.ask(shard, LegQuestion(tx_hash=operation.hash))
        if leg is None:
            return None
        number = self._beacon.crosslinked_in(ShardId(shard), leg.height + blocks - 1)
        return leg if number is not None and number <= await self._network.block_number() else None


def operation(kind: DevKind, **arguments: Any) -> DevOperation:
    """A new operation. Raises InvalidParams for arguments out of range."""
    try:
        return DevOperation(kind=kind, salt=secrets.token_bytes(SALT_BYTES), **arguments)
    except ValueError as error:
        raise InvalidParams(f"invalid argument: {error}") from None


@contextmanager
def deadline(
    what: str | Callable[[], str], hope: str = "it may still come, once the shard"
) -> Iterator[None]:
    """PATIENCE for everything within, and then a word about `what` is not in a block."""
    with trio.move_on_after(PATIENCE) as scope:
        yield
    if scope.cancelled_caught:
        raise ResourceUnavailable(
            f"not done within {PATIENCE:g} s: {what if isinstance(what, str) else what()}; {hope} makes blocks"
        )
