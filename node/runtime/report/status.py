"""What a node says about itself: `atoll_status`, `/health`, and how far the network view reaches."""

from typing import TYPE_CHECKING, Any

from node.primitives.basics import Address, ShardId
from node.runtime.report import peers, stakes
from node.runtime.report.health import Health, is_behind
from node.shard import messenger
from node.version import version

if TYPE_CHECKING:
    from node.runtime.node import Node


class StatusReport:
    """Answers from what the node's parts know."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.healthy = Health(node)
        self._view_head = self._first_view_head()

    # ------------------------------------------------------------------ events

    def beacon_committed(self) -> None:
        self.healthy.grew("beacon")
        self._advance_view()

    def shard_committed(self) -> None:
        self.healthy.grew("shard")
        self._advance_view()

    def rewound(self) -> None:
        """The chains went back."""
        self._view_head = self._first_view_head()

    # ------------------------------------------------------------------ the network view's head

    def view_head(self) -> int:
        """The highest network block whose part of our own shard is here."""
        return self._view_head

    def _servable(self, height: int) -> bool:
        tip = self._node.beacon_chain.state_at(height).tip(self._node.shard)
        return tip.height <= self._node.shard_chain.head.number

    def _first_view_head(self) -> int:
        height = self._node.beacon_chain.head.header.height
        while height and not self._servable(height):
            height -= 1
        return height

    def _advance_view(self) -> None:
        head = self._node.beacon_chain.head.header.height
        before = self._view_head
        while self._view_head < head and self._servable(self._view_head + 1):
            self._view_head += 1
        if self._view_head > before:
            self._node.frontier.grown()
            self._node.gossip.grown()

    # ------------------------------------------------------------------ answers

    def peer_count(self) -> int:
        return len(self._node.network.linked)

    def node_info(self) -> dict[str, Any]:
        """See `peers.node_info`."""
        return peers.node_info(self._node)

    def peers(self) -> list[dict[str, Any]]:
        """See `peers.peers`."""
        return peers.peers(self._node)

    def syncing(self) -> bool:
        """Whether peers are ahead of us on one of our chains."""
        return any(is_behind(syncer) for syncer in self._node.syncers.values())

    def status(self) -> dict[str, Any]:
        node = self._node
        shard_head, beacon_head = node.shard_chain.head, node.beacon_chain.head
        pending, queued = node.shard_service.pool.counts()
        validator = node.topology.self_validator()
        return {
            "name": node.config.name,
            "shard": int(node.shard),
            "validator": validator.address if validator else None,
            "jailed": self._is_jailed(),
            "frozen": node.beacon.is_frozen(node.shard),
            "version": version(),
            "genesis": "0x" + node.genesis.hash.hex(),
            "chains": {
                "beacon": {"hash": "0x" + beacon_head.hash.hex(), **node.beacon_host.status()},
                "shard": {"hash": "0x" + shard_head.hash.hex(), **node.shard_host.status()},
            },
            "networkHead": self._view_head,
            "era": node.beacon_chain.eras.current,
            "peers": self.peer_count(),
            "peersExpected": len(node.config.peers),
            "devMethods": node.genesis.params.dev_methods,
            "pool": {"pending": pending, "queued": queued},
            "lanes": self._lanes(),
            "syncing": self.syncing(),
        }

    def _is_jailed(self) -> bool:
        key = self._node.keys.signing
        return key is not None and self._node.beacon.is_jailed(Address(key.address))

    def validators_report(self) -> list[dict[str, Any]]:
        """See `stakes.validators_report`."""
        node = self._node
        return stakes.validators_report(node.beacon_chain.state, node.topology.validator_name)

    def evidence_report(self) -> dict[str, Any]:
        """See `stakes.evidence_report`."""
        return stakes.evidence_report(self._node.beacon_chain, self._node.beacon.evidence)

    def _lanes(self) -> list[dict[str, int]]:
        node = self._node
        state = node.shard_chain.state()
        out = []
        for dst in node.genesis.shard_ids():
            if dst != node.shard:
                lane = node.beacon_chain.state.lane(node.shard, ShardId(dst))
                sent = messenger.outbox(state, ShardId(dst)).count
                out.append(
                    {"src": int(node.shard), "dst": dst, "sent": sent, "delivered": lane.consumed}
                )
        return out

    def health(self) -> tuple[bool, dict[str, Any]]:
        """`/health`: the verdict of `/readyz`, with the whole status."""
        ready, report = self.healthy.report()
        return ready, {"healthy": ready, **report, **self.status()}
