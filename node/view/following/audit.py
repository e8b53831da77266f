"""Conservation of value at a network block (docs/protocol.md, "The audit").

    balances of all shards + in flight + stake = genesis + issued - burned

Balances, issued and burned wei are those at the headers crosslinked up to that block, in flight is what the
beacon's lanes hold then: only crosslinked messages can be consumed, so the cut is consistent.

The beacon's books say what each shard and each lane should hold, so that it is seen where wei are missing
or too many; the differences of all shards and lanes add up to that of the network.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from node.beacon.state import BeaconState, LaneState
from node.concurrency.caching import JoinedCache
from node.concurrency.gather import gather
from node.primitives.basics import ShardId
from node.query.parts import ask_in_flight
from node.query.questions import InFlightQuestion, SupplyQuestion
from node.view.ports import BeaconReader
from node.view.shards import Shards


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSupply:
    """One shard at its crosslinked header: the balances of its accounts, and `supply`, its holdings by the
    beacon's books. Amounts in wei.
    """

    shard: int
    height: int
    balances: int
    burned: int
    issued: int = 0
    supply: int

    @property
    def difference(self) -> int:
        return self.balances - self.supply


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSupply:
    """The messages [start, stop) of a lane: sent and crosslinked, not yet consumed. They bring `wei`; by the
    beacon's books `told` are under way, what the source has told less what the destination took for true."""

    src: int
    dst: int
    start: int
    stop: int
    wei: int
    told: int

    @property
    def difference(self) -> int:
        return self.wei - self.told


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """The whole account. Amounts in wei; `issued` by development operations, the only ones that
    make or take wei: negative where they took more."""

    number: int
    genesis: int
    stake: int
    shards: tuple[ShardSupply, ...]
    lanes: tuple[LaneSupply, ...]

    @property
    def balances(self) -> int:
        return sum(shard.balances for shard in self.shards)

    @property
    def burned(self) -> int:
        return sum(shard.burned for shard in self.shards)

    @property
    def issued(self) -> int:
        return sum(shard.issued for shard in self.shards)

    @property
    def in_flight(self) -> int:
        return sum(lane.wei for lane in self.lanes)

    @property
    def difference(self) -> int:
        """Wei too much (negative: too little). Anything but zero is a bug of the protocol."""
        held = self.balances + self.in_flight + self.stake + self.burned
        return held - self.genesis - self.issued

    @property
    def is_balanced(self) -> bool:
        """Nowhere is a wei too much or missing."""
        of_shards = any(shard.difference for shard in self.shards)
        return not (self.difference or of_shards or any(lane.difference for lane in self.lanes))

    def to_json(self) -> dict[str, Any]:
        return {
            "block": self.number,
            "balanced": self.is_balanced,
            "genesis": hex(self.genesis),
            "balances": hex(self.balances),
            "inFlight": hex(self.in_flight),
            "stake": hex(self.stake),
            "burned": hex(self.burned),
            "issued": hex(self.issued),
            "difference": hex(self.difference),
            "shards": [
                {
                    "id": shard.shard,
                    "height": shard.height,
                    "balances": hex(shard.balances),
                    "burned": hex(shard.burned),
                    "issued": hex(shard.issued),
                    "supply": hex(shard.supply),
                    "difference": hex(shard.difference),
                }
                for shard in self.shards
            ],
            "lanes": [
                {
                    "src": lane.src,
                    "dst": lane.dst,
                    "consumed": lane.start,
                    "sent": lane.stop,
                    "inFlight": hex(lane.wei),
                    "difference": hex(lane.difference),
                }
                for lane in self.lanes
            ],
        }


class Auditor:
    """Audits network blocks; `genesis` is the sum of the genesis' balances in wei."""

    def __init__(self, beacon: BeaconReader, shards: Shards, *, genesis: int) -> None:
        self._beacon = beacon
        self._shards = shards
        self._genesis = genesis
        self._reports: JoinedCache[int, AuditReport] = JoinedCache(256)

    async def report(self, number: int) -> AuditReport:
        return await self._reports.get(number, partial(self._audit, number))

    async def _audit(self, number: int) -> AuditReport:
        state = self._beacon.state_at(number)
        supplies = await gather([partial(self._supply, state, s) for s in self._shards.ids])
        lanes = await gather(
            [
                partial(self._lane, src, dst, lane)
                for src in self._shards.ids
                for dst in self._shards.ids
                if (lane := state.lane(ShardId(src), ShardId(dst))).last > lane.consumed
                or lane.sent_wei != lane.consumed_wei
            ]
        )
        return AuditReport(
            number=number,
            genesis=self._genesis,
            stake=0,
            shards=tuple(supplies),
            lanes=tuple(lanes),
        )

    async def _supply(self, state: BeaconState, shard: int) -> ShardSupply:
        height = state.tip(ShardId(shard)).height
        supply = await self._shards.ask(shard, SupplyQuestion(height=height))
        return ShardSupply(
            shard=shard,
            height=height,
            balances=int.from_bytes(supply.balances, "big"),
            burned=int.from_bytes(supply.burned, "big"),
            issued=int.from_bytes(supply.issued, "big", signed=True),
            supply=state.supply(ShardId(shard)).wei,
        )

    async def _lane(self, src: int, dst: int, lane: LaneState) -> LaneSupply:
        start, stop = lane.consumed, lane.last
        with self._shards.source(src, InFlightQuestion.patience) as source:
            wei = await ask_in_flight(source, dst, start, stop)
        return LaneSupply(
            src=src,
            dst=dst,
            start=start,
            stop=stop,
            wei=wei,
            told=lane.sent_wei - lane.consumed_wei,
        )
