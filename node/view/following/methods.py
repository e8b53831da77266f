"""The `atoll_` namespace: what Ethereum's methods have no words for.

Ids, heights and counts are plain JSON numbers, hashes and amounts of wei are 0x hex strings.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio

from node.concurrency.gather import gather
from node.concurrency.head_signal import HeadSignal
from node.primitives.basics import Address, ShardId
from node.primitives.genesis import Params
from node.primitives.header import Header
from node.query.questions import BlockBriefQuestion, HeadQuestion
from node.view.chain_view import BLOCK_PATIENCE
from node.view.following import documents, votes
from node.view.following.audit import Auditor, AuditReport
from node.view.following.feed import MessageFeed
from node.view.following.journey import Journeys
from node.view.following.lanes import LaneReport
from node.view.following.proving import Prover
from node.view.following.trace import TreeBuilder
from node.view.network_view import NetworkView
from node.view.ports import BeaconReader
from node.view.shards import Shards
from rpc.encoding import data
from rpc.errors import ResourceUnavailable
from rpc.wire import BlockRef, MessagePage


class AtollView:
    """An `rpc.backend.AtollBackend`.

    `committees` names the nodes of each shard; `head_signal` is sent when a chain of this node grows.
    """

    def __init__(
        self,
        beacon: BeaconReader,
        shards: Shards,
        *,
        network: NetworkView,
        prover: Prover,
        head_signal: HeadSignal,
        committees: Mapping[int, Sequence[str]],
        genesis_supply: int,
        params: Params,
    ) -> None:
        self._beacon = beacon
        self._shards = shards
        self._network = network
        self._prover = prover
        self._head_signal = head_signal
        self._head_height = network.head_height
        self._committees = committees
        self._auditor = Auditor(beacon, shards, genesis=genesis_supply)
        self._trees = TreeBuilder(shards, self._number, self._consumed)
        self._feed = MessageFeed(beacon, shards, head_height=network.head_height)
        self._lanes = LaneReport(shards, self._number, params)
        self._journeys = Journeys(shards, self._number, self._consumed)

    async def home(self, address: bytes) -> int:
        """The shard on which an account lives."""
        return self._beacon.state_at(self._head_height()).home(Address(address))

    async def shards(self) -> list[dict[str, Any]]:
        """Per shard its height (null if no node of it answers), what the beacon has of it, its nodes."""
        return await gather([partial(self._shard, shard) for shard in self._shards.ids])

    async def _shard(self, shard: int) -> dict[str, Any]:
        tip = self._beacon.state_at(self._head_height()).tip(ShardId(shard))
        height: int | None
        try:
            height = await self._shards.ask(shard, HeadQuestion())
        except ResourceUnavailable:
            height = None
        return {
            "id": shard,
            "height": height,
            "crosslinked": tip.height,
            "hash": data(tip.hash),
            "nodes": list(self._committees.get(shard, ())),
        }

    async def audit(self, ref: BlockRef) -> dict[str, Any]:
        """Conservation of value at a network block."""
        return (await self.audited(await self._network.state_number(ref))).to_json()

    async def audited(self, number: int) -> AuditReport:
        """The same, in numbers."""
        return await self._auditor.report(number)

    async def committees(self, ref: BlockRef) -> dict[str, Any]:
        """The committees of every shard, and of the beacon."""
        number = await self._network.state_number(ref)
        return documents.committees(self._beacon.state_at(number), self._committees)

    async def lanes(self, ref: BlockRef) -> list[dict[str, Any]]:
        """The content of every lane, and the progress of its messages."""
        number = await self._network.state_number(ref)
        live = number == self._head_height()
        return await self._lanes.report(self._beacon.state_at(number), number, live=live)

    async def network_block(self, ref: BlockRef) -> dict[str, Any] | None:
        """The content of a network block: the tip of every shard, and the headers that are new in it."""
        number = await self._network.number_of(ref)
        if number is None:
            return None
        block = self._beacon.block(number)
        if block is None:
            raise ResourceUnavailable(f"beacon block {number} is not here")
        return documents.network_block(block, self._beacon.state_at(number))

    async def shard_block(self, shard: int, height: int | None) -> dict[str, Any]:
        """A block that a shard has decided, its newest one for None, whether the beacon has it or not."""
        with self._shards.source(shard) as source:
            if height is None:
                height = await source.ask(HeadQuestion())
            brief = await source.ask(BlockBriefQuestion(height=height))
        header = Header.decode(brief.header)
        anchor = self._beacon.height_of(header.parent_beacon_block_root)
        return documents.shard_block(
            shard, header, brief, anchor, self._number(shard, header.number)
        )

    async def votes(self, ref: BlockRef, count: int) -> list[dict[str, Any]]:
        """The votes for the blocks that became final with each of `count` network blocks up to one."""
        number = await self._network.state_number(ref)
        found: list[dict[str, Any]] = []
        for each in range(max(1, number - count + 1), number + 1):
            found += votes.report(self._beacon, [each])
            await trio.lowlevel.checkpoint()  # a committee may be large
        return found

    async def trace(self, hash: bytes) -> dict[str, Any] | None:
        """All that a transaction or a message caused, as a tree; None if no shard knows it."""
        return await self._trees.trace(hash)

    async def message(self, id: bytes) -> dict[str, Any] | None:
        """A message and the legs of its way, None if no shard knows it."""
        return await self._journeys.follow(id)

    async def message_events(self, cursor: int | None) -> MessagePage:
        page = await self._feed.since(cursor)
        while cursor is not None and not page.events and not page.missed:
            await self._head_signal.wait(BLOCK_PATIENCE)
            page = await self._feed.since(cursor)
        return page

    async def prove_message(self, id: bytes) -> dict[str, Any] | None:
        """See `Prover.prove`."""
        return await self._prover.prove(id)

    def _number(self, shard: int, height: int) -> int | None:
        """The network block that shows a shard block, None while there is none."""
        number = self._beacon.crosslinked_in(ShardId(shard), height)
        return number if number is not None and number <= self._head_height() else None

    def _consumed(self, src: int, dst: int) -> int:
        """The number of delivered messages of a lane, as the beacon knows."""
        state = self._beacon.state_at(self._head_height())
        return state.lane(ShardId(src), ShardId(dst)).consumed
