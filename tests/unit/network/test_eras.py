"""Peers of other eras, and how a node gets to a later one."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from consensus.codec import encode_certificate
from consensus.types import BlockId, Certificate, Height, Round
from node import wire
from node.network import era_follower, era_network
from node.network.era_follower import EraFollower
from node.network.era_network import OTHER_ERA, EraNetwork
from node.primitives.errors import DecodeError, InvalidBlock
from p2p.errors import PeerUnavailable, RemoteRefused, RequestError
from p2p.types import PeerId

A, B = PeerId("a"), PeerId("b")


class FakeNetwork:
    """What the p2p package would be: frames are noted, requests answered as told."""

    def __init__(self, **options: Any) -> None:
        self.on_frame: Callable[[PeerId, int, bytes], Awaitable[None]] = options["on_frame"]
        self.on_peer: Callable[[PeerId, bool], None] = options["on_peer"]
        self.methods = options["methods"]
        self.connected: frozenset[PeerId] = frozenset()
        self.sent: list[tuple[PeerId, int, bytes]] = []
        self.answer: Exception | bytes = b""
        self.requests: list[bytes] = []

    def send(self, peer: PeerId, channel: int, payload: bytes) -> bool:
        self.sent.append((peer, channel, payload))
        return True

    def broadcast(self, channel: int, payload: bytes, peers: list[PeerId]) -> int:
        return sum(self.send(peer, channel, payload) for peer in peers)

    async def request(self, peer: PeerId, method: Any, payload: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        self.requests.append(payload)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Node:
    """An EraNetwork, and what it has passed on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(era_network, "PeerNetwork", FakeNetwork)
        self.era = 1
        self.frames: list[tuple[PeerId, int, bytes]] = []
        self.peers: list[tuple[PeerId, bool]] = []
        self.wanted: list[bytes] = []
        self.network = EraNetwork(
            era=lambda: self.era,
            on_frame=self._frame,
            on_peer=lambda peer, up: self.peers.append((peer, up)),
            on_wanted=lambda _, body: self.wanted.append(body),
            methods={wire.QUERY: self._query},
            era_methods={wire.ERA: self._ask},
        )
        self.p2p: Any = self.network.links

    async def _frame(self, peer: PeerId, channel: int, payload: bytes) -> None:
        self.frames.append((peer, channel, payload))

    async def _query(self, peer: PeerId, payload: bytes) -> bytes:
        return b"answer to " + payload

    async def _ask(self, peer: PeerId, era: int, payload: bytes) -> bytes:
        return b"from era %d" % era

    def connect(self, *peers: PeerId) -> None:
        self.p2p.connected |= set(peers)
        for peer in peers:
            self.p2p.on_peer(peer, True)

    async def hear(self, peer: PeerId, era: int, body: bytes = b"", channel: int = 4) -> None:
        await self.p2p.on_frame(peer, channel, era.to_bytes(4, "big") + body)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(monkeypatch)


async def test_a_peer_is_there_once_it_has_said_that_it_is_in_our_era(
    node: Node, autojump_clock: MockClock
) -> None:
    node.connect(A, B)
    assert node.p2p.sent == [(A, 4, b"\0\0\0\1"), (B, 4, b"\0\0\0\1")]
    assert (node.network.linked, node.network.connected) == ({A, B}, set())
    assert node.peers == []
    await node.hear(A, 1)
    await node.hear(A, 1)
    await node.hear(B, 0)
    assert node.peers == [(A, True)]
    assert node.network.connected == {A}
    node.p2p.connected -= {A}
    node.p2p.on_peer(A, False)
    assert node.peers[-1] == (A, False)
    node.connect(A)
    assert node.network.connected == set()


async def test_frames_of_other_eras_are_not_passed_on(
    node: Node, autojump_clock: MockClock
) -> None:
    node.connect(A, B)
    await node.hear(A, 1, b"now", channel=0)
    await node.hear(A, 0, b"of before", channel=2)  # a queue that is slower
    await node.hear(B, 2, b"ahead", channel=0)
    await node.hear(B, 2, b"a rewind")
    await node.p2p.on_frame(A, 0, b"\0\0")
    assert node.frames == [(A, 0, b"now")]
    assert node.wanted == []
    assert node.network.ahead() == [B]
    await node.hear(A, 1, b"a rewind")
    assert node.wanted == [b"a rewind"]


async def test_who_is_behind_is_told_so_and_not_too_often(
    node: Node, autojump_clock: MockClock
) -> None:
    node.connect(A)
    await trio.sleep(1)
    node.p2p.sent.clear()
    for _ in range(5):
        await node.hear(A, 0, b"x", channel=0)
    assert node.p2p.sent == [(A, 4, b"\0\0\0\1")]
    await trio.sleep(1)
    await node.hear(A, 0, b"x", channel=0)
    assert len(node.p2p.sent) == 2


async def test_what_is_sent_says_its_era_and_goes_to_those_in_it(
    node: Node, autojump_clock: MockClock
) -> None:
    node.connect(A, B)
    await node.hear(A, 1)
    await node.hear(B, 0)
    node.p2p.sent.clear()
    assert node.network.broadcast(0, b"x", [A, B]) == 1
    assert node.network.send(A, 1, b"y") is True
    assert node.network.send(B, 1, b"y") is False
    assert node.p2p.sent == [(A, 0, b"\0\0\0\1x"), (A, 1, b"\0\0\0\1y")]


