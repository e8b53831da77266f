"""Catching up: whom a node believes, and what it takes of a page."""

import msgspec
import pytest
import trio

from consensus.codec import encode_certificate
from consensus.types import BlockId, Certificate, Height, Round
from node.engine.peer_heights import FIRST_BENCH, LONGEST_BENCH, Claims
from node.engine.sync import Syncer, decided_of
from node.primitives.errors import DecodeError
from node.wire import MAX_PAGE_ITEMS, BlocksPage, BlocksRequest, DecidedBlock

ALL = ("a", "b", "c")


def block(height: int) -> DecidedBlock:
    certificate = Certificate(
        height=Height(height), round=Round(0), block_id=BlockId(bytes(32)), signers=1,
        signatures=(bytes(65),),
    )  # fmt: skip
    return DecidedBlock(value=b"%d" % height, certificate=encode_certificate(certificate))


def page(head: int, *heights: int) -> BlocksPage:
    return BlocksPage(head=head, blocks=[block(height) for height in heights])


# ------------------------------------------------------------------ claims


def test_the_highest_claim_of_who_is_connected_counts():
    claims = Claims()
    for peer, height in (("a", 5), ("b", 9), ("b", 7), ("gone", 99)):
        claims.heard(peer, height)
    assert claims.highest(ALL, 0.0) == claims.of("b") == 9
    assert claims.highest((), 0.0) == 0
    assert claims.next_above(9, ALL, 0.0) is None


def test_all_who_are_ahead_are_asked_in_turn():
    claims = Claims()
    for peer in ALL:
        claims.heard(peer, 5)
    asked = [claims.next_above(4, ALL, 0.0) for _ in range(6)]
    assert asked[:3] == asked[3:]
    assert sorted(asked[:3]) == list(ALL)


def test_who_did_not_deliver_is_not_believed_for_longer_and_longer():
    claims = Claims()
    now, expected = 0.0, FIRST_BENCH
    for _ in range(8):
        claims.heard("a", 5)
        claims.fault("a", now)
        assert claims.of("a") == 0  # what it claimed is forgotten
        claims.heard("a", 5)  # and what it claims now does not count yet
        assert claims.highest(ALL, now + expected - 0.1) == 0
        assert claims.next_above(4, ALL, now + expected - 0.1) is None
        assert claims.highest(ALL, now + expected) == 5
        now += expected
        expected = min(2 * expected, LONGEST_BENCH)
    assert expected == LONGEST_BENCH
    claims.kept("a", 6)
    claims.fault("a", now)
    claims.heard("a", 7)
    assert claims.highest(ALL, now + FIRST_BENCH) == 7


# ------------------------------------------------------------------ pages


def test_the_blocks_of_a_page_follow_one_another():
    messages = decided_of(page(9, 4, 5, 6), 4)
    assert [message.certificate.height for message in messages] == [4, 5, 6]
    for heights in ((5,), (4, 6), (4, 4), (6, 5, 4)):
        with pytest.raises(DecodeError, match="was due"):
            decided_of(page(9, *heights), 4)
    bad = BlocksPage(head=9, blocks=[DecidedBlock(value=b"x", certificate=b"\3no")])
    with pytest.raises(DecodeError, match="page"):
        decided_of(bad, 4)


class Host:
    """A chain that takes whatever follows its head."""

    def __init__(self, head: int, last: int = 7) -> None:
        self.app = self
        self.context = type("Context", (), {"tag": b"shard/0"})
        self.chain = 0
        self.head = head
        self.last = last
        self.enough = trio.Event()
        self.more: list[bool] = []

    def head_height(self) -> int:
        return self.head

    async def apply_decided(self, message, *, more: bool) -> None:
        assert message.certificate.height == self.head + 1
        self.more.append(more)
        self.head += 1
        if self.head == self.last:
            self.enough.set()


async def test_liars_are_left_and_the_others_bring_what_is_missing(autojump_clock):
    """One has not what it claimed, one sends nothing, one something else: each costs one question."""
    answers = {
        "less": lambda start: page(4, start),
        "nothing": lambda start: page(7),
        "another": lambda start: page(7, start + 1),
        "right": lambda start: page(7, *range(start, min(start + 2, 8))),
    }
    asked: list[str] = []

    async def ask(peer: str, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        asked.append(peer)
        start = msgspec.msgpack.decode(request, type=BlocksRequest).start
        return msgspec.msgpack.encode(answers[peer](start))

    host = Host(head=3)
    syncer = Syncer(host=host, ask=ask, announce=lambda height: None, connected=lambda: answers)
    for peer in answers:
        syncer.heard(peer, 7)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(syncer.run)
        with trio.fail_after(60):
            await host.enough.wait()
        nursery.cancel_scope.cancel()
    assert [asked.count(peer) for peer in ("less", "nothing", "another", "right")] == [1, 1, 1, 2]
    assert syncer.highest() == 7
    assert host.more == [True, False, True, False]  # of each page, which are not full


async def test_there_is_more_after_a_full_page_if_its_sender_says_so(autojump_clock):
    """Until then the node does not take part."""
    head = 7 + MAX_PAGE_ITEMS
    pages = [
        page(head, *range(4, 4 + MAX_PAGE_ITEMS)),
        page(head, *range(4 + MAX_PAGE_ITEMS, head + 1)),
    ]

    async def ask(peer: str, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        return msgspec.msgpack.encode(pages.pop(0))

    host = Host(head=3, last=head)
    syncer = Syncer(host=host, ask=ask, announce=lambda height: None, connected=lambda: ALL)
    syncer.heard("a", head)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(syncer.run)
        with trio.fail_after(60):
            await host.enough.wait()
        nursery.cancel_scope.cancel()
    assert host.more == [True] * (head - 4) + [False]
