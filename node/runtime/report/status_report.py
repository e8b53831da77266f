"""The status of a node: `atoll_status`, `/health`."""

from typing import Any

import msgspec

from node.primitives.basics import Address, ShardId
from node.primitives.node_status import (
    ChainStatus,
    ChainStatuses,
    LaneStatus,
    NodeStatus,
    PoolStatus,
)
from node.runtime.parts import CurrentEra, Fixed
from node.runtime.report import peers, stakes
from node.runtime.report.health import Health, is_behind
from node.shard import messenger
from node.version import version


class StatusReport:
    """Answers from what the node's parts know."""

    def __init__(self, fixed: Fixed, era: CurrentEra, healthy: Health) -> None:
        self._fixed = fixed
        self._era = era
        self._healthy = healthy

    def peer_count(self) -> int:
        return len(self._fixed.network.linked)

    def node_info(self) -> dict[str, Any]:
        """See `peers.node_info`."""
        fixed, head = self._fixed, self._era().beacon_chain.head.hash
        return peers.node_info(fixed.config, fixed.genesis, fixed.topology.me, head)

    def peers(self) -> list[dict[str, Any]]:
        """See `peers.peers`."""
        return peers.peers(self._fixed.config, self._fixed.network.linked)

    def syncing(self) -> bool:
        """True if peers are ahead of us on one of our chains."""
        return any(is_behind(syncer) for syncer in self._era().syncers.values())

    def status(self) -> dict[str, Any]:
        """See `NodeStatus`."""
        status: dict[str, Any] = msgspec.to_builtins(self._status())
        return status

    def _status(self) -> NodeStatus:
        node, era = self._fixed, self._era()
        shard_head, beacon_head = era.shard_chain.head, era.beacon_chain.head
        pending, queued = era.shard.pool.counts()
        validator = node.topology.self_validator()
        return NodeStatus(
            name=node.config.name,
            shard=int(node.shard),
            validator=validator.address if validator else None,
            jailed=self._is_jailed(),
            frozen=era.beacon.is_frozen(node.shard),
            version=version(),
            genesis="0x" + node.genesis.hash.hex(),
            chains=ChainStatuses(
                beacon=ChainStatus(hash="0x" + beacon_head.hash.hex(), **era.hosts.beacon.status()),
                shard=ChainStatus(hash="0x" + shard_head.hash.hex(), **era.hosts.shard.status()),
            ),
            network_head=era.head.height(),
            era=era.beacon_chain.eras.current,
            peers=self.peer_count(),
            peers_expected=len(node.config.peers),
            dev_methods=node.genesis.params.dev_methods,
            pool=PoolStatus(pending=pending, queued=queued),
            lanes=self._lanes(),
            syncing=self.syncing(),
        )

    def _is_jailed(self) -> bool:
        me = self._fixed.keys.address
        return me is not None and self._era().beacon.is_jailed(Address(me))

    def validators(self) -> list[dict[str, Any]]:
        """See `stakes.validators_report`."""
        state = self._era().beacon_chain.state
        return stakes.validators_report(state, self._fixed.topology.validator_name)

    def evidence(self) -> dict[str, Any]:
        """See `stakes.evidence_report`."""
        era = self._era()
        return stakes.evidence_report(era.beacon_chain, era.beacon.evidence)

    def _lanes(self) -> list[LaneStatus]:
        here, era = self._fixed.shard, self._era()
        state = era.shard_chain.state()
        out = []
        for dst in self._fixed.genesis.shard_ids():
            if dst != here:
                lane = era.beacon_chain.state.lane(here, ShardId(dst))
                sent = messenger.outbox(state, ShardId(dst)).count
                out.append(LaneStatus(src=int(here), dst=dst, sent=sent, delivered=lane.consumed))
        return out

    def health(self) -> tuple[bool, dict[str, Any]]:
        """`/health`: the verdict of `/readyz`, with the whole status."""
        ready, report = self._healthy.report()
        return ready, {"healthy": ready, **report, **self.status()}
