"""The parts of a node: those that stay while its process lives, and those of one era.

A part is given `Fixed`, or less. A part that outlives an era is given `CurrentEra`, and calls it each time.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from consensus.signing import SignatureChecker
from node import wire
from node.beacon.chain import BeaconChain
from node.beacon.rewind import Rewind
from node.chains.beacon_app import BeaconService
from node.chains.network_head import NetworkHead
from node.chains.shard_app import ShardService
from node.concurrency.conveniences import Conveniences
from node.concurrency.worker import Worker
from node.config.live_faults import LiveFaults
from node.config.node_config import NodeConfig
from node.engine.host import ConsensusHost
from node.engine.journal import Journal
from node.engine.sync import Syncer
from node.network.crosslink_publisher import CrosslinkPublisher
from node.network.era_follower import EraFollower
from node.network.era_network import EraNetwork
from node.network.evidence_exchange import EvidenceExchange
from node.network.gossip import TransactionGossip
from node.network.lane_puller import LanePuller
from node.network.outbound import Outbound
from node.network.router import Router
from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.primitives.genesis import Genesis
from node.primitives.keys import SigningKey
from node.query.frontier import Frontier
from node.query.local import LocalSource
from node.shard.chain import ShardChain
from node.storage.level import LevelStore
from node.storage.quota import Quota
from node.telemetry.node_spans import NodeSpans
from p2p.identity import Identity


@dataclass(frozen=True, slots=True)
class Keys:
    """The validator's key, None for a follower, and the identity among peers."""

    signing: SigningKey | None
    identity: Identity

    @property
    def address(self) -> bytes | None:
        """The validator's address; None for a follower."""
        return None if self.signing is None else self.signing.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """The parts that stay while the process lives.

    `shard` is the one that this node runs; `is_beacon`: it is a member of the beacon committee.
    """

    config: NodeConfig
    genesis: Genesis
    keys: Keys
    topology: Topology
    shard: ShardId
    is_beacon: bool
    network: EraNetwork
    store: LevelStore
    quota: Quota
    checker: SignatureChecker
    faults: LiveFaults
    worker: Worker
    beside: Conveniences
    spans: NodeSpans | None


@dataclass(slots=True, kw_only=True)
class Hosts:
    """The consensus hosts of both chains, with the journals and files of those that sign."""

    shard: ConsensusHost
    beacon: ConsensusHost
    journals: tuple[Journal, ...]
    files: ExitStack
    by_chain: dict[int, ConsensusHost] = field(init=False)

    def __post_init__(self) -> None:
        self.by_chain = {host.app.chain: host for host in (self.shard, self.beacon)}

    def forget(self) -> None:
        """Empty the journals: the era is over, and its messages are not needed any more."""
        for journal in self.journals:
            journal.forget()

    def close(self) -> None:
        """Release the files, last opened first. Idempotent."""
        self.files.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """The chains from one rewind of the network to the next, and all that works on them.

    `rewound` says that it began while this process ran. `syncers` are by chain.
    """

    rewound: bool
    shard_chain: ShardChain
    beacon_chain: BeaconChain
    shard: ShardService
    beacon: BeaconService
    head: NetworkHead
    hosts: Hosts
    syncers: dict[int, Syncer]
    outbound: Outbound
    router: Router
    follower: EraFollower
    publisher: CrosslinkPublisher
    evidence: EvidenceExchange
    frontier: Frontier
    gossip: TransactionGossip
    puller: LanePuller
    local: LocalSource

    def want_rewind(self, rewind: Rewind) -> None:
        """Propose that the network goes back."""
        if self.beacon.want_rewind(rewind):
            self.hosts.beacon.notify_work()

    def ahead(self) -> int:
        """The highest beacon block that peers say they have."""
        return self.syncers[wire.BEACON].highest()


CurrentEra = Callable[[], Era]
"""The era that runs now."""
