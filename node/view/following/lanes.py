"""The content of every lane, and the progress of its messages.

    lane     = {src, dst, outbox, crosslinked, consumed, inbox, waiting, window, full, oldest}
    outbox   = {count, asked, gas, block}   all that the source has sent, as of its block
    crosslinked = {count, asked, gas}       how much of that the beacon has finalised
    consumed = {count, asked, gas}          how much of it was delivered, as the beacon knows
    inbox    = {count, asked, gas, block}   the same, according to the destination's own block
    waiting  = {count, asked, gas}          outbox - consumed
    window   = {count, gas}                 of what was asked for
    oldest   = {id, seq, block, networkBlock, age} | null

`asked` counts the messages that transactions and contracts' sends asked for, `gas` the gas that those prepaid.
The other messages follow from arrivals and always go. At a past network block both ends are as its crosslinked
headers say. At the latest block the shards are asked for them, and the end of a shard that does not answer is
null. A lane is `full` once the waiting messages that were asked for reach the window, in number or in gas.
`oldest` is the next message to be delivered; `age` counts beacon blocks since the one that finalised it, null
before that. Gas in units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from node.beacon.state import BeaconState, LaneState
from node.concurrency.gather import gather
from node.primitives.basics import ShardId
from node.primitives.genesis import Params
from node.primitives.message import message_id
from node.query.questions import LanesQuestion, SentQuestion
from node.query.records import LaneEnds, ShardLanes
from node.view.shards import Shards
from rpc.encoding import data
from rpc.errors import ResourceUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amount:
    """So many messages, of which so many were asked for, with so much gas."""

    count: int
    asked: int
    gas: int

    def __sub__(self, other: "_Amount") -> "_Amount":
        return _Amount(
            count=max(0, self.count - other.count),
            asked=max(0, self.asked - other.asked),
            gas=max(0, self.gas - other.gas),
        )

    def to_json(self) -> dict[str, int]:
        return {"count": self.count, "asked": self.asked, "gas": self.gas}


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """One end of a lane, as of a block of its shard."""

    amount: _Amount
    block: int

    def to_json(self) -> dict[str, int]:
        return {**self.amount.to_json(), "block": self.block}


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
            return await self._shards.ask(shard, LanesQuestion())
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
        consumed = _consumed(lane)
        crosslinked = _crosslinked(lane)
        outbox = inbox = None
        if not live:
            outbox = _End(amount=crosslinked, block=_tip(state, src))
            inbox = _End(amount=consumed, block=_tip(state, dst))
        if (found := ends.get((src, dst))) is not None:
            outbox = _End(amount=_sent_by(found[0]), block=found[1])
        if (found := ends.get((dst, src))) is not None:
            inbox = _End(amount=_consumed_by(found[0]), block=found[1])
        sent = outbox.amount if outbox else crosslinked
        waiting = sent - consumed
        window = {"count": self._params.lane_window, "gas": self._params.lane_gas_window}
        return {
            "src": src,
            "dst": dst,
            "outbox": outbox and outbox.to_json(),
            "crosslinked": crosslinked.to_json(),
            "consumed": consumed.to_json(),
            "inbox": inbox and inbox.to_json(),
            "waiting": waiting.to_json(),
            "window": window,
            "full": waiting.asked >= window["count"] or waiting.gas >= window["gas"],
            "oldest": await self._oldest(number, src, dst, _next(lane, inbox), sent.count),
        }

    async def _oldest(
        self, number: int, src: int, dst: int, seq: int, sent: int
    ) -> dict[str, Any] | None:
        if seq >= sent:
            return None
        try:
            found = await self._shards.ask(src, SentQuestion(dst=dst, seq=seq))
        except ResourceUnavailable:
            found = None
        block = None if found is None else found.height
        finalised = None if block is None else self._network_block(src, block)
        if finalised is not None and finalised > number:
            finalised = None
        return {
            "id": data(message_id(src, dst, seq)),
            "seq": seq,
            "block": block,
            "networkBlock": finalised,
            "age": None if finalised is None else number - finalised,
        }


def _tip(state: BeaconState, shard: int) -> int:
    return state.tip(ShardId(shard)).height


def _next(lane: LaneState, inbox: _End | None) -> int:
    return lane.consumed if inbox is None else max(inbox.amount.count, lane.consumed)


def _consumed(lane: LaneState) -> _Amount:
    return _Amount(count=lane.consumed, asked=lane.consumed_asked, gas=lane.consumed_gas)


def _crosslinked(lane: LaneState) -> _Amount:
    if not lane.checkpoints:
        return _consumed(lane)
    last = lane.checkpoints[-1]
    return _Amount(count=last.count, asked=last.asked, gas=last.gas)


def _sent_by(ends: LaneEnds) -> _Amount:
    return _Amount(count=ends.sent, asked=ends.sent_asked, gas=ends.sent_gas)


def _consumed_by(ends: LaneEnds) -> _Amount:
    return _Amount(count=ends.consumed, asked=ends.consumed_asked, gas=ends.consumed_gas)
