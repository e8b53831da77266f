"""How full every lane is, and how far what it carries has come.

    lane     = {src, dst, outbox, crosslinked, consumed, inbox, waiting, window, full, oldest}
    outbox   = {count, gas, block}   all that the source has sent, as of its block
    crosslinked = {count, gas}       how much of that the beacon has finalised
    consumed = {count, gas}          how much of it was delivered, as the beacon knows
    inbox    = {count, gas, block}   the same, as the destination's own block has it
    waiting  = {count, gas}          outbox - consumed: what the window bounds
    window   = {count, gas}
    oldest   = {id, seq, block, networkBlock, age} | null

At a past network block both ends are what its crosslinked headers say. At the latest they are asked for, and
a shard that does not answer has null there. A lane is `full` once what waits reaches the window, in messages
or in gas. `oldest` is the next message to be delivered; `age` counts beacon blocks since the one that
finalised it, null before that. Gas in units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from node.beacon.state import BeaconState, LaneState
from node.primitives.basics import ShardId
from node.primitives.genesis import Params
from node.primitives.message import message_id
from node.runtime.items import LaneEnds, ShardLanes
from node.runtime.view.gather import gather
from node.runtime.view.shards import Shards
from rpc.errors import ResourceUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """One end of a lane, as of a block of its shard."""

    count: int
    gas: int
    block: int

    def to_json(self) -> dict[str, int]:
        return {"count": self.count, "gas": self.gas, "block": self.block}


class LaneReport:
    """`network_block` gives the network block that shows a shard block, None while there is none."""

    def __init__(
        self, shards: Shards, network_block: Callable[[int, int], int | None], params: Params
    ) -> None:
        self._shards = shards
        self._network_block = network_block
        self._params = params

    async def report(self, state: BeaconState, number: int, *, live: bool) -> list[dict[str, Any]]:
        """Every lane at network block `number`, whose state is `state`; `live` where that is the latest."""
        ids = self._shards.ids
        own: list[ShardLanes | None] = [None] * len(ids)
        if live:
            own = await gather([partial(self._ask, shard) for shard in ids])
        ends = {
            (shard, lane.peer): (lane, lanes.height)
            for shard, lanes in zip(ids, own, strict=True)
            if lanes is not None
            for lane in lanes.lanes
        }
        return await gather(
            [
                partial(self._lane, state, number, src, dst, live, ends)
                for src in ids
                for dst in ids
                if src != dst
            ]
        )

    async def _ask(self, shard: int) -> ShardLanes | None:
        try:
            return await self._shards.ask(shard, lambda source: source.lanes())
        except ResourceUnavailable:
            return None

    async def _lane(
        self,
        state: BeaconState,
        number: int,
        src: int,
        dst: int,
        live: bool,
        ends: dict[tuple[int, int], tuple[LaneEnds, int]],
    ) -> dict[str, Any]:
        lane = state.lane(ShardId(src), ShardId(dst))
        last_gas = lane.checkpoints[-1].gas if lane.checkpoints else lane.consumed_gas
        outbox = inbox = None
        if not live:
            outbox = _End(count=lane.last, gas=last_gas, block=_tip(state, src))
            inbox = _End(count=lane.consumed, gas=lane.consumed_gas, block=_tip(state, dst))
        if (found := ends.get((src, dst))) is not None:
            outbox = _End(count=found[0].sent, gas=found[0].sent_gas, block=found[1])
        if (found := ends.get((dst, src))) is not None:
            inbox = _End(count=found[0].consumed, gas=found[0].consumed_gas, block=found[1])
        sent, sent_gas = (outbox.count, outbox.gas) if outbox else (lane.last, last_gas)
        count, gas = max(0, sent - lane.consumed), max(0, sent_gas - lane.consumed_gas)
        window = {"count": self._params.lane_window, "gas": self._params.lane_gas_window}
        return {
            "src": src,
            "dst": dst,
            "outbox": outbox and outbox.to_json(),
            "crosslinked": {"count": lane.last, "gas": last_gas},
            "consumed": {"count": lane.consumed, "gas": lane.consumed_gas},
            "inbox": inbox and inbox.to_json(),
            "waiting": {"count": count, "gas": gas},
            "window": window,
            "full": count >= window["count"] or gas >= window["gas"],
            "oldest": await self._oldest(number, src, dst, _next(lane, inbox), sent),
        }

    async def _oldest(
        self, number: int, src: int, dst: int, seq: int, sent: int
    ) -> dict[str, Any] | None:
        if seq >= sent:
            return None
        try:
            found = await self._shards.ask(src, lambda source: source.sent(dst, seq))
        except ResourceUnavailable:
            found = None
        block = None if found is None else found.height
        finalised = None if block is None else self._network_block(src, block)
        if finalised is not None and finalised > number:
            finalised = None
        return {
            "id": "0x" + message_id(src, dst, seq).hex(),
            "seq": seq,
            "block": block,
            "networkBlock": finalised,
            "age": None if finalised is None else number - finalised,
        }


def _tip(state: BeaconState, shard: int) -> int:
    return state.tip(ShardId(shard)).height


def _next(lane: LaneState, inbox: _End | None) -> int:
    return lane.consumed if inbox is None else max(inbox.count, lane.consumed)
