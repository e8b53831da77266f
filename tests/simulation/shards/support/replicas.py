"""A shard of the simulated network: two replicas of its chain, and its keys."""

from dataclasses import dataclass, field

from node.primitives.basics import ShardId, keccak256
from node.primitives.keys import SigningKey
from node.primitives.placement import home_by_range
from node.shard.chain import ShardChain
from node.shard.lanes import InboundLane
from node.shard.run import ExecutedBlock
from tests.support.memory_store import MemoryStore


def grind(shard: int, shards: int, salt: str) -> SigningKey:
    n = 0
    while True:
        key = SigningKey(keccak256(b"%s %d" % (salt.encode(), n)))
        if home_by_range(key.address, shards) == shard:
            return key
        n += 1


@dataclass
class Replicas:
    """One shard: the node that builds, another that judges, what was pulled, what was ever sent."""

    shard: ShardId
    stores: tuple[MemoryStore, MemoryStore]
    chains: list[ShardChain]
    coinbase: SigningKey
    users: list[SigningKey]
    lanes: dict[ShardId, InboundLane]
    anchor_height: int = 0
    executed: list[ExecutedBlock] = field(default_factory=list)

    @property
    def chain(self) -> ShardChain:
        return self.chains[0]
