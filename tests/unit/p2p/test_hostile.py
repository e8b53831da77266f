"""What strangers and misbehaving members of the network can, and above all cannot, do."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256

import pytest
import trio

from p2p import compat
from p2p.errors import HandshakeFailed, P2PError
from p2p.framing import frame_header
from p2p.identity import Identity
from p2p.peer_network import PeerNetwork
from p2p.session import Protocols, Session, run_session
from p2p.types import (
    CONTROL_CHANNEL,
    ChannelSpec,
    MethodSpec,
    NetworkLimits,
    Overflow,
    PeerId,
    PeerSpec,
)
from p2p.yamux import WINDOW
from tests.unit.p2p.test_peer_network import SECONDS, free_port, until

NETWORK_ID = sha256(b"hostile").digest()
PROTOCOLS = Protocols.of(NETWORK_ID)
FRAMES = ChannelSpec(
    id=1,
    priority=0,
    max_frame=1_000_000,
    queue_frames=10_000,
    queue_bytes=50_000_000,
    overflow=Overflow.DISCONNECT,
)
ECHO = MethodSpec(name="echo", max_request=1000, max_response=1000, concurrency=2)
LIMITS = NetworkLimits(
    ping_interval=0.2,
    silence_timeout=30.0,
    write_timeout=30.0,
    handshake_timeout=30.0,
    penalty=0.3,
    max_half_open=4,
)
PATCHES = compat.Patches()
HASTY = replace(LIMITS, silence_timeout=2.0, write_timeout=2.0, handshake_timeout=1.0)
"""Of the victim, where a deadline is what ends the attack."""
# The first id is the lowest, so that the attacker is the one to dial.
ATTACKER, VICTIM, WITNESS, STRANGER = sorted(
    (Identity(sha256(bytes([i])).digest()) for i in range(4)), key=lambda i: i.peer_id
)


class Scene:
    """A victim and a witness, connected, and ports to attack."""

    def __init__(self, limits: NetworkLimits, host: str, patches: compat.Patches) -> None:
        self.host = host
        self.patches = patches
        self.ports = {i.peer_id: free_port() for i in (ATTACKER, VICTIM, WITNESS)}
        self.received: list[tuple[PeerId, bytes]] = []
        self.changes: list[tuple[PeerId, bool]] = []
        self.victim = self.make(VICTIM, limits)
        self.witness = self.make(WITNESS, LIMITS)

    def make(self, identity: Identity, limits: NetworkLimits) -> PeerNetwork:
        return PeerNetwork(
            identity=identity,
            listen=f"{self.host}:{self.ports.get(identity.peer_id) or free_port()}",
            network_id=NETWORK_ID,
            channels=[FRAMES],
            methods={ECHO: self.echo},
            peers=[
                PeerSpec(peer_id=peer, address=f"127.0.0.1:{port}", name=peer[-4:])
                for peer, port in self.ports.items()
            ],
            on_frame=self.on_frame,
            on_peer=lambda peer, up: self.changes.append((peer, up)),
            agent="atoll/test",
            limits=limits,
            patches=self.patches,
        )

    def changes_of(self, identity: Identity) -> list[tuple[PeerId, bool]]:
        return [change for change in self.changes if change[0] == identity.peer_id]

    async def echo(self, peer: PeerId, payload: bytes) -> bytes:
        return payload

    async def on_frame(self, peer: PeerId, channel: int, payload: bytes) -> None:
        self.received.append((peer, payload))

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.ports[VICTIM.peer_id]

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self.address)

    async def check(self) -> None:
        """The victim still serves its honest peer, on the connection it had."""
        token = os.urandom(8)
        assert self.witness.send(VICTIM.peer_id, 1, token)
        await until(lambda: (WITNESS.peer_id, token) in self.received)
        answer = await self.witness.request(VICTIM.peer_id, ECHO, token, timeout=SECONDS)
        assert answer == token
        assert self.witness.stats()[VICTIM.peer_id].connects == 1

    async def attack(
        self, act: Callable[[Session], Awaitable[None]], identity: Identity = ATTACKER
    ) -> None:
        """A proper handshake as a member, then `act`; returns when the session is over."""
        noise = compat.make_noise(identity.key_pair, lambda peer: None)

        async def serve(session: Session) -> None:
            await act(session)
            await trio.sleep_forever()

        await run_session(
            await self.connect(),
            expected=VICTIM.peer_id,
            noise=noise,
            protocols=PROTOCOLS,
            limits=LIMITS,
            patches=compat.Patches(),
            serve=serve,
        )


@asynccontextmanager
async def scene(
    limits: NetworkLimits = LIMITS,
    host: str = "127.0.0.1",
    patches: compat.Patches = PATCHES,
) -> AsyncIterator[Scene]:
    stage = Scene(limits, host, patches)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.victim.run)
        nursery.start_soon(stage.witness.run)
        await until(lambda: stage.victim.connected and stage.witness.connected)
        yield stage
        await stage.check()
        nursery.cancel_scope.cancel()


async def closed_by_remote(stream: trio.SocketStream) -> bytes:
    """Everything the remote says until it hangs up."""
    said = b""
    with trio.fail_after(SECONDS):
        try:
            while data := await stream.receive_some(65_536):
                said += data
        except trio.BrokenResourceError:
            pass
    return said


# --- strangers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(100_000),
        b"\xff" * 100_000,
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + b"x" * 1000,  # a length of 2^62
        b"\x80\x08" + b"x" * 2000,
        b"\x03\xff\xfe\n",  # not text
        b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\xff\xff" + b"\x00" * 65_535,
        b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\x00\x20" + b"\x01" * 32 + b"\x00\x10" * 50,
    ],
    ids=["http", "zeros", "ones", "huge", "long", "binary", "noise-zero", "noise-garbage"],
)
async def test_garbage_on_the_socket_is_hung_up_on(data: bytes) -> None:
    async with scene() as stage:
        stream = await stage.connect()
        try:
            await stream.send_all(data)
            await stream.send_eof()
        except trio.BrokenResourceError:
            pass  # hung up on before the end
        await closed_by_remote(stream)
        await stream.aclose()


async def test_plaintext_is_refused(loopback_clock: None) -> None:
    async with scene(HASTY) as stage:
        stream = await stage.connect()
        await stream.send_all(b"\x13/multistream/1.0.0\n\x11/plaintext/2.0.0\n")
        said = await closed_by_remote(stream)
        await stream.aclose()
    assert said == b"\x13/multistream/1.0.0\n\x03na\n"


async def test_an_unknown_peer_is_refused() -> None:
    async with scene() as stage:

        async def act(session: Session) -> None:
            await session.frames.write(frame_header(1, 1) + b"x")

        with pytest.raises((HandshakeFailed, P2PError)):
            await stage.attack(act, identity=STRANGER)
        assert not stage.changes_of(STRANGER)
        assert not [frame for frame in stage.received if frame[0] == STRANGER.peer_id]


async def test_another_peer_than_the_dialled_one_is_not_talked_to() -> None:
    async with scene() as stage:
        noise = compat.make_noise(ATTACKER.key_pair, lambda peer: None)

        async def serve(session: Session) -> None:
            raise AssertionError("authenticated as somebody else")

        with pytest.raises(HandshakeFailed):
            await run_session(
                await stage.connect(),
                expected=STRANGER.peer_id,
                noise=noise,
                protocols=PROTOCOLS,
                limits=LIMITS,
                patches=compat.Patches(),
                serve=serve,
            )


async def test_idle_strangers_neither_pile_up_nor_keep_members_out(loopback_clock: None) -> None:
    async with scene(HASTY) as stage:
        streams = [await stage.connect() for _ in range(20)]
        # 20 connections, 4 places: the newest strangers hold them all when the member comes
        assert len(stage.victim._half_open) <= LIMITS.max_half_open
        connected = trio.Event()

        async def act(session: Session) -> None:
            connected.set()

        async with trio.open_nursery() as nursery:

            async def member() -> None:
                with pytest.raises(P2PError):
                    await stage.attack(act)

            nursery.start_soon(member)
            await until(connected.is_set)
            await until(lambda: ATTACKER.peer_id in stage.victim.connected)
            for stream in streams:
                await closed_by_remote(stream)  # the deadline ends those that remain
                await stream.aclose()
            nursery.cancel_scope.cancel()


# --- members --------------------------------------------------------------------------------------


def message(kind: int, payload: bytes) -> bytes:
    return frame_header(kind, len(payload)) + payload


def request(request_id: int, name: bytes, total: int, body: bytes) -> bytes:
    head = struct.pack(">IB", request_id, len(name)) + name + struct.pack(">II", 1000, total)
    return message(1, head + body)


FRAME_ATTACKS = {
    "unknown channel": message(77, b"x"),
    "oversized": frame_header(1, FRAMES.max_frame + 1),
    "enormous": b"\xff" * 5,
    "short control": message(CONTROL_CHANNEL, b"x"),
    "unknown control": message(CONTROL_CHANNEL, bytes([9]) + bytes(8)),
    "garbage": bytes(range(7, 256)) * 50,
}
REQUEST_ATTACKS = {
    "unknown kind": message(99, b"xxxx"),
    "too short": message(1, b"x"),
    "no name": message(1, bytes(4)),
    "name cut": message(1, bytes(4) + b"\xff" + b"x"),
    "name not text": request(0, b"\xff\xfe", 0, b""),
    "oversized message": frame_header(1, 1_000_000),
    "oversized body": request(0, b"echo", 10**9, b"x"),
    "body beyond its length": request(0, b"echo", 1, b"xx"),
    "empty first chunk": request(0, b"echo", 5, b""),
    "ids go back": request(5, b"echo", 0, b"") + request(5, b"echo", 0, b""),
    "more of an empty body": request(0, b"echo", 0, b"") + message(3, bytes(4)),
    "more of a whole body": request(0, b"echo", 1, b"x") + message(3, bytes(4) + b"x"),
    "body of nothing": message(3, struct.pack(">I", 7) + b"x"),
    "response to nothing": message(2, struct.pack(">II", 7, 1) + b"x"),
    "refusal of nothing": message(5, struct.pack(">IH", 7, 1)),
}


@pytest.mark.parametrize("attack", FRAME_ATTACKS)
async def test_broken_frames_cost_the_sender_its_connection(
    attack: str, loopback_clock: None
) -> None:
    async def act(session: Session) -> None:
        await session.frames.write(FRAME_ATTACKS[attack])

    await expect_penalty(act)


@pytest.mark.parametrize("attack", REQUEST_ATTACKS)
async def test_broken_requests_cost_the_sender_its_connection(
    attack: str, loopback_clock: None
) -> None:
    async def act(session: Session) -> None:
        await session.requests.write(REQUEST_ATTACKS[attack])

    await expect_penalty(act)


async def window_overrun(session: Session) -> None:
    session.frames.send_window = 10**9
    await session.frames.write(frame_header(1, FRAMES.max_frame) + bytes(FRAMES.max_frame - 1))
    session.requests.send_window = 10**9
    # nothing is ever read of a body that is never complete, were it not for the window
    for _ in range(40):
        await session.muxer._write_frame(
            struct.pack(">BBHII", 0, 0, 0, session.frames.stream_id, WINDOW) + bytes(WINDOW)
        )


async def many_streams(session: Session) -> None:
    for _ in range(300):
        await session.muxer.open_stream()
        # those the victim refuses must not count as ours
    await trio.sleep_forever()


async def yamux_version(session: Session) -> None:
    await session.muxer._write_frame(struct.pack(">BBHII", 7, 0, 0, 1, 0))


async def yamux_oversized(session: Session) -> None:
    await session.muxer._write_frame(struct.pack(">BBHII", 0, 0, 0, 1, 2**32 - 1))


async def yamux_own_id(session: Session) -> None:
    await session.muxer._write_frame(struct.pack(">BBHII", 0, 1, 1, 2, 0))


async def forged_noise(session: Session) -> None:
    stream = session.muxer.secured_conn.conn.read_writer.read_write_closer.stream
    await stream.write(b"\x00\x40" + bytes(64))


@pytest.mark.parametrize(
    "act",
    [window_overrun, many_streams, yamux_version, yamux_oversized, yamux_own_id, forged_noise],
)
async def test_broken_sessions_cost_the_sender_its_connection(
    act: Callable[[Session], Awaitable[None]], loopback_clock: None
) -> None:
    await expect_penalty(act)


async def expect_penalty(act: Callable[[Session], Awaitable[None]]) -> None:
    async with scene() as stage:

        async def shielded(session: Session) -> None:
            try:
                await act(session)
            except compat.IO_ERRORS:
                pass  # disconnected in the middle of it

        with trio.fail_after(SECONDS), pytest.raises(P2PError):
            await stage.attack(shielded)
        await until(lambda: (ATTACKER.peer_id, False) in stage.changes)
        penalised = stage.victim._peers[ATTACKER.peer_id].penalty_until
        assert penalised > float("-inf"), stage.victim.stats()[ATTACKER.peer_id].last_error
        if trio.current_time() < penalised:
            with pytest.raises(P2PError):
                await stage.attack(shielded)
        # and it may come back afterwards
        await trio.sleep_until(penalised)
        back = trio.Event()

        async def behave(session: Session) -> None:
            back.set()

        async with trio.open_nursery() as nursery:

            async def return_() -> None:
                while True:  # the attack before may have been let in at the last moment, and have cost as much
                    with pytest.raises(P2PError):
                        await stage.attack(behave)
                    await trio.sleep(LIMITS.penalty)

            nursery.start_soon(return_)
            await until(lambda: ATTACKER.peer_id in stage.victim.connected)
            nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_member_that_floods_is_read_at_the_agreed_rate() -> None:
    async with scene() as stage:
        sent = 0

        async def act(session: Session) -> None:
            nonlocal sent
            while True:
                await session.frames.write((frame_header(1, 0)) * 10_000)
                sent += 10_000

        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                with pytest.raises(P2PError):
                    await stage.attack(act)

            started = trio.current_time()
            nursery.start_soon(flood)
            await until(lambda: sent > 250_000)
            await stage.check()
            # it writes as much as the window takes, we read what the bucket gives, and one batch
            allowed = LIMITS.frames_burst + LIMITS.frames_per_second * (
                trio.current_time() - started
            )
            assert stage.victim.stats()[ATTACKER.peer_id].frames_in <= allowed + 65_536 / 5
            assert ATTACKER.peer_id in stage.victim.connected
            nursery.cancel_scope.cancel()


async def test_a_member_that_asks_without_reading_is_dropped() -> None:
    async with scene(HASTY) as stage:

        async def act(session: Session) -> None:
            for i in range(100_000):
                await session.requests.write(
                    b"".join(request(i * 100 + j, b"nonsense" * 8, 0, b"") for j in range(100))
                )

        def deaf(session: Session) -> Awaitable[None]:
            session.requests.buffer = Void()
            return act(session)

        with trio.fail_after(SECONDS), pytest.raises(P2PError):
            await stage.attack(deaf)


async def wait_forever() -> None:
    await trio.sleep_forever()


class Void(bytearray):
    """A stream buffer nobody reads from: its window is never returned."""


async def test_a_member_that_stops_reading_is_dropped_alone(loopback_clock: None) -> None:
    async with scene(HASTY) as stage:
        stuck = trio.Event()

        async def never(n: int | None = None) -> bytes:
            await wait_forever()
            return b""

        async def act(session: Session) -> None:
            # stop the muxer's reading: neither credit nor pongs go out from now on
            session.muxer.secured_conn.read = never
            stuck.set()

        async with trio.open_nursery() as nursery:

            async def stop_reading() -> None:
                with pytest.raises(P2PError):
                    await stage.attack(act)

            nursery.start_soon(stop_reading)
            await until(stuck.is_set)
            await until(lambda: ATTACKER.peer_id in stage.victim.connected)
            for _ in range(40):
                stage.victim.send(ATTACKER.peer_id, 1, bytes(FRAMES.max_frame))
            checks = 0
            while ATTACKER.peer_id in stage.victim.connected:
                await stage.check()
                checks += 1
            assert checks > 1, "it was served when the other one had been dropped"
            nursery.cancel_scope.cancel()


STOCK_HOST = """
import json, sys, trio
from multiaddr import Multiaddr
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
a = json.loads(sys.argv[1])
async def main():
    pair = create_new_key_pair(bytes.fromhex(a["seed"]))
    host = new_host(key_pair=pair, sec_opt={
        PROTOCOL_ID: Transport(pair, noise_privkey=new_x25519().private_key)})
    with trio.fail_after(50):
        async with host.run(listen_addrs=[]):
            peer = ID.from_string(a["peer"])
            await host.connect(PeerInfo(peer, [Multiaddr(a["address"])]))
            frames = await host.new_stream(peer, [a["frames"]])
            await host.new_stream(peer, [a["requests"]])
            await frames.write(bytes.fromhex(a["send"]))
            expected, got = bytes.fromhex(a["expect"]), b""
            while expected not in got:
                got += await frames.read(65536)
            print("OK", flush=True)
            await trio.sleep_forever()
trio.run(main)
"""


@pytest.mark.slow
async def test_a_stock_libp2p_host_can_be_a_member() -> None:
    async with scene() as stage:
        arguments = {
            "seed": ATTACKER.to_bytes().hex(),
            "peer": VICTIM.peer_id,
            "address": "/ip4/{}/tcp/{}".format(*stage.address),
            "frames": PROTOCOLS.frames,
            "requests": PROTOCOLS.requests,
            "send": message(1, b"from a stock host").hex(),
            "expect": message(1, b"welcome").hex(),
        }
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    [sys.executable, "-c", STOCK_HOST, json.dumps(arguments)],
                    stdout=subprocess.PIPE,
                )
            )
            await until(lambda: (ATTACKER.peer_id, b"from a stock host") in stage.received)
            assert stage.victim.send(ATTACKER.peer_id, 1, b"welcome")
            assert process.stdout is not None
            with trio.fail_after(SECONDS):
                assert await process.stdout.receive_some(2) == b"OK"
            nursery.cancel_scope.cancel()
