"""Requests and responses between networks on loopback sockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest
import trio

from p2p.errors import Misuse, PeerUnavailable, RemoteRefused, RequestError, RequestTimeout
from p2p.identity import Identity
from p2p.peer_network import PeerNetwork
from p2p.types import (
    ChannelSpec,
    MethodSpec,
    NetworkLimits,
    Overflow,
    PeerId,
    PeerSpec,
    RefusalCode,
)
from tests.unit.p2p.test_peer_network import free_port, until

MIB = 1024 * 1024
FRAMES = ChannelSpec(
    id=1, priority=0, max_frame=100, queue_frames=9, queue_bytes=1000, overflow=Overflow.DROP_OLDEST
)
ECHO = MethodSpec(name="echo", max_request=16 * MIB, max_response=16 * MIB, concurrency=4)
FAIL = MethodSpec(name="fail", max_request=10, max_response=10, concurrency=4)
WAIT = MethodSpec(name="wait", max_request=10, max_response=10, concurrency=2)
UNSERVED = MethodSpec(name="unserved", max_request=10, max_response=10, concurrency=2)
A, B = sorted(
    (Identity(sha256(bytes([i])).digest()) for i in range(2)),
    key=lambda identity: identity.peer_id,
)

Handlers = Mapping[MethodSpec, Callable[[PeerId, bytes], Awaitable[bytes]]]


class Served:
    """Handlers of a node, and what happened in them."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self.release = trio.Event()

    async def echo(self, peer: PeerId, payload: bytes) -> bytes:
        return payload

    async def fail(self, peer: PeerId, payload: bytes) -> bytes:
        if payload == b"known":
            raise RequestError(404, "no such block")
        if payload == b"long":
            return bytes(11)
        raise RuntimeError("bug in a handler")

    async def wait(self, peer: PeerId, payload: bytes) -> bytes:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.release.wait()
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return b"done"


@asynccontextmanager
async def two(
    served: Served, limits: NetworkLimits | None = None
) -> AsyncIterator[tuple[PeerNetwork, PeerNetwork, trio.CancelScope]]:
    """Two connected networks (the first dials) and a scope that stops the second."""
    ports = {A.peer_id: free_port(), B.peer_id: free_port()}

    async def on_frame(peer: PeerId, channel: int, payload: bytes) -> None:
        pass

    def make(identity: Identity) -> PeerNetwork:
        return PeerNetwork(
            identity=identity,
            listen=f"127.0.0.1:{ports[identity.peer_id]}",
            network_id=b"requests",
            channels=[FRAMES],
            methods={ECHO: served.echo, FAIL: served.fail, WAIT: served.wait},
            peers=[
                PeerSpec(peer_id=peer, address=f"127.0.0.1:{port}", name="peer")
                for peer, port in ports.items()
            ],
            on_frame=on_frame,
            on_peer=lambda peer, up: None,
            limits=limits or NetworkLimits(),
        )

    a, b = make(A), make(B)
    scope = trio.CancelScope()

    async def run_b() -> None:
        with scope:
            await b.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        nursery.start_soon(run_b)
        await until(lambda: a.connected and b.connected)
        yield a, b, scope
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        59_999,
        60_000,
        60_001,
        200_000,
        8 * MIB,
        pytest.param(16 * MIB, marks=pytest.mark.slow),
    ],
)
async def test_bodies_of_any_size_come_back_whole(size: int) -> None:
    body = os.urandom(size)
    async with two(Served()) as (a, b, _):
        assert await a.request(B.peer_id, ECHO, body, timeout=10) == body
        assert await b.request(A.peer_id, "echo", body, timeout=10) == body


async def test_many_requests_at_once_each_get_their_own_response() -> None:
    async with two(Served()) as (a, b, _), trio.open_nursery() as nursery:
        answers: dict[int, bytes] = {}

        async def ask(i: int) -> None:
            answers[i] = await a.request(B.peer_id, ECHO, b"%d" % i * (i * 100), timeout=10)

        for i in range(100):
            nursery.start_soon(ask, i)
        await until(lambda: len(answers) == 100)
        assert all(answers[i] == b"%d" % i * (i * 100) for i in range(100))
        assert b.stats()[A.peer_id].requests_in == 100


