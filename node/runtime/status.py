"""What a node says about itself: `atoll_status`, `/health`, and how far the network view reaches."""

from typing import TYPE_CHECKING, Any

import trio

from node.primitives.basics import Address, ShardId
from node.runtime import stakes
from node.runtime.sync import Syncer
from node.shard import messenger
from node.version import version

if TYPE_CHECKING:
    from node.runtime.node import Node

STALL_FACTOR = 5  # heartbeats without a block after which a chain is called stalled
STALL_FLOOR = 10.0
BEHIND = 8  # blocks; peers are a block or two ahead at any time, and at times more for a moment


class StatusReport:
    """Answers from what the node's parts know; holds only when each chain last grew."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._grown: dict[str, float] = {}  # when each chain made its last block, while we looked
        self._view_head = self._first_view_head()

    # ------------------------------------------------------------------ events

    def beacon_committed(self) -> None:
        self._grown["beacon"] = trio.current_time()
        self._advance_view()

    def shard_committed(self) -> None:
        self._grown["shard"] = trio.current_time()
        self._advance_view()

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
        while self._view_head < head and self._servable(self._view_head + 1):
            self._view_head += 1

    # ------------------------------------------------------------------ answers

    def peer_count(self) -> int:
        return len(self._node.network.connected)

    def syncing(self) -> bool:
        """Whether peers are ahead of us on one of our chains."""
        return any(self._is_behind(syncer) for syncer in self._node.syncers.values())

    def _is_behind(self, syncer: Syncer) -> bool:
        return syncer.highest() > syncer.head() + BEHIND

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
        """Healthy: our shard and the beacon make blocks, and we are not far behind them.

        A node that has just been started is healthy once it has seen both grow.
        """
        patience = max(STALL_FLOOR, STALL_FACTOR * self._node.genesis.params.heartbeat)
        now = trio.current_time()
        reasons = []
        if self._node.beacon.is_frozen(self._node.shard):
            reasons.append(f"shard {self._node.shard} is frozen: it has forked")
        for chain in ("shard", "beacon"):
            grown = self._grown.get(chain)
            if grown is None:
                reasons.append(f"the {chain} has made no block since this node was started")
            elif now - grown > patience:
                reasons.append(f"the {chain} has made no block for {now - grown:.0f} s")
        for syncer in self._node.syncers.values():
            if self._is_behind(syncer):
                tag = syncer.tag
                reasons.append(
                    f"{tag} is at block {syncer.head()} here, at {syncer.highest()} elsewhere"
                )
        return not reasons, {"healthy": not reasons, "reasons": reasons, **self.status()}
