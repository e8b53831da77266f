"""Networks on loopback sockets: frames, life of connections, isolation of peers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
import trio

from p2p.compat import Patches
from p2p.errors import Misuse, PeerPortInUse
from p2p.identity import Identity
from p2p.peer_network import PeerNetwork
from p2p.types import ChannelSpec, NetworkLimits, Overflow, PeerId, PeerSpec

NETWORK_ID = sha256(b"test network").digest()
VOTES = ChannelSpec(
    id=1,
    priority=0,
    max_frame=4096,
    queue_frames=10_000,
    queue_bytes=8_000_000,
    overflow=Overflow.DISCONNECT,
)
BULK = ChannelSpec(
    id=2,
    priority=5,
    max_frame=2 * 1024 * 1024,
    queue_frames=64,
    queue_bytes=8 * 1024 * 1024,
    overflow=Overflow.DROP_OLDEST,
)
SECONDS = 60.0  # far more than anything takes: for a machine that does much else
PATIENT = NetworkLimits(
    ping_interval=0.2, silence_timeout=30, write_timeout=30, handshake_timeout=30, penalty=0.5
)
HASTY = replace(PATIENT, silence_timeout=1.0, write_timeout=1.0, handshake_timeout=2.0)
"""For what is found out by its silence."""
# The lower id of a pair dials: identities in the order of their ids make tests readable.
IDENTITIES = sorted(
    (Identity(sha256(bytes([i])).digest()) for i in range(8)), key=lambda i: i.peer_id
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Any], seconds: float = SECONDS) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - conditions on several nodes
            await trio.sleep(0.005)


class Node:
    """A network and what it received."""

    def __init__(self, index: int, ports: list[int], **options: Any) -> None:
        self.index = index
        self.frames: list[tuple[PeerId, int, bytes]] = []
        self.changes: list[tuple[PeerId, bool]] = []
        self.gate: trio.Event | None = None
        self.waiting = 0
        members = options.pop("members", range(len(ports)))
        options.setdefault("limits", PATIENT)
        options.setdefault("network_id", NETWORK_ID)
        self.network = PeerNetwork(
            identity=IDENTITIES[index],
            listen=f"127.0.0.1:{ports[index]}",
            channels=[VOTES, BULK],
            methods={},
            peers=[spec(i, ports[i]) for i in members],
            on_frame=self.on_frame,
            on_peer=lambda peer, up: self.changes.append((peer, up)),
            **options,
        )
        self.id = self.network.peer_id

    async def on_frame(self, peer: PeerId, channel: int, payload: bytes) -> None:
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
        self.frames.append((peer, channel, payload))

    def received(self, payload: bytes) -> bool:
        return any(frame[2] == payload for frame in self.frames)


def spec(index: int, port: int) -> PeerSpec:
    return PeerSpec(
        peer_id=IDENTITIES[index].peer_id, address=f"127.0.0.1:{port}", name=f"node-{index}"
    )


@asynccontextmanager
async def running(nodes: Iterable[Node], mesh: bool = True) -> AsyncIterator[None]:
    nodes = list(nodes)
    async with trio.open_nursery() as nursery:
        for node in nodes:
            await nursery.start(node.network.run)
        if mesh:
            await until(lambda: all(len(n.network.connected) == len(nodes) - 1 for n in nodes))
        yield
        nursery.cancel_scope.cancel()


def pair(**options: Any) -> tuple[Node, Node]:
    ports = [free_port(), free_port()]
    return Node(0, ports, **options), Node(1, ports, **options)


STOCK = Patches(buffered_tcp=False, session_muxer=False)


@pytest.mark.parametrize(
    "patches",
    [(Patches(), Patches()), (STOCK, STOCK), (Patches(), STOCK), (STOCK, Patches())],
    ids=["patched", "stock", "patched-stock", "stock-patched"],
)
async def test_frames_arrive_in_order_in_both_directions(patches: tuple[Patches, Patches]) -> None:
    ports = [free_port(), free_port()]
    a, b = Node(0, ports, patches=patches[0]), Node(1, ports, patches=patches[1])
    sent = [bytes([i % 256]) * (i % 500) for i in range(1500)]
    async with running([a, b]):
        assert all(a.network.send(b.id, 1, frame) for frame in sent)
        assert all(b.network.send(a.id, 1, frame) for frame in sent)
        await until(lambda: len(a.frames) == len(b.frames) == len(sent))
    assert [frame for _, _, frame in b.frames] == sent
    assert a.frames == [(b.id, 1, frame) for frame in sent]


async def test_frames_larger_than_the_window_arrive() -> None:
    a, b = pair()
    big = os.urandom(BULK.max_frame)
    async with running([a, b]):
        assert a.network.send(b.id, 2, big)
        await until(lambda: b.frames)
    assert b.frames == [(a.id, 2, big)]


async def test_urgent_frames_overtake_bulk() -> None:
    a, b = pair()
    async with running([a, b]):
        for _ in range(4):
            assert a.network.send(b.id, 2, bytes(1024 * 1024))
        assert a.network.send(b.id, 1, b"vote")
        await until(lambda: len(b.frames) == 5)
    assert b.frames[0] == (a.id, 1, b"vote")


async def test_full_mesh_of_eight_connects_and_broadcasts() -> None:
    ports = [free_port() for _ in range(8)]
    nodes = [Node(i, ports, limits=replace(PATIENT, ping_interval=2.0)) for i in range(8)]
    async with running(nodes):
        for node in nodes:
            assert node.network.broadcast(1, node.id.encode()) == 7
        await until(lambda: all(len(node.frames) == 7 for node in nodes))
        for node in nodes:
            assert {frame for _, _, frame in node.frames} == {
                other.id.encode() for other in nodes if other is not node
            }
            assert node.network.broadcast(1, b"x", [nodes[0].id]) == (node is not nodes[0])


async def test_stats_count_and_measure() -> None:
    a, b = pair()
    async with running([a, b]):
        a.network.send(b.id, 1, b"12345")
        await until(lambda: b.frames)
        await until(lambda: a.network.stats()[b.id].rtt is not None)
        stats = a.network.stats()[b.id]
        assert stats.connected
        assert stats.connects == 1
        assert stats.frames_out >= 1
        assert stats.bytes_out >= 10
        assert 0 < (stats.rtt or 0) < 1
        assert b.network.stats()[a.id].frames_in >= 1
        sent, got = a.network.channel_stats[1], b.network.channel_stats[1]
        assert (sent.frames_out, sent.bytes_out, sent.drops) == (1, 5, 0)
        assert (got.frames_in, got.bytes_in, got.frames_out) == (1, 5, 0)
    assert not a.network.stats()[b.id].connected
    assert a.changes == [(b.id, True), (b.id, False)]


async def test_send_without_connection_is_false_and_misuse_is_loud() -> None:
    a, b = pair()
    assert a.network.send(b.id, 1, b"x") is False
    assert a.network.broadcast(1, b"x") == 0
    with pytest.raises(Misuse):
        a.network.send(b.id, 99, b"x")
    with pytest.raises(Misuse):
        a.network.send(b.id, 1, bytes(VOTES.max_frame + 1))


@pytest.mark.parametrize(("staying", "returning"), [(0, 1), (1, 0)], ids=["dialler", "dialled"])
async def test_reconnects_when_a_peer_returns_on_the_same_port(
    staying: int, returning: int
) -> None:
    ports = [free_port(), free_port()]
    stays = Node(staying, ports)

    async def visit() -> None:
        back = Node(returning, ports)
        async with running([back], mesh=False):
            await until(lambda: stays.network.connected)
            assert stays.network.send(back.id, 1, b"hello")
            await until(lambda: back.frames)
        await until(lambda: not stays.network.connected)

    async with running([stays], mesh=False):
        await visit()
        await visit()
    assert [up for _, up in stays.changes] == [True, False, True, False]


async def test_peers_can_be_added_while_running() -> None:
    ports = [free_port(), free_port()]
    a, b = Node(0, ports, members=[]), Node(1, ports, members=[])
    async with running([a, b], mesh=False):
        b.network.add_peer(spec(0, ports[0]))
        a.network.add_peer(spec(1, ports[1]))
        await until(lambda: a.network.connected and b.network.connected)
        assert b.changes == [(a.id, True)]


async def test_port_in_use_is_reported_with_what_to_do() -> None:
    with socket.socket() as taken:
        # what a stale libp2p node does to its port
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        node = Node(0, [taken.getsockname()[1]])
        with pytest.raises(PeerPortInUse, match=r"127\.0\.0\.1:\d+ is already in use: stop"):
            await node.network.run()


async def test_clean_shutdown_frees_the_port_and_can_run_again() -> None:
    a, b = pair()
    for _ in range(2):
        async with running([a, b]):
            a.network.broadcast(1, b"x")
        assert not a.network.connected
        for node in (a, b):
            port = int(node.network._listen.rpartition(":")[2])
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_another_network_is_refused_and_said_so() -> None:
    ports = [free_port(), free_port()]
    a = Node(0, ports)
    b = Node(1, ports, network_id=sha256(b"another network").digest())
    async with running([a, b], mesh=False):
        await until(lambda: "another network" in (a.network.stats()[b.id].last_error or ""))
        assert not a.network.connected
        assert not b.network.connected
    assert not a.changes
    assert not b.changes


async def test_exceptions_of_callbacks_are_ours_to_bear() -> None:
    a, b = pair()

    async def broken(peer: PeerId, channel: int, payload: bytes) -> None:
        b.frames.append((peer, channel, payload))
        raise RuntimeError("bug in on_frame")

    def broken_peer(peer: PeerId, up: bool) -> None:
        raise RuntimeError("bug in on_peer")

    b.network._on_frame = broken
    b.network._on_peer = broken_peer
    async with running([a, b]):
        for i in range(3):
            a.network.send(b.id, 1, bytes([i]))
        await until(lambda: len(b.frames) == 3)
        assert a.network.connected
        assert b.network.connected


async def test_slow_on_frame_holds_up_its_own_peer_only_and_keeps_the_link(
    loopback_clock: None,
) -> None:
    ports = [free_port() for _ in range(3)]
    nodes = slow, busy, other = [Node(i, ports, limits=HASTY) for i in range(3)]
    async with running(nodes):
        slow.gate = trio.Event()
        assert busy.network.send(slow.id, 1, b"waits")
        await until(lambda: slow.waiting)
        gate, slow.gate = slow.gate, None
        assert other.network.send(slow.id, 1, b"passes")
        await until(lambda: slow.frames)
        assert slow.frames == [(other.id, 1, b"passes")]
        await trio.sleep(HASTY.silence_timeout * 1.5)  # longer than any silence is borne
        assert slow.network.connected == {busy.id, other.id}
        assert slow.id in busy.network.connected
        gate.set()
        assert busy.network.send(slow.id, 1, b"again")
        await until(lambda: slow.received(b"again"))
    assert slow.frames[1:] == [(busy.id, 1, b"waits"), (busy.id, 1, b"again")]


CHILD = """
import json, sys, trio
from p2p.identity import Identity
from p2p.peer_network import PeerNetwork
from p2p.types import ChannelSpec, Overflow, PeerSpec
arguments = json.loads(sys.argv[1])
async def main():
    async def on_frame(peer, channel, payload):
        network.send(peer, channel, payload)
    network = PeerNetwork(
        identity=Identity(bytes.fromhex(arguments["seed"])),
        listen=arguments["listen"], network_id=bytes.fromhex(arguments["network_id"]),
        channels=[
            ChannelSpec(id=1, priority=0, max_frame=4096, queue_frames=10000,
                        queue_bytes=8000000, overflow=Overflow.DISCONNECT),
            ChannelSpec(id=2, priority=5, max_frame=2097152, queue_frames=64,
                        queue_bytes=8388608, overflow=Overflow.DROP_OLDEST),
        ],
        methods={}, peers=[PeerSpec(**peer) for peer in arguments["peers"]],
        on_frame=on_frame, on_peer=lambda peer, up: None,
    )
    await network.run()
