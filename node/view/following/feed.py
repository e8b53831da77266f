"""The events of messages on all shards, as one sequence for subscribers.

The feed reads the blocks of every shard, and the network blocks, each once, in an order in which causes come
before effects: a shard block after the network blocks up to the one it is anchored to, a network block after
the shard blocks it includes. So of one message `sent` comes before `finalised` and that before `delivered`,
whichever node's answers come first. The feed starts at the heads of the chains when a caller asks, and rests
while no caller does.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from node.beacon.block import BeaconBlock
from node.concurrency.caching import Lru
from node.concurrency.gather import gather
from node.primitives.basics import Hash32
from node.query.questions import HeadQuestion, TrafficQuestion
from node.query.records import MessageBrief, Traffic
from node.view.following import documents
from node.view.ports import BeaconReader
from node.view.shards import Shards
from rpc.errors import RpcError
from rpc.wire import MessageEvent, MessagePage

REMEMBERED = 8192
"""Events."""
STALE_SECONDS = 0.05
HEAD_SECONDS = 1.0
"""Seconds that a shard may take to name its head before the others go on without it."""
IDLE_SECONDS = 30.0
"""Without a question for so long, the feed starts anew where the chains are then."""
BLOCKS_AT_ONCE = 64
"""Blocks of a chain that are read before what they hold is told."""
CACHED_MESSAGES = 65_536


class MessageFeed:
    """`head_height` is that of the network view. Concurrent callers share one look at each chain."""

    def __init__(
        self,
        beacon: BeaconReader,
        shards: Shards,
        *,
        head_height: Callable[[], int],
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._beacon = beacon
        self._shards = shards
        self._head_height = head_height
        self._clock = clock
        self._events: deque[MessageEvent] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._looked = float("-inf")
        self._looking = trio.Lock()
        self._number = 0  # the next network block
        self._heights: dict[int, int] = {}  # the next block of each shard
        self._traffic: Lru[tuple[int, int], Traffic] = Lru(CACHED_MESSAGES, _weight)

    async def since(self, cursor: int | None) -> MessagePage:
        """The events after `cursor`; None starts now."""
        async with self._looking:
            idle = self._clock() - self._looked
            if not self._heights or (idle > IDLE_SECONDS and cursor is None):
                await self._start()
            elif idle > STALE_SECONDS:
                await self._look()
            self._looked = self._clock()
        if cursor is None or cursor > self._count:
            return MessagePage(cursor=self._count, events=())
        oldest = self._count - len(self._events)
        first = max(cursor, oldest)
        events = tuple(self._events[i] for i in range(first - oldest, len(self._events)))
        return MessagePage(cursor=self._count, events=events, missed=cursor < oldest)

    async def _heads(self) -> dict[int, int]:
        """The heads of the shards that answer."""

        async def head(shard: int) -> int | None:
            found: int | None = None
            with trio.move_on_after(HEAD_SECONDS):
                try:
                    found = await self._shards.ask(shard, HeadQuestion())
                except RpcError:
                    pass  # it is away: the messages of the others are as good
            return found

        ids = self._shards.ids
        found = await gather([partial(head, shard) for shard in ids])
        return {shard: h for shard, h in zip(ids, found, strict=True) if h is not None}

    async def _start(self) -> None:
        """Begin at the heads of the chains. A caller with an older cursor is told that it missed something."""
        heads = await self._heads()
        number = self._head_height()
        self._events.clear()
        self._count += 1
        for shard, tip in self._beacon.state_at(number).tips().items():
            self._heights[shard] = max(heads.get(shard, 0), tip.height) + 1
        self._number = number + 1

    async def _look(self) -> None:
        """Take in what has been decided since the last time, as far as its causes are known."""
        heads = await self._heads()
        progress = True
        while progress:
            progress = False
            for shard in self._shards.ids:
                progress |= await self._follow_shard(shard, heads.get(shard, 0))
            progress |= await self._follow_network()

    async def _follow_shard(self, shard: int, head: int) -> bool:
        first = self._heights[shard]
        while self._heights[shard] <= min(head, first + BLOCKS_AT_ONCE - 1):
            height = self._heights[shard]
            traffic = await self._block(shard, height)
            if traffic is None:
                break
            anchor = self._beacon.height_of(Hash32(traffic.anchor))
            if anchor is None or anchor >= self._number:
                break
            self._heights[shard] += 1
            self._tell_block(shard, height, traffic)
        return self._heights[shard] > first

    async def _follow_network(self) -> bool:
        first = self._number
        while self._number <= min(self._head_height(), first + BLOCKS_AT_ONCE - 1):
            block = self._beacon.block(self._number)
            if block is None or not await self._finalise(block):
                break
        return self._number > first

    async def _finalise(self, block: BeaconBlock) -> bool:
        """Tell what a network block has finalised; False where a shard is not there yet."""
        blocks = []
        for link in block.body.crosslinks:
            # A node that lags did not name this block when it was asked for its head.
            while self._heights[link.shard] <= link.height:
                if not await self._follow_shard(link.shard, link.height):
                    return False
            traffic = await self._block(link.shard, link.height, link.header.hash)
            if traffic is None:
                return False
            blocks.append((link.shard, link.height, traffic))
        self._number += 1
        for shard, height, traffic in blocks:
            for sent in traffic.sent:
                place = _place(shard, height, sent.index)
                self._tell("finalised", sent.message, {**place, "networkBlock": block.height})
        return True

    async def _block(
        self, shard: int, height: int, expected: bytes | None = None
    ) -> Traffic | None:
        """The messages of a shard's block, None if no node can tell now. `expected` is its hash."""
        known = self._traffic.get((shard, height))
        if known is not None and expected in (None, known.block_hash):
            return known
        try:
            traffic = await self._shards.ask(shard, TrafficQuestion(height=height))
        except RpcError:
            return None
        if expected not in (None, traffic.block_hash):
            return None
        self._traffic.put((shard, height), traffic)
        return traffic

    def _tell_block(self, shard: int, height: int, traffic: Traffic) -> None:
        for delivered in traffic.delivered:
            ran = "ok" if delivered.success else "failed"
            self._tell(
                "delivered",
                delivered.message,
                {
                    **_place(shard, height, delivered.index),
                    "outcome": "forwarded" if delivered.forwarded else ran,
                    "gasUsed": delivered.gas_used,
                },
            )
        for sent in traffic.sent:
            self._tell("sent", sent.message, _place(shard, height, sent.index))

    def _tell(self, event: str, message: MessageBrief, place: dict[str, Any]) -> None:
        self._events.append(
            MessageEvent(
                event=event,
                id=message.id,
                addresses=(message.sender, message.to),
                shards=(message.src, message.dst),
                details={**place, "message": documents.message(message)},
            )
        )
        self._count += 1


def _weight(traffic: Traffic) -> int:
    return 1 + len(traffic.sent) + len(traffic.delivered)


def _place(shard: int, height: int, index: int) -> dict[str, Any]:
    return {"shard": shard, "block": height, "index": index}
