"""The faults of py-libp2p that we do not use it for, or go around: docs/libp2p.md.

Each test holds for the version that is installed. Where one fails after an update, libp2p has mended what it
names: strike it from docs/libp2p.md, and see whether what goes around it can go.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2p._libp2p import (
    MultiselectCommunicator,
    MuxedStreamError,
    TrioTCPStream,
    Yamux,
)
from tests.unit.p2p.test_peer_network import free_port

HEADER = struct.Struct(">BBHII")
DATA, UPDATE, PING, SYN = 0, 1, 2, 1


class Pieces:
    """A connection that has these pieces to read."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.asked: list[int | None] = []

    async def read(self, n: int | None = None) -> bytes:
        self.asked.append(n)
        return self.pieces.pop(0) if self.pieces else b""


async def test_a_message_in_more_than_a_hundred_pieces_is_given_up() -> None:
    from libp2p.io.exceptions import IncompleteReadError
    from libp2p.io.utils import read_exactly

    with pytest.raises(IncompleteReadError, match="received 101 bytes"):
        await read_exactly(Pieces(*[b"x"] * 150), 150)


async def test_tcp_is_read_without_a_buffer() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with (
        listeners[0],
        await trio.open_tcp_stream(*listeners[0].socket.getsockname()) as near,
        await listeners[0].accept() as far,
    ):
        await near.send_all(b"\x00\x02ab" * 2)
        await wait_all_tasks_blocked()
        reader = TrioTCPStream(far)
        assert await reader.read(2) == b"\x00\x02"
        assert await far.receive_some(100) == b"ab\x00\x02ab"  # it is all in the kernel still


async def test_multiselect_reads_as_much_as_a_stranger_announces() -> None:
    stranger = Pieces(b"\xff", b"\xff", b"\xff", b"\xff", b"\x7f")
    with pytest.raises(Exception, match="fail to read"):
        await MultiselectCommunicator(stranger).read()
    assert max(n for n in stranger.asked if n is not None) == 2**35 - 1


async def test_multiselect_lets_an_error_of_another_kind_escape() -> None:
    with pytest.raises(UnicodeDecodeError):
        await MultiselectCommunicator(Pieces(b"\x03", b"\xff\xfe\n")).read()


# --- Yamux ------------------------------------------------------------------------------------------


class Secured:
    """A secured connection whose other end is the test."""

    is_initiator = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self._put, self._take = trio.open_memory_channel[bytes](100_000)
        self._buffer = b""

    def put(self, kind: int, flags: int, stream: int, length: int, body: bytes = b"") -> None:
        self._put.send_nowait(HEADER.pack(0, kind, flags, stream, length) + body)

    async def read(self, n: int | None = None) -> bytes:
        while not self._buffer:
            self._buffer = await self._take.receive()
        data, self._buffer = self._buffer[:n], self._buffer[n:] if n else b""
        return data

    async def write(self, data: bytes) -> None:
        self.sent.append(bytes(data))


@pytest.fixture
async def yamux(nursery: trio.Nursery) -> tuple[Secured, Yamux]:
    """A stock session whose peer has opened stream 1."""
    secured = Secured()
    muxer = Yamux(secured, None, is_initiator=False)
    nursery.start_soon(muxer.start)
    await muxer.event_started.wait()
    secured.put(UPDATE, SYN, 1, 0)
    return secured, muxer


async def test_yamux_buffers_what_is_beyond_the_window(yamux: tuple[Secured, Yamux]) -> None:
    secured, muxer = yamux
    for _ in range(32):
        secured.put(DATA, 0, 1, 65_536, bytes(65_536))
    await wait_all_tasks_blocked()
    assert len(muxer.stream_buffers[1]) == 8 * 256 * 1024


async def test_yamux_takes_any_number_of_streams(yamux: tuple[Secured, Yamux]) -> None:
    secured, muxer = yamux
    for i in range(1, 1000):
        secured.put(UPDATE, SYN, 1 + 2 * i, 0)
    for _ in range(1000):
        await muxer.accept_stream()
    assert len(muxer.streams) == 1000


async def test_yamux_reads_no_more_while_nobody_accepts(yamux: tuple[Secured, Yamux]) -> None:
    secured, muxer = yamux
    for i in range(1, 20):
        secured.put(UPDATE, SYN, 1 + 2 * i, 0)
    secured.put(DATA, 0, 1, 1, b"x")
    await wait_all_tasks_blocked()
    assert not muxer.stream_buffers[1]