@pytest.mark.slow
async def test_a_small_response_overtakes_a_large_one() -> None:
    async with two(Served()) as (a, _, _), trio.open_nursery() as nursery:
        order: list[int] = []

        async def ask(size: int) -> None:
            await a.request(B.peer_id, ECHO, bytes(size), timeout=10)
            order.append(size)

        nursery.start_soon(ask, 16 * MIB)
        await until(lambda: a.stats()[B.peer_id].bytes_in > 100_000)
        await ask(10)
        await until(lambda: len(order) == 2)
        assert order == [10, 16 * MIB]


async def test_errors_of_handlers_reach_the_requester() -> None:
    async with two(Served()) as (a, _, _):
        with pytest.raises(RemoteRefused, match="no such block") as refused:
            await a.request(B.peer_id, FAIL, b"known", timeout=5)
        assert refused.value.code == 404
        for payload in (b"bug", b"long"):
            with pytest.raises(RemoteRefused, match="internal error") as refused:
                await a.request(B.peer_id, FAIL, payload, timeout=5)
            assert refused.value.code == RefusalCode.INTERNAL
        with pytest.raises(RemoteRefused, match="unserved") as refused:
            await a.request(B.peer_id, UNSERVED, b"", timeout=5)
        assert refused.value.code == RefusalCode.UNKNOWN_METHOD
        assert a.connected


async def test_timeout_ends_the_wait_and_cancels_the_handler() -> None:
    served = Served()
    async with two(served) as (a, _, _):
        for _ in range(5):  # more than the method's concurrency: every slot comes back
            with pytest.raises(RequestTimeout):
                await a.request(B.peer_id, WAIT, b"", timeout=0.05)
        await until(lambda: served.cancelled == 5 and served.running == 0)
        served.release.set()
        assert await a.request(B.peer_id, WAIT, b"", timeout=5) == b"done"
        assert a.stats()[B.peer_id].connects == 1


async def test_cancelling_a_large_request_leaves_the_link_usable() -> None:
    async with two(Served()) as (a, b, _):
        for _ in range(5):
            before = b.stats()[A.peer_id].bytes_in
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def stop(before: int = before, scope: trio.CancelScope = scope) -> None:
                        await until(lambda: b.stats()[A.peer_id].bytes_in > before + 100_000)
                        scope.cancel()

                    nursery.start_soon(stop)
                    await a.request(B.peer_id, ECHO, bytes(16 * MIB), timeout=10)
            assert scope.cancelled_caught
        assert await a.request(B.peer_id, ECHO, b"still here", timeout=5) == b"still here"
        assert a.stats()[B.peer_id].connects == 1


async def test_a_handler_runs_under_our_deadline_too() -> None:
    async with two(Served(), NetworkLimits(handler_timeout=0.1)) as (a, _, _):
        with pytest.raises(RemoteRefused) as refused:
            await a.request(B.peer_id, WAIT, b"", timeout=30)
        assert refused.value.code == RefusalCode.DEADLINE


async def test_concurrency_per_peer_is_bounded() -> None:
    served = Served()
    async with two(served) as (a, _, _), trio.open_nursery() as nursery:
        done: list[bytes] = []

        async def ask() -> None:
            done.append(await a.request(B.peer_id, WAIT, b"", timeout=10))

        for _ in range(10):
            nursery.start_soon(ask)
        await until(lambda: served.running == WAIT.concurrency)
        served.release.set()
        await until(lambda: len(done) == 10)
        assert served.most == WAIT.concurrency


async def test_unavailable_before_and_after_the_peer_is_lost() -> None:
    served = Served()
    async with two(served) as (a, _, stop_b):
        failures: list[str] = []

        async def ask() -> None:
            with pytest.raises(PeerUnavailable) as lost:
                await a.request(B.peer_id, WAIT, b"", timeout=10)
            failures.append(str(lost.value))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await until(lambda: served.running == 2)
            stop_b.cancel()
        assert len(failures) == 2
        await until(lambda: not a.connected)
        with pytest.raises(PeerUnavailable):
            await a.request(B.peer_id, WAIT, b"", timeout=10)
        with pytest.raises(PeerUnavailable):
            await a.request(PeerId("stranger"), WAIT, b"", timeout=10)


async def test_misuse_is_told_to_the_caller() -> None:
    async with two(Served()) as (a, _, _):
        with pytest.raises(Misuse):
            await a.request(B.peer_id, "no such method", b"", timeout=1)
        with pytest.raises(Misuse):
            await a.request(B.peer_id, WAIT, bytes(11), timeout=1)
