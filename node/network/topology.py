"""The members of the network, from the genesis: committees, peer ids, shards."""

from consensus.types import Address as ValidatorAddress
from consensus.types import ValidatorSet
from node.primitives.basics import ShardId
from node.primitives.genesis import Genesis, GenesisValidator, parse_address
from p2p.types import PeerId

PUSHERS = 2  # beacon validators that push a block to each node outside the committee


class Topology:
    """The static facts of one network, as seen by the node with `me` as its peer id."""

    def __init__(self, *, genesis: Genesis, me: PeerId) -> None:
        self.genesis = genesis
        self.me = me
        self.validators = genesis.validators
        self._by_peer = {v.peer_id: v for v in genesis.validators}
        self._addresses = {
            v.peer_id: ValidatorAddress(parse_address(v.address)) for v in genesis.validators
        }

    def self_validator(self) -> GenesisValidator | None:
        return self._by_peer.get(self.me)

    def shard_peers(self, shard: ShardId) -> list[PeerId]:
        """The validators of a shard, jailed ones too (they follow), without this node."""
        return self._others(self.genesis.committee(shard))

    def beacon_peers(self) -> list[PeerId]:
        """As `shard_peers`, of the beacon."""
        return self._others(self.genesis.beacon_committee())

    def followers_of_beacon(self, committee: ValidatorSet) -> list[PeerId]:
        """The peers that this node tells of a new beacon block, if it is one of the beacon `committee`.

        Every validator outside the committee is told by two of its members, so that the loss of one delays no
        validator. All of them can still ask.
        """
        members = [v.peer_id for v in self.validators if self._addresses[v.peer_id] in committee]
        if self.me not in members:
            return []
        mine, size = members.index(self.me), len(members)
        outside = [v.peer_id for v in self.validators if v.peer_id not in members]
        return [
            PeerId(peer) for index, peer in enumerate(outside) if (mine - index) % size < PUSHERS
        ]

    def address_of(self, peer: str) -> ValidatorAddress | None:
        """The consensus address of a validator by its peer id; None for other peers."""
        return self._addresses.get(peer)

    def peer_of(self, address: bytes) -> PeerId | None:
        """The peer id of a validator by its consensus address; None for other addresses."""
        found = (p for p, known in self._addresses.items() if known == address)
        return next((PeerId(peer) for peer in found), None)

    def validator_name(self, address: bytes) -> str | None:
        """The name of a validator by its consensus address; None for other addresses."""
        found = (v.name for v in self.validators if self._addresses[v.peer_id] == address)
        return next(found, None)

    def shard_of(self, peer: str) -> int | None:
        validator = self._by_peer.get(peer)
        return None if validator is None else validator.shard

    def name_of(self, peer: str) -> str:
        validator = self._by_peer.get(peer)
        return peer if validator is None else validator.name

    def _others(self, members: list[GenesisValidator]) -> list[PeerId]:
        return [PeerId(v.peer_id) for v in members if v.peer_id != self.me]