async def test_yamux_returns_credit_for_every_read(yamux: tuple[Secured, Yamux]) -> None:
    secured, muxer = yamux
    stream = await muxer.accept_stream()
    secured.put(DATA, 0, 1, 2000, bytes(2000))
    await wait_all_tasks_blocked()
    secured.sent.clear()
    for _ in range(20):
        await stream.read(100)
    assert [frame[1] for frame in secured.sent] == [UPDATE] * 20


async def test_yamux_gives_up_a_writer_whose_peer_reads_slowly(
    yamux: tuple[Secured, Yamux], autojump_clock: trio.testing.MockClock
) -> None:
    secured, muxer = yamux
    stream = await muxer.accept_stream()
    with pytest.raises(MuxedStreamError, match="window update"):
        await stream.write(bytes(256 * 1024 + 1))
    sent = b"".join(frame[12:] for frame in secured.sent if frame[1] == DATA)
    assert len(sent) == 256 * 1024  # all but the last byte: the stream is of no more use


async def test_yamux_measures_the_peer_but_never_gives_it_up(
    yamux: tuple[Secured, Yamux], autojump_clock: trio.testing.MockClock
) -> None:
    secured, muxer = yamux
    await trio.sleep(80)
    assert [frame[1] for frame in secured.sent].count(PING) == 2  # neither of them answered
    assert not muxer.event_shutting_down.is_set()


# --- Host and Swarm, in processes of their own ------------------------------------------------------------

HOSTS = """
import json, logging, sys, trio
logging.disable(logging.CRITICAL)
from libp2p import new_host
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr
address = [Multiaddr("/ip4/127.0.0.1/tcp/" + sys.argv[2])]

async def taken():
    with trio.socket.socket() as other:
        await other.bind(("127.0.0.1", int(sys.argv[2])))
        other.listen()
        host = new_host()
        async with host.run(listen_addrs=address):
            return len(host.get_addrs())

async def shared():
    a, b = new_host(), new_host()
    async with a.run(listen_addrs=address), b.run(listen_addrs=address):
        return len(a.get_addrs()) + len(b.get_addrs())

async def dialled():
    a, b = new_host(), new_host()
    async with b.run(listen_addrs=[]):
        for _ in range(2):
            try:
                await b.connect(PeerInfo(a.get_id(), address))
            except Exception as error:
                said = str(error)
        return said

async def hosts():
    offered = new_host().get_network().upgrader.security_multistream.transports
    print(json.dumps({
        "offered": [str(name) for name in offered],
        "taken": await taken(), "shared": await shared(), "dialled": await dialled(),
    }))

async def handler():
    async def broken(stream):
        raise RuntimeError("a bug in a handler")
    a, b = new_host(), new_host()
    a.set_stream_handler("/broken/1", broken)
    async with a.run(listen_addrs=address), b.run(listen_addrs=[]):
        await b.connect(PeerInfo(a.get_id(), address))
        await b.new_stream(a.get_id(), ["/broken/1"])
        await trio.sleep_forever()

trio.run({"hosts": hosts, "handler": handler}[sys.argv[1]])
"""


def run(what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HOSTS, what, str(free_port())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def hosts() -> dict[str, Any]:
    """What stock hosts did."""
    done = run("hosts")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_a_host_takes_plaintext_unless_told_not_to(hosts: dict[str, Any]) -> None:
    assert "/plaintext/2.0.0" in hosts["offered"]


@pytest.mark.slow
def test_two_hosts_share_a_port(hosts: dict[str, Any]) -> None:
    assert hosts["shared"] == 2


@pytest.mark.slow
def test_a_host_says_nothing_of_a_port_that_it_cannot_have(hosts: dict[str, Any]) -> None:
    assert hosts["taken"] == 0


@pytest.mark.slow
def test_a_dial_that_failed_keeps_the_next_from_being_tried(hosts: dict[str, Any]) -> None:
    assert "negative cache" in hosts["dialled"]


@pytest.mark.slow
def test_an_exception_in_a_handler_ends_the_process() -> None:
    done = run("handler")
    assert done.returncode == 1
    assert "RuntimeError: a bug in a handler" in done.stderr


@pytest.mark.slow
def test_a_part_of_libp2p_imports_the_whole() -> None:
    program = "import sys, libp2p.peer.id; print('aioquic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True\n"


def test_one_of_its_dependencies_has_to_be_compiled() -> None:
    assert any(name.startswith("fastecdsa") for name in metadata.requires("libp2p") or ())
