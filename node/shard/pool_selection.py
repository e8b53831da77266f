"""The order in which a block builder takes transactions from the pool, best first."""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from node.primitives.basics import Address
from node.primitives.transaction import Transaction
from node.shard.pool_queue import AccountView, PooledTransaction, SenderQueue

_Candidate = tuple[
    int, int, PooledTransaction, SenderQueue
]  # (-tip, arrival, ...): the arrival is unique


class Selection:
    """Executable transactions: each sender's in nonce order from its state nonce on, senders merged
    by effective tip, highest first, ties by arrival.

    A transaction whose fee cap is below the base fee ends its sender's sequence. Making a selection
    is linear in the senders, a step logarithmic. It changes nothing in the pool and may be kept while
    the pool changes: what has been removed is not handed out, what has been replaced is handed out
    in its new form, senders that are new since are not seen.
    """

    def __init__(self, queues: Iterable[SenderQueue], accounts: AccountView, base_fee: int) -> None:
        self._base_fee = base_fee
        self._dropped: set[Address] = set()
        self._heap: list[_Candidate] = []
        self._taken: tuple[SenderQueue, int] | None = None  # whose successor is not yet in the heap
        for queue in queues:
            candidate = self._candidate(queue, accounts.nonce(queue.sender))
            if candidate is not None:
                self._heap.append(candidate)
        heapify(self._heap)

    def __iter__(self) -> Iterator[Transaction]:
        while (tx := self.next()) is not None:
            yield tx

    def next(self) -> Transaction | None:
        """The best transaction that is left, or None."""
        if self._taken is not None:
            queue, nonce = self._taken
            self._taken = None
            self._offer(queue, nonce + 1)
        while self._heap:
            _, _, entry, queue = heappop(self._heap)
            nonce = entry.tx.nonce
            if queue.sender in self._dropped:
                continue
            if queue.get(nonce) is not entry:
                self._offer(queue, nonce)
                continue
            self._taken = queue, nonce
            return entry.tx
        return None

    def drop_sender(self, address: Address) -> None:
        """Hand out nothing more of this sender: its last transaction cannot be included now, so
        none after it can."""
        self._dropped.add(address)

    def _offer(self, queue: SenderQueue, nonce: int) -> None:
        candidate = self._candidate(queue, nonce)
        if candidate is not None and queue.sender not in self._dropped:
            heappush(self._heap, candidate)

    def _candidate(self, queue: SenderQueue, nonce: int) -> _Candidate | None:
        entry = queue.get(nonce)
        if entry is None:
            return None
        tip = entry.tip(self._base_fee)
        return (-tip, entry.arrival, entry, queue) if tip >= 0 else None
