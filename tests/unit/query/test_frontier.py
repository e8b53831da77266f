"""Asking the beacon's validators how far the network may have been shown, and what waits for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from consensus.types import Address, Validator, ValidatorSet
from node.network.parked import FRAME_BYTES, MAX_BYTES, SECONDS, Parked, size_of
from node.query.frontier import DOUBT, Behind, Frontier
from p2p.errors import PeerUnavailable
from rpc.times import CATCH_UP

MEMBERS = [Address(bytes([i]) * 20) for i in range(4)]
LIE = 1 << 62


class Around:
    """A node, the first of four beacon validators, and what the others would say."""

    def __init__(self, count: int = 4, me: Address | None = MEMBERS[0]) -> None:
        self.committee = ValidatorSet(Validator(address=m, power=1) for m in MEMBERS[:count])
        self.heights = dict.fromkeys(MEMBERS[:count], 5)
        self.shown = 5
        self.away: set[Address] = set()
        self.delay = 0.3
        self.asked: list[Address] = []
        self.frontier = Frontier(
            committee=lambda: self.committee,
            me=me,
            reached=lambda: self.heights[MEMBERS[0]],
            shown=lambda: self.shown,
            ask=self._ask,
        )

    async def _ask(self, member: Address) -> int:
        self.asked.append(member)
        height = self.heights[member]  # as of now: it travels there and back
        if member in self.away:
            raise PeerUnavailable("it is away")
        await trio.sleep(2 * self.delay)
        return height

    def show(self, height: int) -> None:
        self.shown = height
        self.frontier.grown()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.frontier.run)
            yield nursery
            nursery.cancel_scope.cancel()


def reaching(around: Around, nursery: trio.Nursery, done: list[float]) -> Callable[[], None]:
    async def reach() -> None:
        await around.frontier.reach()
        done.append(trio.current_time())

    return lambda: nursery.start_soon(reach)


async def test_nothing_is_waited_for_where_nobody_is_ahead(autojump_clock: MockClock) -> None:
    around = Around()
    async with around.running():
        started = trio.current_time()
        await around.frontier.reach()
        assert trio.current_time() - started == pytest.approx(2 * around.delay)
    assert sorted(around.asked) == MEMBERS[1:]


async def test_what_another_may_have_shown_is_waited_for(autojump_clock: MockClock) -> None:
    around, done = Around(), []
    around.heights[MEMBERS[2]] = 6
    async with around.running() as nursery:
        reaching(around, nursery, done)()
        await trio.sleep(1.0)
        assert not done
        around.show(6)
        await wait_all_tasks_blocked()
        assert done


async def test_a_validator_of_a_small_beacon_asks_nobody(autojump_clock: MockClock) -> None:
    around, done = Around(2), []
    around.heights[MEMBERS[0]] = 6  # precommitted here: the other may have decided it
    around.away = {MEMBERS[1]}
    async with around.running() as nursery:
        reaching(around, nursery, done)()
        await wait_all_tasks_blocked()
        assert not done
        around.show(6)
        await wait_all_tasks_blocked()
    assert done
    assert not around.asked


async def test_a_follower_asks_even_a_small_beacon(autojump_clock: MockClock) -> None:
    around = Around(1, me=None)
    async with around.running():
        await around.frontier.reach()
    assert around.asked == MEMBERS[:1]


async def test_one_that_is_away_is_done_without(autojump_clock: MockClock) -> None:
    around = Around()
    around.away = {MEMBERS[3]}
    async with around.running():
        await around.frontier.reach()


async def test_without_a_quorum_it_says_so(autojump_clock: MockClock) -> None:
    around = Around()
    around.away = {MEMBERS[2], MEMBERS[3]}
    async with around.running() as nursery:
        started = trio.current_time()
        with pytest.raises(Behind, match="too few of the beacon's validators"):
            await around.frontier.reach()
        assert trio.current_time() - started == pytest.approx(CATCH_UP)
        await around.frontier.try_reach()  # never raises
        done: list[float] = []
        reaching(around, nursery, done)()
        await trio.sleep(0.5)
        around.away = set()  # it comes back while somebody waits
        await trio.sleep(1.0)
        assert done


async def test_a_node_that_does_not_catch_up_says_how_far_it_is(autojump_clock: MockClock) -> None:
    around = Around()
    around.heights = dict.fromkeys(MEMBERS, 9)
    async with around.running():
        with pytest.raises(Behind, match="block 5, and the network has reached 9"):
            await around.frontier.reach()


@pytest.mark.parametrize("lie", [6, LIE])
async def test_one_that_lies_delays_and_holds_nothing_up(
    lie: int, autojump_clock: MockClock
) -> None:
    around = Around()
    around.heights[MEMBERS[1]] = lie
    async with around.running():
        started = trio.current_time()
        await around.frontier.reach()
        assert trio.current_time() - started <= DOUBT + 0.01


async def test_who_asks_while_the_node_starts_is_served_then(autojump_clock: MockClock) -> None:
    around, done = Around(), []
    async with trio.open_nursery() as nursery:
        reaching(around, nursery, done)()
        await wait_all_tasks_blocked()
        assert not around.asked
        await nursery.start(around.frontier.run)
        await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    assert done


async def test_many_share_a_poll_that_begins_after_all_of_them(autojump_clock: MockClock) -> None:
    around, done = Around(), []
    async with around.running() as nursery:
        reach = reaching(around, nursery, done)
        reach()
        await trio.sleep(0.1)  # the first poll is under way: what it brings may be older than these
        for _ in range(50):
            reach()
        await trio.sleep(2.0)
    assert len(done) == 51
    assert around.frontier.rounds == 2


async def test_who_gives_up_leaves_no_questions_behind(autojump_clock: MockClock) -> None:
    around = Around()
    around.away = set(MEMBERS[1:])
    async with around.running():
        with trio.move_on_after(1.0):
            await around.frontier.reach()
        asked = len(around.asked)
        await trio.sleep(5.0)
        assert len(around.asked) == asked


async def test_a_block_that_was_seen_elsewhere(autojump_clock: MockClock) -> None:
    around = Around()
    await around.frontier.show(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(around.frontier.show, 6)
        await wait_all_tasks_blocked()
        around.show(7)
    with pytest.raises(Behind, match="8 was seen elsewhere"):
        await around.frontier.show(8)


def test_parked_batches_wait_for_their_block_and_no_longer() -> None:
    parked = Parked()
    parked.put(7, "a", [b"1"], now=0.0)
    parked.put(6, "b", [b"2"], now=1.0)
    parked.put(LIE, "c", [b"3"], now=1.0)
    assert list(parked.take(5, 2.0)) == []
    assert list(parked.take(6, 2.0)) == [("b", [b"2"])]
    assert list(parked.take(7, 3.0)) == [("a", [b"1"])]
    assert len(parked) == 1
    assert list(parked.take(7, 1.0 + SECONDS)) == []
    assert (len(parked), parked.forgotten) == (0, 1)


def test_parked_batches_have_bounds() -> None:
    parked = Parked(max_bytes=2 * size_of([b"12345"]))
    for index in range(5):
        parked.put(9, str(index), [b"12345"], now=0.0)
    assert [peer for peer, _ in parked.take(9, 0.0)] == ["3", "4"]
    parked.put(9, "large", [b"1" * 1000], now=0.0)
    assert len(parked) == 0
    assert parked.forgotten == 4


def test_a_peer_that_parks_much_pushes_out_its_own() -> None:
    parked = Parked()
    parked.put(6, "honest", [b"1"], now=0.0)
    parked.put(6, "honest", [b"2"], now=0.0)
    for _ in range(300):
        parked.put(LIE, "liar", [b"x" * 100_000], now=1.0)
    assert list(parked.take(6, 2.0)) == [("honest", [b"1"]), ("honest", [b"2"])]


@pytest.mark.slow
@pytest.mark.parametrize(("payload", "count"), [([], 40_000), ([b""] * 10_000, 200)])
def test_parked_batches_of_nothing_take_room_too(payload: list[bytes], count: int) -> None:
    """They take memory."""
    parked = Parked()
    for _ in range(count):
        parked.put(LIE, "liar", payload, now=0.0)
    assert len(parked) * (FRAME_BYTES + 8 * len(payload)) <= MAX_BYTES
