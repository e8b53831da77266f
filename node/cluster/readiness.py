"""The rule by which a started network counts as up: every node answers, and every chain has made a block."""

from collections.abc import Iterable, Sequence

from node.cluster.network_status import NodeReport
from node.primitives.node_status import BEACON


class Readiness:
    """Follows the reports of the nodes until all is well.

    A new network is up when every chain has its first block. In a network that ran before, old blocks prove
    nothing: every chain must go beyond the highest block that a node had when it first answered. A frozen shard
    makes no more blocks and is not waited for.
    """

    def __init__(self, shards: Iterable[int], *, new: bool) -> None:
        self._new = new
        self._chains = [BEACON, *(_chain_of(shard) for shard in shards)]
        self._at_first: dict[tuple[str, str], int] = {}
        self._latest = dict.fromkeys(self._chains, 0)
        self._silent: list[str] = []
        self._frozen: set[str] = set()

    def observe(self, reports: Sequence[NodeReport]) -> None:
        """Take one round of answers."""
        self._silent = [report.node.name for report in reports if report.status is None]
        for report in reports:
            if report.status is None:
                continue
            for chain, height in (
                (BEACON, report.status.chains.beacon.height),
                (_chain_of(report.node.shard), report.status.chains.shard.height),
            ):
                self._at_first.setdefault((chain, report.node.name), height)
                self._latest[chain] = max(self._latest[chain], height)
            if report.status.frozen:
                self._frozen.add(_chain_of(report.node.shard))

    def missing(self) -> list[str]:
        """The parts that are missing, in words; empty when the network is up."""
        return [f"{name} does not answer" for name in self._silent] + [
            f"{'the beacon' if chain == BEACON else chain} has made no block"
            for chain in self._chains
            if self._latest[chain] <= self._to_pass(chain) and chain not in self._frozen
        ]

    def _to_pass(self, chain: str) -> int:
        if self._new:
            return 0
        return max((height for (of, _), height in self._at_first.items() if of == chain), default=0)


def _chain_of(shard: int) -> str:
    return f"shard {shard}"
