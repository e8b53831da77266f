"""The last decided blocks as they were executed, so that the most frequent questions need no disk."""

from collections import OrderedDict
from dataclasses import dataclass

from node.execution.state.receipts import Receipt
from node.primitives.basics import Hash32
from node.primitives.transaction import Transaction
from node.shard.block import BodyItem, ShardBlock
from node.shard.run import ExecutedBlock

MAX_ITEMS = 4_096
"""Body items of all blocks that are kept, some 3 KB each; the newest block is kept whatever it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentBlock:
    """A decided block, decoded: senders of its transactions are known."""

    block: ShardBlock
    items: tuple[BodyItem, ...]
    receipts: tuple[Receipt, ...]


class RecentBlocks:
    """By height, and by the hash of what they include. One thread adds; any may read."""

    def __init__(self, capacity: int = MAX_ITEMS) -> None:
        self._capacity = capacity
        self._blocks: OrderedDict[int, RecentBlock] = OrderedDict()
        self._places: dict[Hash32, tuple[int, int]] = {}
        self._count = 0

    def add(self, executed: ExecutedBlock) -> None:
        """The block that has just been written."""
        height = executed.header.number
        self._blocks[height] = RecentBlock(
            block=executed.block, items=executed.bodies, receipts=executed.receipts
        )
        self._count += len(executed.bodies)
        for index, item in enumerate(executed.bodies):
            if isinstance(item, Transaction):
                self._places[item.hash] = height, index
        while self._count > self._capacity and len(self._blocks) > 1:
            _, old = self._blocks.popitem(last=False)
            self._count -= len(old.items)
            for item in old.items:
                if isinstance(item, Transaction):
                    self._places.pop(item.hash, None)

    def get(self, height: int) -> RecentBlock | None:
        return self._blocks.get(height)

    def place(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, index) of a transaction."""
        return self._places.get(Hash32(tx_hash))
