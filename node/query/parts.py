"""Questions that are longer than one may be, asked in parts."""

from node.query.codec import TOO_LARGE
from node.query.port import Leg, Refused, ShardSource, ShardUnavailable
from node.query.questions import MAX_LEGS, MAX_MESSAGES, InFlightQuestion, LegsQuestion


async def ask_legs(source: ShardSource, tx_hashes: list[bytes]) -> list[Leg | None]:
    """The legs of these transactions on a shard, in their order."""
    out: list[Leg | None] = []
    for start in range(0, len(tx_hashes), MAX_LEGS):
        out += await _legs(source, tx_hashes[start : start + MAX_LEGS])
    return out


async def _legs(source: ShardSource, tx_hashes: list[bytes]) -> list[Leg | None]:
    try:
        legs = await source.ask(LegsQuestion(tx_hashes=tx_hashes))
    except Refused as refusal:
        if refusal.code != TOO_LARGE or len(tx_hashes) == 1:
            raise
        half = len(tx_hashes) // 2
        return await _legs(source, tx_hashes[:half]) + await _legs(source, tx_hashes[half:])
    if len(legs) != len(tx_hashes):
        raise ShardUnavailable("a node answered for other transactions")
    return legs


async def ask_in_flight(source: ShardSource, dst: int, start: int, stop: int) -> int:
    """Wei of the messages [start, stop) of a shard's lane to `dst`."""
    total = 0
    for first in range(start, stop, MAX_MESSAGES):
        last = min(first + MAX_MESSAGES, stop)
        part = await source.ask(InFlightQuestion(dst=dst, start=first, stop=last))
        total += int.from_bytes(part, "big")
    return total