trio.run(main)
"""


def spawn(index: int, ports: list[int]) -> subprocess.Popen[bytes]:
    peers = [
        {"peer_id": IDENTITIES[i].peer_id, "address": f"127.0.0.1:{ports[i]}", "name": f"node-{i}"}
        for i in range(len(ports))
        if i != index
    ]
    arguments = {
        "seed": IDENTITIES[index].to_bytes().hex(),
        "listen": f"127.0.0.1:{ports[index]}",
        "network_id": NETWORK_ID.hex(),
        "peers": peers,
    }
    return subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(arguments)])


@pytest.mark.slow
async def test_a_stopped_process_holds_up_nobody_and_comes_back() -> None:
    ports = [free_port() for _ in range(3)]
    a, b = Node(0, ports, limits=HASTY), Node(1, ports, limits=HASTY)
    child = spawn(2, ports)
    child_id = IDENTITIES[2].peer_id
    try:
        async with running([a, b], mesh=False):
            await until(lambda: len(a.network.connected) == len(b.network.connected) == 2)
            assert a.network.send(child_id, 1, b"echo")
            await until(lambda: (child_id, 1, b"echo") in a.frames)

            child.send_signal(signal.SIGSTOP)
            for _ in range(8):  # more than socket and window buffers take
                a.network.send(child_id, 2, bytes(1024 * 1024))
            latencies = []
            for i in range(100):
                started = trio.current_time()
                assert a.network.send(b.id, 1, bytes([i]))
                await until(partial(b.received, bytes([i])))
                latencies.append(trio.current_time() - started)
            assert sorted(latencies)[50] < 0.1
            await until(lambda: child_id not in a.network.connected)
            await until(lambda: child_id not in b.network.connected)

            child.send_signal(signal.SIGCONT)
            await until(lambda: child_id in a.network.connected)
            assert a.network.send(child_id, 1, b"again")
            await until(lambda: (child_id, 1, b"again") in a.frames)

            child.kill()
            child.wait()
            await until(lambda: child_id not in a.network.connected)
            child = spawn(2, ports)  # a new process on the same port
            await until(lambda: child_id in a.network.connected)
            assert a.network.send(child_id, 1, b"reborn")
            await until(lambda: (child_id, 1, b"reborn") in a.frames)
    finally:
        child.send_signal(signal.SIGCONT)
        child.kill()
        child.wait()
