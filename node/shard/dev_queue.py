"""Development operations that wait for a block. Memory only, like the transaction pool."""

from collections.abc import Iterable, Sequence

from node.primitives.basics import Hash32
from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.errors import InvalidTransaction
from node.shard.dev_ops import MAX_OPERATIONS

MAX_QUEUED = 512
MAX_QUEUED_BYTES = 4 << 20


class DevQueue:
    """Operations in the order of their arrival, each once."""

    def __init__(self) -> None:
        self._operations: dict[Hash32, DevOperation] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._operations)

    def __contains__(self, name: object) -> bool:
        return name in self._operations

    def add(self, operation: DevOperation) -> bool:
        """Add an operation; true if it is new. Raises InvalidTransaction when the queue is full."""
        if operation.hash in self._operations:
            return False
        size = len(operation.encoded)
        if len(self._operations) >= MAX_QUEUED or self._bytes + size > MAX_QUEUED_BYTES:
            raise InvalidTransaction(
                f"{len(self._operations)} development operations wait already: try again later"
            )
        self._operations[operation.hash] = operation
        self._bytes += size
        return True

    def first(self, *, mining: bool) -> Sequence[DevOperation]:
        """The operations for one block, oldest first; an order of blocks is the last one. While there is an
        order that is not done (`mining`), the next one waits.
        """
        waiting = self._operations.values()
        orders = [op for op in waiting if op.kind is DevKind.MINE]
        if not orders or mining:
            return [op for op in waiting if op.kind is not DevKind.MINE][:MAX_OPERATIONS]
        first = min(orders, key=lambda op: op.order.name)  # the same one on every shard
        out: list[DevOperation] = []
        for operation in waiting:
            if operation is first or len(out) == MAX_OPERATIONS - 1:
                break
            if operation.kind is not DevKind.MINE:
                out.append(operation)
        return [*out, first]

    def all(self) -> Sequence[DevOperation]:
        return list(self._operations.values())

    def on_committed(self, operations: Iterable[DevOperation]) -> None:
        """Remove the operations that are in a block now."""
        for operation in operations:
            if self._operations.pop(operation.hash, None) is not None:
                self._bytes -= len(operation.encoded)
