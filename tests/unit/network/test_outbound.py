"""Whom a node tells what."""

from typing import Any

import pytest

from consensus.types import Address, Validator, ValidatorSet
from node import wire
from node.network.outbound import Outbound
from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.primitives.errors import DecodeError
from p2p.types import PeerId
from tests.support.parts import genesis

TOPOLOGY = Topology(genesis=genesis(shards=2), me=PeerId("p00"))
MATES = [PeerId("p01"), PeerId("p02"), PeerId("p03")]
OTHER, FOLLOWER = PeerId("p10"), PeerId("follower")
HEIGHT = wire.StatusMessage(height=9)


def committee(*peers: str) -> ValidatorSet:
    addresses = [TOPOLOGY.address_of(peer) for peer in peers]
    return ValidatorSet([Validator(address=a, power=1) for a in addresses if a is not None])


class Network:
    """Notes (channel, payload, peers)."""

    def __init__(self) -> None:
        self.connected = [*MATES, OTHER, FOLLOWER]
        self.sent: list[tuple[int, bytes, list[str]]] = []

    def broadcast(self, channel: int, payload: bytes, peers: Any) -> None:
        self.sent.append((channel, payload, list(peers)))

    def send(self, peer: str, channel: int, payload: bytes) -> bool:
        self.sent.append((channel, payload, [peer]))
        return True

    async def request(self, peer: str, method: Any, payload: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109
        return wire.encode_height(int(peer[1:]))


def outbound() -> tuple[Outbound, Network]:
    network: Any = Network()
    return Outbound(network, TOPOLOGY, ShardId(0)), network


def test_a_height_goes_to_those_whom_the_chain_concerns() -> None:
    out, network = outbound()
    out.announce(0, 9)
    out.announce(wire.BEACON, 9)
    of_shard, of_beacon = network.sent
    assert of_shard == (
        wire.CONSENSUS.id, wire.encode_frame(0, HEIGHT), [*MATES, FOLLOWER],
    )  # fmt: skip
    assert of_beacon[2] == network.connected


def test_a_new_height_goes_to_those_who_do_not_decide_it() -> None:
    out, network = outbound()
    out.tell_followers(0, 9, committee("p00", "p01", "p02"))  # p03 is jailed
    assert network.sent == [(wire.CONSENSUS.id, wire.encode_frame(0, HEIGHT), ["p03", FOLLOWER])]
    network.connected = list(MATES)
    out.tell_followers(0, 9, committee(*MATES))
    assert len(network.sent) == 1


def test_frames_for_a_whole_committee() -> None:
    out, network = outbound()
    out.to_beacon(wire.EVIDENCE.id, b"x")
    out.to_shard(wire.TRANSACTIONS.id, b"y")
    assert out.send(wire.EVIDENCE.id, OTHER, b"z")
    assert network.sent == [
        (wire.EVIDENCE.id, b"x", TOPOLOGY.beacon_peers()),
        (wire.TRANSACTIONS.id, b"y", MATES),
        (wire.EVIDENCE.id, b"z", [OTHER]),
    ]


async def test_a_validator_is_asked_by_its_address() -> None:
    out, _ = outbound()
    address = TOPOLOGY.address_of("p12")
    assert address is not None
    assert await out.ask_height(address) == 12
    with pytest.raises(DecodeError, match="is no validator"):
        await out.ask_height(Address(bytes(20)))
