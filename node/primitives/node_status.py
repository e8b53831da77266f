"""The answer to `atoll_status`: a node fills it in, and the launcher reads it."""

import msgspec

BEACON = "beacon"


class ChainStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The head of one chain as a node has it; `round` is the one its consensus is in."""

    hash: str
    height: int
    round: int


class ChainStatuses(msgspec.Struct, frozen=True, kw_only=True):
    beacon: ChainStatus
    shard: ChainStatus


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    pending: int
    queued: int


class LaneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Messages from shard `src` to shard `dst`: how many were sent, how many have arrived."""

    src: int
    dst: int
    sent: int
    delivered: int


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`validator` is the address of the validator that the node is, None for a follower. `network_head` is the
    number of the newest network block, `era` counts the times that the network was taken back."""

    name: str
    shard: int
    validator: str | None = None
    jailed: bool = False
    frozen: bool = False
    version: str = ""
    genesis: str = ""
    chains: ChainStatuses
    network_head: int = 0
    era: int = 0
    peers: int
    peers_expected: int
    dev_methods: bool = False
    pool: PoolStatus
    lanes: list[LaneStatus]
    syncing: bool

    def height(self, chain: str) -> int:
        return self.chains.beacon.height if chain == BEACON else self.chains.shard.height