async def test_nothing_is_passed_on_while_our_era_changes(
    node: Node, autojump_clock: MockClock
) -> None:
    node.connect(A, B)
    await node.hear(A, 1)
    node.network.pause()
    await node.hear(A, 1, b"late", channel=0)
    await node.hear(B, 2)
    answers = []

    async def ask() -> None:
        answers.append(await node.p2p.methods[wire.QUERY](B, b"\0\0\0\2what"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert (node.frames, answers) == ([], [])
        node.era = 2
        node.network.begin()
    assert answers == [b"answer to what"]
    assert node.peers == [(A, True), (B, True)]
    assert node.network.connected == {B}
    assert {(peer, payload) for peer, _, payload in node.p2p.sent[-2:]} == {
        (A, b"\0\0\0\2"),
        (B, b"\0\0\0\2"),
    }


async def test_requests_of_another_era_are_refused_unless_it_does_not_matter(
    node: Node, autojump_clock: MockClock
) -> None:
    query, ask = node.p2p.methods[wire.QUERY], node.p2p.methods[wire.ERA]
    assert await query(A, b"\0\0\0\1x") == b"answer to x"
    for payload in (b"\0\0\0\0x", b"\0\0\0\2x", b"\0\0"):
        with pytest.raises(RequestError) as refused:
            await query(A, payload)
        assert refused.value.code == OTHER_ERA
    assert await ask(A, b"\0\0\0\0") == b"from era 0"
    with pytest.raises(RequestError):
        await ask(A, b"")


async def test_a_request_waits_for_a_peer_that_is_about_to_follow(
    node: Node, autojump_clock: MockClock
) -> None:
    node.connect(A)
    await node.hear(A, 0)

    async def follow() -> None:
        await trio.sleep(1)
        await node.hear(A, 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        node.p2p.answer = b"yes"
        assert await node.network.request(A, wire.QUERY, b"x", timeout=5) == b"yes"
    assert node.p2p.requests == [b"\0\0\0\1x"]
    node.era = 2
    with pytest.raises(PeerUnavailable, match="in era 1, not in 2"):
        await node.network.request(A, wire.QUERY, b"x", timeout=5)
    node.era = 1
    node.p2p.answer = RemoteRefused(OTHER_ERA, "in era 2")
    with pytest.raises(PeerUnavailable, match="another era"):
        await node.network.request(A, wire.QUERY, b"x", timeout=5)


async def test_all_are_met_or_time_is_up(node: Node, autojump_clock: MockClock) -> None:
    node.connect(A, B)
    await node.hear(A, 1)
    start = trio.current_time()
    await node.network.met(3)
    assert trio.current_time() - start == pytest.approx(3, abs=0.5)
    await node.hear(B, 2)  # it has gone on already
    await node.network.met(3)
    assert trio.current_time() - start == pytest.approx(3, abs=0.5)


async def test_a_peer_that_lies_about_its_era_does_not_keep_us_from_the_others(
    node: Node, autojump_clock: MockClock
) -> None:
    begun: list[Any] = []
    follower = EraFollower(network=node.network, beacon=Any, host=Any, begin=begun.append)  # type: ignore[arg-type]
    asked: list[PeerId] = []

    async def learn(peer: PeerId) -> str:
        asked.append(peer)
        await trio.lowlevel.checkpoint()
        if peer == A:
            raise InvalidBlock("no such era")
        return "record"

    follower._learn = learn  # type: ignore[assignment,method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run)
        node.connect(A, B)
        await node.hear(A, 9)
        await trio.sleep(1)
        await node.hear(B, 2)
        await trio.sleep(1)
        assert begun == ["record"]
        assert asked[-1] == B
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("served", "applied"),
    [
        ((4,), []),  # as if it had no more, far from where it says that it goes back to
        ((4, 5, 6, 7), [(4, True), (5, True), (6, True), (7, False)]),
    ],
)
async def test_who_says_that_the_network_went_back_has_the_blocks_up_to_there(
    monkeypatch: pytest.MonkeyPatch, served: tuple[int, ...], applied: list[tuple[int, bool]]
) -> None:
    """Nobody is kept from taking part by a peer that hands out one block after the other."""
    record = SimpleNamespace(rewind=SimpleNamespace(height=7))
    monkeypatch.setattr(era_follower.EraRecord, "decode", lambda raw: record)
    monkeypatch.setattr(era_follower, "check_era", lambda beacon, record: None)
    beacon, taken = SimpleNamespace(head=SimpleNamespace(height=3)), []
    blocks = [
        wire.DecidedBlock(
            value=b"block",
            certificate=encode_certificate(
                Certificate(
                    height=Height(height), round=Round(0), block_id=BlockId(bytes(32)), signers=1,
                    signatures=(bytes(65),),
                )
            ),
        )
        for height in served
    ]  # fmt: skip

    async def request_any(peer: PeerId, method: Any, payload: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        page = wire.BlocksPage(head=2**63, blocks=blocks)
        return msgspec.msgpack.encode(page) if method is wire.BLOCKS else b"era"

    async def apply_decided(message: wire.DecidedMessage, *, more: bool) -> None:
        await trio.lowlevel.checkpoint()
        beacon.head.height = message.certificate.height
        taken.append((beacon.head.height, more))

    follower = EraFollower(
        network=SimpleNamespace(request_any=request_any),  # type: ignore[arg-type]
        beacon=beacon,  # type: ignore[arg-type]
        host=SimpleNamespace(apply_decided=apply_decided),  # type: ignore[arg-type]
        begin=lambda record: None,
    )
    with pytest.raises(DecodeError, match="goes back to 7") if not applied else nullcontext():
        await follower._learn(A)
    assert taken == applied
