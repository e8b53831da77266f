"""Evidence that waits for a beacon block: verified, bounded, and dropped when it has no use."""

from typing import Final

from node.beacon.chain import BeaconChain
from node.beacon.evidence import DoubleSigning, EvidenceItem, Order
from node.beacon.offences import TooEarly, check_early, check_standing
from node.primitives.errors import InvalidBlock

MAX_PER_KEY: Final = 4
"""Limit of offences kept for one validator, and of forks for one shard. One is enough to jail, or to freeze."""
MAX_PENDING: Final = 4096


class PendingEvidence:
    """The evidence that a block on the head of `chain` can hold, and that later ones may.

    The accused signed everything that is here, so only validators can fill it, each with a few places. If these
    run out, the lowest heights stay: they can be punished first, and a key that signs nonsense for heights far
    ahead does not get around the rest.
    """

    def __init__(
        self, chain: BeaconChain, *, per_key: int = MAX_PER_KEY, limit: int = MAX_PENDING
    ) -> None:
        if per_key < 1 or limit < 1:
            raise ValueError("at least one piece of evidence must fit")
        self._chain = chain
        self._per_key = per_key
        self._limit = limit
        self._ready: dict[Order, EvidenceItem] = {}
        self._early: dict[Order, EvidenceItem] = {}

    def add(self, item: EvidenceItem) -> bool:
        """Add evidence; true if it was new and is kept, and so worth telling to other nodes.

        Raises InvalidBlock for evidence that proves nothing, was punished already or is too old. That is no
        reason to blame the sender, which may be behind or ahead.
        """
        key = _key_of(item)
        if key in self._ready or key in self._early:
            return False
        place = self._ready
        try:
            self._chain.check_evidence(item)
        except TooEarly:
            chain = self._chain
            check_early(chain.rules, chain.state, chain.head.height, item)
            place = self._early
        if not self._make_room(item):
            return False
        place[key] = item
        return True

    def update(self) -> None:
        """After a commit, drop evidence that is settled or too old, and promote evidence that is not too early
        any more.
        """
        chain = self._chain
        for key, item in list(self._ready.items()):
            try:
                check_standing(chain.rules, chain.state, chain.head.height, item)
            except InvalidBlock:
                del self._ready[key]
        for key, item in list(self._early.items()):
            try:
                chain.check_evidence(item)
            except TooEarly:
                continue
            except InvalidBlock:
                pass
            else:
                self._ready[key] = item
            del self._early[key]

    def includable(self) -> list[EvidenceItem]:
        """The evidence for the next block, in its order, for `BeaconChain.build`. If not empty there is
        work.
        """
        return [self._ready[key] for key in sorted(self._ready)]

    def all(self) -> list[EvidenceItem]:
        """All evidence, too early or not: for telling a peer or a user."""
        both = self._ready | self._early
        return [both[key] for key in sorted(both)]

    def _make_room(self, item: EvidenceItem) -> bool:
        """Make room by evicting the highest height of the same key; false if that is the item's own."""
        both = self._ready | self._early
        of_key = {k: i for k, i in both.items() if _owner_of(i) == _owner_of(item)}
        if len(of_key) < self._per_key:
            return len(both) < self._limit
        highest = max(of_key, key=lambda k: (of_key[k].height, k))
        if of_key[highest].height <= item.height:
            return False
        self._ready.pop(highest, None)
        self._early.pop(highest, None)
        return True

    def __len__(self) -> int:
        return len(self._ready) + len(self._early)


def _key_of(item: EvidenceItem) -> Order:
    """The key of an item: one per offence, and one per fork. A shard's forks have one `order`, but not one
    height.
    """
    if isinstance(item, DoubleSigning):
        return item.order
    first, shard, *_ = item.order
    return first, shard, item.height, item.first.round, item.second.round, item.second.block_id


def _owner_of(item: EvidenceItem) -> tuple[int, bytes]:
    """The owner of the places that an item takes."""
    return item.chain, item.offence.validator if isinstance(item, DoubleSigning) else b""
