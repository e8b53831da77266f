"""The latest arrivals in the pool, for clients that follow it by polling."""

import secrets
from collections import deque
from collections.abc import Callable, Iterable

from node.query.port import PoolNews

REMEMBERED = 16_384
"""Number of hashes that are kept; a client further behind has missed some."""
MAX_PAGE = 4096


class PoolJournal:
    """Numbers the transactions of a pool in the order in which they were seen.

    There is no report of a transaction that gossip brought: `pooled` gives the hashes that are in the pool now,
    and is called when the news are asked for. Transactions that came and were included meanwhile are reported
    by `note` from the blocks. So each transaction is news once, at the latest when it is included.
    """

    def __init__(self, pooled: Callable[[], Iterable[bytes]]) -> None:
        self._pooled = pooled
        self._epoch = secrets.randbits(48) | 1
        self._news: deque[bytes] = deque(maxlen=REMEMBERED)
        self._known: dict[bytes, None] = {}  # in order; as many as twice the news
        self._count = 0
        self._followed = False

    def note(self, tx_hash: bytes) -> None:
        """A transaction has come in."""
        if not self._followed or tx_hash in self._known:
            return
        self._add(tx_hash)

    def since(self, epoch: int, position: int) -> PoolNews:
        """The transactions after `position`; if `epoch` is not ours, only those from now on."""
        if not self._followed:
            self._followed = True  # until now there was no follower, and nothing was kept
            for tx_hash in self._pooled():
                self._known[tx_hash] = None
        else:
            for tx_hash in self._pooled():
                self.note(tx_hash)
        if epoch != self._epoch or position > self._count:
            return PoolNews(epoch=self._epoch, position=self._count, hashes=[])
        first = max(position, self._count - len(self._news))
        start = first - (self._count - len(self._news))
        page = [self._news[i] for i in range(start, min(start + MAX_PAGE, len(self._news)))]
        return PoolNews(epoch=self._epoch, position=first + len(page), hashes=page)

    def _add(self, tx_hash: bytes) -> None:
        self._news.append(tx_hash)
        self._count += 1
        self._known[tx_hash] = None
        while len(self._known) > 2 * REMEMBERED:
            del self._known[next(iter(self._known))]
