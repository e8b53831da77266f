"""What comes in from peers reaches those whom it concerns, in the era that runs."""

from types import SimpleNamespace
from typing import Any

import pytest

from node import wire
from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.runtime import inbound as inbound_module
from node.runtime.inbound import Inbound
from node.runtime.parts import Era, Hosts
from p2p.errors import RequestError
from p2p.types import PeerId
from rpc.caller import CALLER, Caller
from tests.support.parts import genesis, partly

TOPOLOGY = Topology(genesis=genesis(shards=2), me=PeerId("p00"))
MATE, ELSEWHERE, FOLLOWER = PeerId("p01"), PeerId("p10"), PeerId("follower")


class Told:
    """Stands for a part of an era: what it is told goes to `told`, with its name before it."""

    def __init__(self, name: str, told: list[tuple[Any, ...]]) -> None:
        self.name, self._told = name, told

    def __getattr__(self, what: str) -> Any:
        return lambda *args: self._told.append((self.name, what, *args))

    async def deliver(self, peer: str, body: bytes) -> None:
        self._told.append((self.name, "deliver", peer, body))


class Gossip(Told):
    async def received(self, peer: str, frame: bytes) -> None:
        self._told.append((self.name, "received", peer, frame))


def era(told: list[tuple[Any, ...]], name: str = "") -> Era:
    """An era whose parts note what they are told."""
    return partly(
        Era,
        hosts=partly(Hosts, by_chain={0: host(0, told, name), wire.BEACON: host(-1, told, name)}),
        publisher=Told(name + "publisher", told),
        evidence=Told(name + "evidence", told),
        gossip=Gossip(name + "gossip", told),
        outbound=Told(name + "outbound", told),
        beacon_chain=SimpleNamespace(eras=SimpleNamespace(current=3)),
        local="our own shard",
    )


def host(chain: int, told: list[tuple[Any, ...]], name: str) -> Any:
    made: Any = Told(f"{name}host {chain}", told)
    made.app = SimpleNamespace(head_height=lambda: 7, validators=lambda: {address(MATE)})
    return made


def address(peer: str) -> Any:
    return TOPOLOGY.address_of(peer)


def inbound(current: Era, *, is_beacon: bool = True) -> Inbound:
    return Inbound(TOPOLOGY, shard=ShardId(0), is_beacon=is_beacon, era=lambda: current)


async def test_frames_reach_those_whom_they_concern() -> None:
    told: list[tuple[Any, ...]] = []
    hears = inbound(era(told))
    status = wire.StatusMessage(height=3)
    await hears.on_frame(ELSEWHERE, wire.CONSENSUS.id, wire.encode_frame(wire.BEACON, status))
    await hears.on_frame(MATE, wire.CONSENSUS.id, wire.encode_frame(0, status))
    await hears.on_frame(ELSEWHERE, wire.CONSENSUS.id, wire.encode_frame(1, status))
    await hears.on_frame(MATE, wire.CONSENSUS.id, b"")
    await hears.on_frame(ELSEWHERE, wire.CROSSLINKS.id, b"crosslink")
    await hears.on_frame(ELSEWHERE, wire.EVIDENCE.id, b"evidence")
    await hears.on_frame(ELSEWHERE, wire.TRANSACTIONS.id, b"of another shard")
    await hears.on_frame(MATE, wire.TRANSACTIONS.id, b"ours")
    assert [note[:3] for note in told] == [
        ("host -1", "deliver", ELSEWHERE),
        ("host 0", "deliver", MATE),
        ("publisher", "received", ELSEWHERE),
        ("evidence", "received", ELSEWHERE),
        ("gossip", "received", MATE),
    ]


async def test_what_is_for_the_beacon_is_not_heard_outside_of_it() -> None:
    told: list[tuple[Any, ...]] = []
    hears = inbound(era(told), is_beacon=False)
    await hears.on_frame(MATE, wire.CROSSLINKS.id, b"crosslink")
    hears.on_wanted(MATE, b"no rewind")
    assert told == []


async def test_another_era_hears_what_comes_after_it_has_begun() -> None:
    told: list[tuple[Any, ...]] = []
    running = [era(told, "first ")]
    hears = Inbound(TOPOLOGY, shard=ShardId(0), is_beacon=True, era=lambda: running[-1])
    await hears.on_frame(MATE, wire.EVIDENCE.id, b"1")
    running.append(era(told, "second "))
    await hears.on_frame(MATE, wire.EVIDENCE.id, b"2")
    assert [note[0] for note in told] == ["first evidence", "second evidence"]


def test_a_peer_that_comes_is_told_how_far_we_are() -> None:
    told: list[tuple[Any, ...]] = []
    hears = inbound(era(told))
    height = wire.StatusMessage(height=7)
    hears.on_peer(MATE, False)
    assert told == []
    hears.on_peer(FOLLOWER, True)
    greeting = [("outbound", "tell", chain, FOLLOWER, height) for chain in (0, wire.BEACON)]
    assert told == greeting
    told.clear()
    hears.on_peer(MATE, True)
    names = [note[0] for note in told]
    assert names == ["outbound", "host 0", "outbound", "host -1", "evidence", "gossip"]


async def test_a_node_is_asked_for_its_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user of a node is one here, too."""
    seen: list[tuple[Any, ...]] = []

    async def serve(source: Any, question: bytes, _aside: Any, *, executes: bool) -> bytes:
        seen.append((source, question, executes, CALLER.get()))
        return b"yes"

    monkeypatch.setattr(inbound_module, "serve", serve)
    hears = inbound(era([]))
    assert await hears.serve_query(True, MATE, b"\0\0\0\7what") == b"yes"
    assert seen == [("our own shard", b"what", True, Caller(7, via=MATE))]
    with pytest.raises(RequestError, match="no user"):
        await hears.serve_query(True, MATE, b"\0\0\0")


async def test_blocks_of_a_later_era_are_refused() -> None:
    with pytest.raises(RequestError, match="in era 3, not in 4"):
        await inbound(era([])).serve_blocks(MATE, 4, b"")
