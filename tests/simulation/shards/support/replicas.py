"""A shard of the simulated network: two replicas of its chain, its keys, and the wei that must be on it."""

from dataclasses import dataclass, field

from node.execution.trie_proof import iterate
from node.primitives import rlp
from node.primitives.basics import ShardId, keccak256
from node.primitives.header import Header
from node.primitives.keys import SigningKey
from node.primitives.placement import home_by_range
from node.shard import messenger
from node.shard.chain import ShardChain
from node.shard.lanes import InboundLane
from node.shard.run import ExecutedBlock
from node.storage.memory import MemoryStore
from tests.simulation.shards.support.traffic import FUNDS


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
    supply: int = 3 * FUNDS  # wei that must be here: of the genesis, brought and taken away since

    @property
    def chain(self) -> ShardChain:
        return self.chains[0]

    def wei(self, header: Header) -> int:
        """All balances, and what was burned, without what development operations issued."""
        state = self.chain.state(header)
        total = messenger.burned(state) - messenger.issued(state)
        for _, account in iterate(self.chain.read_node, header.state_root):
            total += int.from_bytes(rlp.decode_list(account)[1], "big")
        return total

    def audit(self, executed: ExecutedBlock) -> None:
        """No wei is lost or made in this block, but for what its messages brought and took away."""
        self.supply += sum(message.in_flight_wei for _, message in executed.delivered)
        self.supply -= sum(sent.message.in_flight_wei for sent in executed.sent)
        assert self.wei(executed.header) == self.supply, (self.shard, executed.header.number)
