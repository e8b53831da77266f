"""Network blocks that a developer ordered: each takes in the block that every shard made for it, at once."""

from collections.abc import Callable, Mapping, Sequence

from node.primitives.basics import ShardId
from node.primitives.crosslink import Crosslink
from node.primitives.mining import Round

Rows = Mapping[ShardId, Sequence[Crosslink]]


def next_round(rows: Rows) -> tuple[Round, set[ShardId]] | None:
    """The ordered network block that comes first, and the shards whose block for it is here; None if no block
    was ordered. `rows` are the crosslinks that follow the tips.
    """
    first = {shard: _ordered(row) for shard, row in rows.items()}
    rounds = [(found.index, found.order) for found in first.values() if found is not None]
    if not rounds:
        return None
    index, order = min(rounds)
    shards = {
        shard
        for shard, found in first.items()
        if found is not None and (found.index, found.order) == (index, order)
    }
    return next(found for shard in shards if (found := first[shard]) is not None), shards


def _ordered(row: Sequence[Crosslink]) -> Round | None:
    return next((c.requests.mined for c in row if c.requests.mined is not None), None)


def is_complete(rows: Rows) -> bool:
    """True if no shard is to be waited for: all that the next ordered network block takes in is here.

    Or the shards have begun two orders, each another one first. Then none of these comes together.
    """
    found = next_round(rows)
    if found is None:
        return True
    coming, shards = found
    begun = sum(_ordered(row) is not None for row in rows.values())
    return len(shards) >= coming.shards or begun >= coming.shards


def includable(rows: Rows, is_late: Callable[[Round], bool]) -> list[Crosslink]:
    """The crosslinks for the next block. Those of an ordered network block are in one, with what stands before
    them in their rows; what comes after waits for the next. Nothing is included until the round is complete,
    unless it `is_late`.
    """
    found = next_round(rows)
    if found is None:
        return [crosslink for row in rows.values() for crosslink in row]
    coming, _ = found
    if not is_complete(rows) and not is_late(coming):
        return []
    return [crosslink for row in rows.values() for crosslink in _upto(row, coming)]


def _upto(row: Sequence[Crosslink], coming: Round) -> Sequence[Crosslink]:
    """The part of a row for the block of `coming`: up to the first ordered block, with it if it is of it."""
    for number, crosslink in enumerate(row):
        if crosslink.requests.mined is not None:
            return row[: number + (crosslink.requests.mined == coming)]
    return row
