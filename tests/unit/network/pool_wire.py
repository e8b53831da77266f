"""Pools of one shard, and the frames between them."""

from consensus.types import Address as ValidatorAddress
from consensus.types import Validator, ValidatorSet
from node.network.gossip import TransactionGossip
from node.query.frontier import Frontier
from tests.unit.chains.one_shard import KEY, Net


def frontier_of_one() -> Frontier:
    """Of a node that shows all there is."""
    me = ValidatorAddress(KEY.address)
    return Frontier(
        committee=lambda: ValidatorSet([Validator(address=me, power=1)]),
        me=me,
        reached=lambda: 0,
        shown=lambda: 0,
        ask=None,  # type: ignore[arg-type]
    )


class Wire:
    """Two pools and the frames between them."""

    def __init__(self, net: Net) -> None:
        self.frames: list[bytes] = []
        self.sent: list[tuple[str, bytes]] = []
        self.service = net.service()
        self.news = 0
        self.gossip = TransactionGossip(
            service=self.service,
            frontier=frontier_of_one(),
            broadcast=self.frames.append,
            send=lambda peer, frame: self.sent.append((peer, frame)) or True,
            on_new=self._new,
        )

    def _new(self) -> None:
        self.news += 1
