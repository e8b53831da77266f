"""The test of a proposal that leaves room for arrivals unused, although some could have been in it. Pure.

A validator does not prevote for such a proposal (docs/protocol.md, "Order"). The rule serves progress only: the
block is valid, and a decided one is not held to it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from node.primitives.basics import ShardId
from node.primitives.message import LanePosition, Message
from node.shard.block import ARRIVAL_TYPE, BEACON_OPS_TYPE
from node.shard.judge import ARRIVAL_BYTES
from node.shard.lanes import MAX_TAIL_HASHES, AvailableMessages, Tails
from node.shard.run import ExecutedBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLane:
    """A lane as this node holds it, with the messages that it knows to be due.

    `messages` are verified ones from the inbox before the block on, `checkpoints` those that a proof may
    end at. Messages below `due` are old enough that every proposer should have them.
    """

    src: ShardId
    messages: Sequence[Message]
    checkpoints: Sequence[LanePosition]
    due: int


def withheld(
    executed: ExecutedBlock,
    tails: Tails,
    lanes: Iterable[DueLane],
    seconds: float = math.inf,
) -> str | None:
    """The message that should have been in the block; None if the block is as full as it should be.

    None, too, if its arrivals took us `seconds` or more: the proposer may have run out of time.

    The rules of room are the builder's (`ArrivalRoom`, node.shard.judge), so a proposer that has the messages
    and builds by them is never found here.
    """
    taken = _taken(executed.delivered)
    if _size(executed) > ARRIVAL_BYTES:
        return None
    if executed.delivered and executed.arrival_seconds >= seconds:
        return None
    room = MAX_TAIL_HASHES - sum(map(len, tails.hashes.values()))
    for lane in lanes:
        supply = AvailableMessages.of(lane.messages, lane.checkpoints)
        if supply is None:
            continue
        supply.taken = taken.get(lane.src, 0)
        if supply.taken >= len(supply.messages) or supply.next().seq >= lane.due:
            continue
        message = supply.next()
        change = supply.tail_size(supply.taken + 1) - supply.tail_size(supply.taken)
        if change <= room and executed.arrivals.fits(message):
            return f"it has room for message {message.seq} of shard {lane.src}, which waits"
    return None


def _taken(delivered: Sequence[tuple[int, Message]]) -> Mapping[ShardId, int]:
    counts: dict[ShardId, int] = {}
    for _, message in delivered:
        counts[message.src] = counts.get(message.src, 0) + 1
    return counts


def _size(executed: ExecutedBlock) -> int:
    """Bytes of the items before the transactions."""
    kinds = (ARRIVAL_TYPE, BEACON_OPS_TYPE)
    return sum(len(item) for item in executed.block.items if item[0] in kinds)
