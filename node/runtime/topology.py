"""Who is who in the network, from the genesis: committees, peer ids, shards."""

from dataclasses import dataclass

from consensus.types import Address as ValidatorAddress
from consensus.types import Validator, ValidatorSet
from node.primitives.basics import ShardId
from node.primitives.genesis import Genesis, GenesisValidator, parse_address
from p2p.types import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The static facts of one network, as seen by the node with `me` as its peer id."""

    genesis: Genesis
    me: PeerId

    @property
    def validators(self) -> list[GenesisValidator]:
        return self.genesis.validators

    def self_validator(self) -> GenesisValidator | None:
        return next((v for v in self.validators if v.peer_id == self.me), None)

    def committee(self, shard: ShardId) -> ValidatorSet:
        return _validator_set(self.genesis.committee(shard))

    def shard_peers(self, shard: ShardId) -> list[PeerId]:
        """The validators of a shard, without this node."""
        return self._others(self.genesis.committee(shard))

    def beacon_peers(self) -> list[PeerId]:
        return self._others(self.genesis.beacon_committee())

    def followers_of_beacon(self) -> list[PeerId]:
        """Who is told of a new beacon block by this node, a member of the beacon committee.

        Everyone outside the committee is told by two of its members, so that the loss of one delays
        nobody. All of them can still ask.
        """
        members = [v.peer_id for v in self.genesis.beacon_committee()]
        if self.me not in members:
            return []
        mine = members.index(PeerId(self.me))
        outside = [v.peer_id for v in self.validators if not v.beacon]
        size = len(members)
        return [
            PeerId(peer)
            for index, peer in enumerate(outside)
            if mine in (index % size, (index + 1) % size)
        ]

    def shard_of(self, peer: str) -> int | None:
        return next((v.shard for v in self.validators if v.peer_id == peer), None)

    def name_of(self, peer: str) -> str:
        return next((v.name for v in self.validators if v.peer_id == peer), peer)

    def _others(self, members: list[GenesisValidator]) -> list[PeerId]:
        return [PeerId(v.peer_id) for v in members if v.peer_id != self.me]


def _validator_set(members: list[GenesisValidator]) -> ValidatorSet:
    return ValidatorSet(
        Validator(address=ValidatorAddress(parse_address(v.address)), power=v.stake)
        for v in members
    )
