"""Frames and requests of a node to its peers, addressed by committee, shard or validator."""

from collections.abc import Iterable

from consensus.types import Address as ValidatorAddress
from consensus.types import ValidatorSet
from node import wire
from node.network.era_network import EraNetwork
from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.primitives.errors import DecodeError
from p2p.types import MethodSpec, PeerId
from rpc.times import CATCH_UP


class Outbound:
    """Encodes and addresses; has no state. `shard` is the one that this node runs."""

    def __init__(self, network: EraNetwork, topology: Topology, shard: ShardId) -> None:
        self._network = network
        self._topology = topology
        self._shard = shard

    # ------------------------------------------------------------------ frames

    def to_beacon(self, channel: int, payload: bytes) -> None:
        """Send a frame to every validator of the beacon."""
        self._network.broadcast(channel, payload, self._topology.beacon_peers())

    def to_shard(self, channel: int, payload: bytes) -> None:
        """Send a frame to every validator of our shard."""
        self._network.broadcast(channel, payload, self._topology.shard_peers(self._shard))

    def send(self, channel: int, peer: str, payload: bytes) -> bool:
        """Send a frame to one peer. Returns whether its queue took it."""
        return self._network.send(PeerId(peer), channel, payload)

    def consensus(
        self, chain: int, peers: Iterable[PeerId], message: wire.ConsensusMessage
    ) -> None:
        """Send a chain's message to some peers."""
        self._network.broadcast(wire.CONSENSUS.id, wire.encode_frame(chain, message), peers)

    def tell(self, chain: int, peer: str, message: wire.StatusMessage) -> None:
        """Send our height to one peer."""
        self.send(wire.CONSENSUS.id, peer, wire.encode_frame(chain, message))

    def announce(self, chain: int, height: int) -> None:
        """Send our height to every peer that follows the chain."""
        peers: Iterable[PeerId] = self._network.connected
        if chain != wire.BEACON:
            peers = [p for p in peers if self._topology.shard_of(p) in (self._shard, None)]
        self.consensus(chain, peers, wire.StatusMessage(height=height))

    def tell_followers(self, chain: int, height: int, validators: ValidatorSet) -> None:
        """Send a new height to the followers: they do not decide it, and pull it at once."""
        topology = self._topology

        def follows(peer: PeerId) -> bool:
            shard = topology.shard_of(peer)
            jailed = shard == chain and topology.address_of(peer) not in validators
            return shard is None or jailed

        followers = [p for p in self._network.connected if follows(p)]
        if followers:
            self.consensus(chain, followers, wire.StatusMessage(height=height))

    # ------------------------------------------------------------------ requests

    async def ask(
        self,
        peer: str,
        method: MethodSpec,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes:
        """The answer of one peer. Raises p2p's PeerFault."""
        return await self._network.request(PeerId(peer), method, payload, timeout=timeout)

    async def ask_height(self, member: ValidatorAddress) -> int:
        """The beacon block up to which a validator has decided, or may have helped to decide.

        Raises a peer's fault."""
        peer = self._topology.peer_of(member)
        if peer is None:
            raise DecodeError(f"0x{member.hex()} is no validator")
        return wire.decode_height(await self.ask(peer, wire.HEIGHT, b"", CATCH_UP))
