"""When a network that was started counts as up: every node answers, and every chain has made a block."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from node.cluster.layout import NetworkLayout
from node.cluster.status import BEACON, NodeReport


@dataclass(slots=True)
class Readiness:
    """Follows reports of the nodes until all is well.

    A chain that has blocks from an earlier run must make another one: its height from before proves nothing.
    """

    layout: NetworkLayout
    _first_seen: dict[str, int] = field(default_factory=dict)
    _latest: dict[str, int] = field(default_factory=dict)
    _silent: tuple[str, ...] = ()

    def observe(self, reports: Sequence[NodeReport]) -> None:
        """Take in one round of answers."""
        self._silent = tuple(report.node.name for report in reports if report.status is None)
        for report in reports:
            if report.status is None:
                continue
            for chain, height in (
                (BEACON, report.status.chains.beacon.height),
                (f"shard {report.node.shard}", report.status.chains.shard.height),
            ):
                # A chain is ahead of the lowest height that was ever seen of it only if it has moved, or if
                # a node of it was behind: then the others had made that block, and the node has to fetch it.
                self._first_seen[chain] = min(self._first_seen.get(chain, height), height)
                self._latest[chain] = max(self._latest.get(chain, height), height)

    def missing(self) -> list[str]:
        """What is not there yet, in words; empty when the network is up."""
        waiting = [f"{name} does not answer" for name in self._silent]
        chains = [BEACON, *(f"shard {shard}" for shard in self.layout.genesis.shard_ids())]
        return waiting + [
            f"{'the beacon' if chain == BEACON else chain} has made no block"
            for chain in chains
            if not self._moved(chain)
        ]

    def _moved(self, chain: str) -> bool:
        latest = self._latest.get(chain, 0)
        return latest >= 1 and (latest == 1 or latest > self._first_seen[chain])
