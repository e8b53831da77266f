"""All that a transaction caused: its executions and messages on all shards, as a tree.

    execution = {shard, height, networkBlock, index, status, gasUsed, messages: [message, ...]}
    message   = {id, src, dst, seq, kind, from, to, value, ..., delivery: execution | null}

Every node of the tree is read off the receipts of a decided block, so it is final; `delivery` is null while
a message is on its way.
"""

from collections.abc import Callable
from typing import Any

from node.execution.receipts import decode_receipt
from node.primitives.message import Message
from node.runtime.queries import Departure
from node.runtime.view import describe, legs
from node.runtime.view.locate import delivery_of
from node.runtime.view.shards import Shards
from rpc.errors import LimitExceeded

MAX_NODES = 512
"""Messages of one tree."""


class Tracer:
    """`network_block` gives the network block that shows a shard block, None while there is none."""

    def __init__(self, shards: Shards, network_block: Callable[[int, int], int | None]) -> None:
        self._shards = shards
        self._network_block = network_block

    async def trace(self, tx_hash: bytes) -> dict[str, Any] | None:
        """None where no shard has included the transaction. Raises LimitExceeded."""
        found = await self._shards.find(lambda source: source.leg(tx_hash))
        if found is None:
            return None
        shard, leg = found
        walk = _Walk(self._shards, self._network_block)
        root = await walk.execution(shard, leg.height, leg.index)
        return {"transactionHash": "0x" + tx_hash.hex(), "pending": walk.pending, **root}


class _Walk:
    def __init__(self, shards: Shards, network_block: Callable[[int, int], int | None]) -> None:
        self._shards = shards
        self._network_block = network_block
        self._nodes = 0
        self.pending = 0

    async def execution(self, shard: int, height: int, index: int) -> dict[str, Any]:
        stored = await self._shards.ask(shard, lambda source: source.block(height))
        receipts = [decode_receipt(raw) for raw in stored.receipts]
        sent = list(legs.sent_messages(receipts[index].logs)) if index < len(receipts) else []
        return {
            "shard": shard,
            "height": height,
            "networkBlock": self._network_block(shard, height),
            "index": index,
            "status": receipts[index].status,
            "gasUsed": legs.gas_used(receipts, index),
            "messages": [await self._message(shard, message) for message in sent],
        }

    async def _message(self, src: int, message: Message) -> dict[str, Any]:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise LimitExceeded(f"the transaction caused more than {MAX_NODES} messages")
        out = describe.message(message)
        delivery = await delivery_of(self._shards, src, Departure(dst=message.dst, seq=message.seq))
        if delivery is None:
            self.pending += 1
            return {**out, "delivery": None}
        ran = await self.execution(message.dst, delivery.height, delivery.index)
        return {**out, "delivery": ran}
