"""A choice of transactions taken from the pool, so that a block can be built beside the event loop."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from node.execution.evm.validity import intrinsic_gas
from node.primitives.basics import Address
from node.primitives.transaction import Transaction


class TransactionSource(Protocol):
    """Transactions best first; each sender's in nonce order."""

    def next(self) -> Transaction | None: ...

    def drop_sender(self, address: Address) -> None:
        """Leave out all other transactions of this sender: its last one cannot be included now."""


class ChosenTransactions:
    """A fixed list of transactions as a source. The pool may change meanwhile."""

    def __init__(self, transactions: list[Transaction]) -> None:
        self._queue = deque(transactions)
        self._dropped: set[Address] = set()

    def next(self) -> Transaction | None:
        while self._queue:
            tx = self._queue.popleft()
            if tx.sender not in self._dropped:
                return tx
        return None

    def drop_sender(self, address: Address) -> None:
        self._dropped.add(address)


def draw(
    source: TransactionSource,
    *,
    gas: int,
    count: int,
    waits: Callable[[Transaction], bool] = lambda _: False,
) -> list[Transaction]:
    """At most `count` transactions from `source`, until what they use at least adds up to `gas`; without those
    that have to wait for another block, and what follows them.

    Gas limits are not counted: a few transactions that ask for a whole block and use little of it must not keep
    out others that fit beside them. Nor is what those use that ask for more than a quarter of `gas`: maybe they
    do not fit, again and again, and then pay nothing for the room. They may be half of all.
    """
    out: list[Transaction] = []
    total = large = 0
    while len(out) < count and total < gas and (tx := source.next()) is not None:
        if waits(tx):
            source.drop_sender(tx.sender)
            continue
        if tx.gas > gas // 4:
            if large >= count // 2:
                source.drop_sender(tx.sender)
                continue
            large += 1
        else:
            total += intrinsic_gas(tx)
        out.append(tx)
    return out
