"""The order in which transactions leave a full pool.

Only a sender's last nonce can go, so no new gap appears. Transactions behind a gap go first: holding them costs
their sender nothing, because they can never pay. Then go those of the lowest effective tip, then the latest
arrivals.
"""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from node.primitives.basics import Address
from node.shard.pool_queue import PooledTransaction, SenderQueue

_SLACK = 1024  # outdated ranks that are carried before the heap is made anew


class Rank(NamedTuple):
    """Worth of a transaction to the pool; the smallest leaves first."""

    executable: bool
    tip: int
    earliness: int  # minus the arrival number, so unique
    sender: Address


def rank(entry: PooledTransaction, queue: SenderQueue, base_fee: int) -> Rank:
    """Of an entry that is, or is about to be, in `queue`."""
    return Rank(
        executable=queue.is_executable(entry.tx.nonce),
        tip=entry.tip(base_fee),
        earliness=-entry.arrival,
        sender=queue.sender,
    )


class EvictionOrder:
    """The senders' last entries by rank at one base fee: a heap in which outdated ranks are left and skipped
    when they surface. The caller that changes a queue pushes it again.
    """

    def __init__(self, queues: Mapping[Address, SenderQueue], base_fee: int) -> None:
        self.base_fee = base_fee
        self._queues = queues
        self._heap: list[Rank] = []
        self._rebuild()

    def push(self, queue: SenderQueue) -> None:
        """Note the present last entry of a queue that is not empty."""
        if len(self._heap) > 4 * len(self._queues) + _SLACK:
            self._rebuild()
        heappush(self._heap, rank(queue.last, queue, self.base_fee))

    def pop_below(self, limit: Rank) -> Iterator[SenderQueue]:
        """Take out, smallest first, the up-to-date ranks below `limit`, and name their queues. Queues
        may be changed and pushed between two steps."""
        while self._heap and self._heap[0] < limit:
            worst = heappop(self._heap)
            queue = self._queues.get(worst.sender)
            if queue is not None and rank(queue.last, queue, self.base_fee) == worst:
                yield queue

    def _rebuild(self) -> None:
        self._heap = [rank(q.last, q, self.base_fee) for q in self._queues.values()]
        heapify(self._heap)
