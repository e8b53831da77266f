"""Verified crosslinks that wait for a beacon block."""

from collections.abc import Callable, Mapping

from node.beacon.state import ShardTip
from node.primitives.basics import ShardId
from node.primitives.crosslink import Crosslink

MAX_PENDING_PER_SHARD = 256


class PendingCrosslinks:
    """At most `limit` crosslinks per shard, by shard height, all above the tip last told to `prune`.

    The caller has checked each one (`check_crosslink`), so what is here was decided by its shard.
    When a shard's row is full the lowest heights stay: they are needed first, and the others can be
    asked for again.
    """

    def __init__(self, limit: int = MAX_PENDING_PER_SHARD) -> None:
        if limit < 1:
            raise ValueError("at least one crosslink per shard must fit")
        self._limit = limit
        self._rows: dict[ShardId, dict[int, Crosslink]] = {}
        self._floors: dict[ShardId, int] = {}

    def add(self, crosslink: Crosslink) -> bool:
        """Add a crosslink; true if it was new and is kept. Of two for one height the first stays."""
        row = self._rows.setdefault(crosslink.shard, {})  # a verified one names a shard that exists
        height = crosslink.height
        if height in row or height <= self._floors.get(crosslink.shard, 0):
            return False
        if len(row) >= self._limit:
            highest = max(row)
            if height > highest:
                return False
            del row[highest]
        row[height] = crosslink
        return True

    def rival(self, crosslink: Crosslink) -> Crosslink | None:
        """The kept crosslink of the same height with another header, if any. See `ShardFork.of`."""
        kept = self._rows.get(crosslink.shard, {}).get(crosslink.height)
        return kept if kept is not None and kept.header.hash != crosslink.header.hash else None

    def contiguous(self, shard: ShardId, tip: ShardTip) -> list[Crosslink]:
        """The crosslinks that follow `tip` one by one, in order, up to the first gap or foreign parent."""
        row = self._rows.get(shard, {})
        out: list[Crosslink] = []
        height, parent = tip.height, tip.hash
        while (crosslink := row.get(height + 1)) is not None:
            if crosslink.header.parent_hash != parent:
                break
            out.append(crosslink)
            height, parent = height + 1, crosslink.header.hash
        return out

    def prune(
        self,
        tips: Mapping[ShardId, ShardTip],
        decided: Callable[[Crosslink], bool] = lambda _: True,
    ) -> None:
        """Forget the crosslinks that the beacon has included, even if they come again later, and those that
        cannot follow.

        Two decided headers of one height exist only if a third of a committee is faulty. The one that the
        beacon did not build on must not keep the place of the one that follows the tip. The same goes
        for one that is not `decided` (`BeaconChain.is_decided`): its certificate is by a committee that
        was possible when it came, and turned out not to be that of its height. Each is asked about
        once, when the tip gets there.
        """
        for shard, tip in tips.items():
            moved = tip.height > self._floors.get(shard, -1)
            self._floors[shard] = max(tip.height, self._floors.get(shard, 0))
            row = self._rows.get(shard, {})
            for height in [h for h in row if h <= tip.height]:
                del row[height]
            following = row.get(tip.height + 1)
            if following is not None and (
                following.header.parent_hash != tip.hash or (moved and not decided(following))
            ):
                del row[tip.height + 1]

    def counts(self) -> dict[ShardId, int]:
        """The number of kept crosslinks, by shard."""
        return {shard: len(row) for shard, row in self._rows.items()}

    def __len__(self) -> int:
        return sum(len(row) for row in self._rows.values())
