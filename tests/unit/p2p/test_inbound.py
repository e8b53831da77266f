"""What every libp2p peer is answered, and what a peer that is not of our network can, and cannot, do."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
from multiaddr import Multiaddr

from p2p import compat
from p2p._libp2p import ID, Identify
from p2p.compat import (
    IO_ERRORS,
    Communicator,
    MultiselectClient,
    Patches,
    ProtocolNotSupportedError,
)
from p2p.errors import Misuse, PeerFault
from p2p.identity import Identity
from p2p.inbound import IDENTIFY, NEVER, PING
from p2p.session import _secure
from p2p.types import NetworkLimits
from p2p.yamux import MEMBER, STRANGER
from tests.support.effort import seeds
from tests.unit.p2p import test_hostile
from tests.unit.p2p.test_hostile import (
    ATTACKER,
    HASTY,
    LIMITS,
    PATCHES,
    PROTOCOLS,
    VICTIM,
    WITNESS,
    Scene,
    scene,
)
from tests.unit.p2p.test_peer_network import SECONDS, STOCK, until

PLACES = 3
FEW = replace(LIMITS, max_strangers=PLACES)


@asynccontextmanager
async def visit(stage: Scene, identity: Identity = test_hostile.STRANGER) -> AsyncIterator[Any]:
    """A libp2p connection to the victim that opens nothing by itself: its muxer."""
    async with await stage.connect() as socket, _session(socket, identity) as muxer:
        yield muxer


@asynccontextmanager
async def _session(socket: trio.SocketStream, identity: Identity) -> AsyncIterator[Any]:
    noise = compat.make_noise(identity.key_pair, lambda peer: None)
    secured, peer = await _secure(socket, VICTIM.peer_id, noise, compat.Patches())
    muxer = compat.make_muxer(secured, peer, initiator=True, patches=compat.Patches(), terms=MEMBER)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            try:
                await muxer.start()
            except (*IO_ERRORS, PeerFault):
                pass  # `event_shutting_down` is set

        nursery.start_soon(run)
        yield muxer
        nursery.cancel_scope.cancel()


async def ask(muxer: Any, protocol: str) -> Any:
    """A stream of a protocol."""
    stream = await muxer.open_stream()
    client, communicator = MultiselectClient(), Communicator(stream)
    with trio.fail_after(SECONDS):
        await client.handshake(communicator)
        await client.try_select(communicator, protocol)
    return stream


class Pieces:
    """A stream that has all that it will ever bring."""

    def __init__(self, data: bytes) -> None:
        self.data, self.written = data, 0

    async def read(self, n: int) -> bytes:
        piece, self.data = self.data[:n], self.data[n:]
        return piece

    async def write(self, data: bytes) -> None:
        self.written += 1


async def test_a_negotiation_ends() -> None:
    """Each message would be answered, and thousands fit into one frame of any peer."""
    hello = b"\x13/multistream/1.0.0\n"
    stream = Pieces(hello + b"\x01\n" * 2_000)
    with pytest.raises(IO_ERRORS), trio.fail_after(SECONDS):
        await compat.Multiselect({IDENTIFY: None}).negotiate(Communicator(stream), NEVER)
    assert stream.written <= 20


async def everything(stream: Any) -> bytes:
    said = b""
    with trio.fail_after(SECONDS):
        try:
            while True:
                said += await stream.read(65_536)
        except IO_ERRORS:
            return said


async def identify(muxer: Any) -> Any:
    stream = await ask(muxer, IDENTIFY)
    said = await everything(stream)
    await stream.close()
    message, size = Identify(), said[0] & 0x7F | said[1] << 7
    assert said[0] & 0x80
    assert size == len(said) - 2
    message.ParseFromString(said[2:])
    return message


async def ping(stream: Any, size: int = 32) -> None:
    payload = os.urandom(size)
    await stream.write(payload)
    echo = b""
    with trio.fail_after(SECONDS):
        while len(echo) < size:
            echo += await stream.read(size - len(echo))
    assert echo == payload


def is_ours(message: Any, identity: Identity, port: int) -> None:
    assert ID.from_pubkey(identity.key_pair.public_key).to_base58() == identity.peer_id
    assert message.public_key == identity.key_pair.public_key.serialize()
    assert message.agent_version == "atoll/test"
    assert message.protocol_version == "atoll/1"
    assert list(message.protocols) == [PROTOCOLS.frames, PROTOCOLS.requests, IDENTIFY, PING]
    assert [str(Multiaddr(a)) for a in message.listen_addrs] == [f"/ip4/127.0.0.1/tcp/{port}"]
    assert str(Multiaddr(message.observed_addr)).startswith("/ip4/127.0.0.1/tcp/")


# --- what is answered -----------------------------------------------------------------------------


async def test_a_stranger_is_told_who_we_are_and_gets_its_pings_back() -> None:
    async with scene() as stage, visit(stage) as muxer:
        is_ours(await identify(muxer), VICTIM, stage.ports[VICTIM.peer_id])
        stream = await ask(muxer, PING)
        for _ in range(3):
            await ping(stream)
        assert not stage.changes_of(test_hostile.STRANGER)


@pytest.mark.parametrize("patches", [PATCHES, STOCK], ids=["ours", "stock"])
async def test_members_are_answered_whichever_side_dialled(patches: Patches) -> None:
    async with scene(patches=patches) as stage:
        for network, peer in ((stage.witness, VICTIM), (stage.victim, WITNESS)):
            link = network._peers[peer.peer_id].link
            assert link is not None
            muxer = link._session.muxer
            is_ours(await identify(muxer), peer, stage.ports[peer.peer_id])
            await ping(await ask(muxer, PING))


@pytest.mark.parametrize("who", [ATTACKER, test_hostile.STRANGER], ids=["member", "stranger"])
async def test_streams_that_were_closed_take_no_places(who: Identity) -> None:
    async with scene() as stage, visit(stage, who) as muxer:
        for _ in range(MEMBER.streams + 2):
            stream = await ask(muxer, PING)
            await ping(stream)
            await stream.close()
            assert await everything(stream) == b""  # it closes its side, too
        assert (await identify(muxer)).agent_version == "atoll/test"


async def test_a_ping_may_come_in_pieces() -> None:
    async with scene() as stage, visit(stage) as muxer:
        stream = await ask(muxer, PING)
        await stream.write(bytes(31))
        await stream.write(b"\x01" + bytes(31))
        await stream.write(bytes(1))
        said = b""
        with trio.fail_after(SECONDS):
            while len(said) < 64:
                said += await stream.read(64)
        assert said == bytes(31) + b"\x01" + bytes(32)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("10.0.0.1", "/ip4/10.0.0.1/tcp/7"),
        ("::1", "/ip6/::1/tcp/7"),
        ("fe80::1%eth0", "/ip6/fe80::1/tcp/7"),
    ],
)
def test_addresses_of_identify(host: str, shown: str) -> None:
    said = compat.identify_message(
        VICTIM.key_pair, protocol="p", agent="a", listen=(host, 7), observed=None, protocols=()
    )
    message = Identify()
    message.ParseFromString(said[1:])
    assert [str(Multiaddr(a)) for a in message.listen_addrs] == [shown]
    assert not message.HasField("observed_addr")


async def test_who_listens_everywhere_says_the_address_that_the_peer_reached() -> None:
    async with scene(host="0.0.0.0") as stage, visit(stage) as muxer:  # noqa: S104
        said = await identify(muxer)
        assert [str(Multiaddr(a)) for a in said.listen_addrs] == [
            f"/ip4/127.0.0.1/tcp/{stage.ports[VICTIM.peer_id]}"
        ]


# --- and nothing else ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "protocol", [*PROTOCOLS.both, "/ipfs/id/push/1.0.0", "/meshsub/1.1.0", "/atoll/0/frames/1"]
)
async def test_a_stranger_is_served_nothing_else(protocol: str) -> None:
    async with scene() as stage, visit(stage) as muxer:
        with pytest.raises(ProtocolNotSupportedError):
            await ask(muxer, protocol)
        await ping(await ask(muxer, PING))  # asking costs nothing
        assert not stage.changes_of(test_hostile.STRANGER)
        assert test_hostile.STRANGER.peer_id not in stage.victim.connected


async def test_strangers_at_their_full_number_neither_keep_members_out_nor_slow_them() -> None:
    async with scene(FEW) as stage:
        gone = 0

        async def stay(*, task_status: trio.TaskStatus[None]) -> None:
            nonlocal gone
            async with visit(stage, Identity.generate()) as muxer:
                stream = await ask(muxer, PING)
                task_status.started()
                try:
                    while True:
                        await ping(stream)
                except IO_ERRORS:
                    gone += 1

        async with trio.open_nursery() as nursery:
            for i in range(3 * PLACES):
                await nursery.start(stay)
                assert len(stage.victim.strangers) <= PLACES
                await until(lambda i=i: gone >= i + 1 - PLACES)  # type: ignore[misc]
            assert len(stage.victim.strangers) == PLACES
            assert stage.victim.strangers.connections == 3 * PLACES
            assert not stage.victim._half_open  # where members come in
            async with visit(stage, ATTACKER) as muxer:
                for protocol in PROTOCOLS.both:
                    await ask(muxer, protocol)
                await until(lambda: ATTACKER.peer_id in stage.victim.connected)
                await stage.check()
                assert len(stage.victim.strangers) == PLACES
            nursery.cancel_scope.cancel()


async def test_a_new_stranger_takes_the_place_of_who_asked_for_nothing_for_longest() -> None:
    async with (
        scene(replace(LIMITS, max_strangers=2)) as stage,
        visit(stage, Identity.generate()) as first,
        visit(stage) as second,
    ):
        await until(lambda: len(stage.victim.strangers) == 2)
        stream = await ask(first, PING)
        await ping(stream)
        async with visit(stage, Identity.generate()) as third:
            with trio.fail_after(SECONDS):
                await second.event_shutting_down.wait()
            await ping(stream)
            await ping(await ask(third, PING))


async def test_a_stranger_that_asks_for_nothing_goes(loopback_clock: None) -> None:
    async with scene(replace(LIMITS, stranger_idle=0.2)) as stage, visit(stage) as muxer:
        with trio.fail_after(SECONDS):
            await muxer.event_shutting_down.wait()
        await until(lambda: len(stage.victim.strangers) == 0)


@pytest.mark.parametrize(
    ("limits", "patches"), [(replace(LIMITS, max_strangers=0), PATCHES), (LIMITS, STOCK)]
)
async def test_without_places_strangers_are_refused_as_soon_as_they_are_known(
    limits: NetworkLimits, patches: Patches
) -> None:
    """Stock Yamux holds nobody to any limits, so there are no places then."""
    async with scene(limits, patches=patches) as stage:
        with pytest.raises(IO_ERRORS):
            async with visit(stage):
                raise AssertionError("it was let in")


def test_the_number_of_places_is_no_less_than_none() -> None:
    with pytest.raises(Misuse):
        NetworkLimits(max_strangers=-1)


async def test_pings_are_answered_at_a_rate(loopback_clock: None) -> None:
    limits = replace(LIMITS, pings_per_second=5.0, pings_burst=10)
    async with scene(limits) as stage:
        link = stage.witness._peers[VICTIM.peer_id].link
        assert link is not None
        started, count = trio.current_time(), 0
        stream = await ask(link._session.muxer, PING)
        await stream.write(bytes(32 * 100))
        while count < 14 * 32:
            count += len(await stream.read())
        assert count / 32 <= 10 + 5 * (trio.current_time() - started) + 1
        await stage.check()


async def test_there_are_two_streams_of_pings_at_most() -> None:
    async with scene() as stage, visit(stage) as muxer:
        first, second, third = [await ask(muxer, PING) for _ in range(3)]
        assert await everything(third) == b""
        await ping(first)
        await ping(second)
        await first.close()
        await until(lambda: first.recv_closed)
        await ping(await ask(muxer, PING))


# --- strangers that break the rules of what they may --------------------------------------------------


def yamux(kind: int, flags: int, stream: int, length: int, body: bytes = b"") -> bytes:
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + body


async def floods_a_stream(muxer: Any) -> None:
    stream = await muxer.open_stream()  # and never says what for
    await stream.write(bytes(STRANGER.window + 1))


async def announces_a_large_frame(muxer: Any) -> None:
    stream = await muxer.open_stream()
    size = STRANGER.window + 1
    await muxer._write_frame(yamux(0, 0, stream.stream_id, size))


async def opens_many_streams(muxer: Any) -> None:
    for _ in range(STRANGER.opens_burst + 10):
        await muxer.open_stream()


async def opens_and_resets(muxer: Any) -> None:
    for _ in range(STRANGER.opens_burst + 10):
        await (await muxer.open_stream()).reset()


async def pushes_garbage(muxer: Any) -> None:
    await muxer._write_frame(b"\xff" * 100)


@pytest.mark.parametrize(
    "act",
    [
        floods_a_stream,
        announces_a_large_frame,
        opens_many_streams,
        opens_and_resets,
        pushes_garbage,
    ],
)
async def test_strangers_that_break_the_rules_are_hung_up_on(
    act: Callable[[Any], Awaitable[None]],
) -> None:
    async with scene() as stage, visit(stage) as muxer:
        try:
            await act(muxer)
        except IO_ERRORS:
            pass  # in the middle of it
        with trio.fail_after(SECONDS):
            await muxer.event_shutting_down.wait()
        await until(lambda: len(stage.victim.strangers) == 0)


async def test_a_stranger_has_few_streams_and_none_of_them_for_nothing(
    loopback_clock: None,
) -> None:
    async with scene(replace(LIMITS, handshake_timeout=1.0)) as stage, visit(stage) as muxer:
        silent = [await muxer.open_stream() for _ in range(STRANGER.streams)]
        beyond = await muxer.open_stream()
        assert await everything(beyond) == b""
        assert beyond.reset_received
        for stream in silent:  # the time to say what for is over
            await everything(stream)
            assert stream.reset_received
        await ping(await ask(muxer, PING))


async def test_frames_of_a_stranger_are_read_at_a_rate(loopback_clock: None) -> None:
    async with scene() as stage, visit(stage) as muxer:
        answered, listen = 0, muxer.secured_conn.read

        async def read(n: int | None = None) -> bytes:
            nonlocal answered
            data: bytes = await listen(n)
            answered += len(data) // 12
            return data

        muxer.secured_conn.read = read
        started = trio.current_time()
        await muxer._write_frame(yamux(2, 1, 0, 7) * 1000)
        await until(lambda: answered > STRANGER.pings_burst)
        await stage.check()
        elapsed = trio.current_time() - started
        assert answered <= STRANGER.pings_burst + STRANGER.pings * elapsed + 2


@pytest.mark.parametrize("seed", seeds(8))
async def test_a_stranger_that_sends_any_frames_harms_nobody(seed: int) -> None:
    draw = random.Random(seed)
    async with scene(HASTY) as stage, visit(stage) as muxer:
        data = b"".join(
            yamux(
                draw.randrange(4),
                draw.choice((0, 0, 1, 2, 4, 8, draw.randrange(65_536))),
                draw.choice((0, 1, 3, 5, 7, 2, draw.randrange(2**32))),
                len(body),
                body,
            )
            if draw.random() < 0.9
            else draw.randbytes(draw.randrange(40))
            for body in [draw.randbytes(draw.choice((0, 1, 20, 32, 200))) for _ in range(60)]
        )
        try:
            await muxer._write_frame(data)
        except IO_ERRORS:
            pass
        await stage.check()
