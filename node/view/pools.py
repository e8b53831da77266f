"""The pools of several shards as one: their content, and their latest arrivals."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import trio

from node.concurrency.gather import gather
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.transaction import Transaction, decode_transaction
from node.query.port import PoolDump
from node.query.questions import PoolContentQuestion, PoolCountsQuestion, PoolNewsQuestion
from node.view.present import pending_transaction
from node.view.shards import Shards
from rpc.errors import RpcError
from rpc.wire import PendingPage, PoolView, TransactionView

REMEMBERED = 16_384
STALE_SECONDS = 0.1
"""The news are asked for again after so long, however many ask us."""


class Pools:
    """The pools of shards `ids`."""

    def __init__(self, shards: Shards, ids: Sequence[int]) -> None:
        self._shards = shards
        self._ids = ids
        feed = PendingFeed(shards, ids)
        self.since, self.note = feed.since, feed.note

    async def counts(self) -> tuple[int, int]:
        """(pending, queued) in these pools together."""
        found = await gather(
            [partial(self._shards.ask, s, PoolCountsQuestion()) for s in self._ids]
        )
        return sum(c.pending for c in found), sum(c.queued for c in found)

    async def content(self, sender: bytes | None) -> PoolView:
        """The content of these pools, of one sender or of all, by shard, sender and nonce."""

        async def dump(shard: int) -> PoolDump:
            return await self._shards.ask(shard, PoolContentQuestion(sender=sender))

        dumps = await gather([partial(dump, shard) for shard in self._ids])
        return await self._shards.aside.run(  # senders are recovered there
            lambda: PoolView(
                pending=tuple(view for d in dumps for view in _views(d.pending, d.reasons)),
                queued=tuple(view for d in dumps for view in _views(d.queued, {})),
            )
        )


def _views(raws: Iterable[bytes], reasons: Mapping[bytes, str]) -> list[TransactionView]:
    out = []
    for raw in raws:
        tx = _decode(raw)
        if tx is not None:
            view, reason = pending_transaction(tx), reasons.get(tx.hash)
            out.append(replace(view, extra={**view.extra, "waitsFor": reason}) if reason else view)
    return out


def _decode(raw: bytes) -> Transaction | None:
    try:
        return decode_transaction(raw)
    except (DecodeError, InvalidTransaction):
        return None  # a node that lies about its pool: nothing follows from it


class PendingFeed:
    """The news of these shards' pools, in the order in which this node hears of them.

    Nothing runs while no caller asks. Callers share one question to each shard per `STALE_SECONDS`.
    """

    def __init__(
        self, shards: Shards, ids: Sequence[int], clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._shards = shards
        self._ids = ids
        self._clock = clock
        self._news: deque[bytes] = deque(maxlen=REMEMBERED)
        self._known: dict[bytes, None] = {}
        self._count = 0
        self._places: dict[int, tuple[int, int]] = dict.fromkeys(ids, (0, 0))
        self._asked = float("-inf")
        self._asking = trio.Lock()

    def note(self, tx_hash: bytes) -> None:
        """Add a transaction that this node has just submitted: subscribers need not wait for it."""
        if self._asked > float("-inf"):
            self._add(tx_hash)

    async def since(self, cursor: int | None) -> PendingPage:
        """The transactions after `cursor`; None starts now."""
        async with self._asking:
            if self._clock() - self._asked > STALE_SECONDS:
                await gather([partial(self._ask, shard) for shard in self._ids])
                self._asked = self._clock()
        if cursor is None or cursor > self._count:
            return PendingPage(cursor=self._count, hashes=())
        oldest = self._count - len(self._news)
        first = max(cursor, oldest)
        hashes = tuple(self._news[i] for i in range(first - oldest, len(self._news)))
        return PendingPage(cursor=self._count, hashes=hashes, missed=cursor < oldest)

    async def _ask(self, shard: int) -> None:
        epoch, position = self._places[shard]
        try:
            news = await self._shards.ask(shard, PoolNewsQuestion(epoch=epoch, position=position))
        except RpcError:
            return  # it is away: the other shards' news are as good
        self._places[shard] = (news.epoch, news.position)
        for tx_hash in news.hashes:
            self._add(tx_hash)

    def _add(self, tx_hash: bytes) -> None:
        if tx_hash in self._known:
            return
        self._known[tx_hash] = None
        self._news.append(tx_hash)
        self._count += 1
        while len(self._known) > 2 * REMEMBERED:
            del self._known[next(iter(self._known))]
