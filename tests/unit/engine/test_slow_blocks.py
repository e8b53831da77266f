"""Blocks that take longer to execute than a round lasts: each is executed once, and then decided."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from consensus.params import TimeoutParams
from consensus.types import Height, Round, Timeout, TimeoutKind
from node.wire import ProposalMessage

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]

LONGEST = TimeoutParams(scale=0.2).duration(
    Timeout(kind=TimeoutKind.PROPOSE, height=Height(1), round=Round(10_000))
)
"""Seconds that a round waits for its proposal, at the most."""


async def until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - of virtual time
            await trio.sleep(0.01)


@pytest.mark.parametrize("count", [1, 4, 7])
async def test_a_block_slower_than_every_round_is_decided(
    world: Make, running: Running, autojump_clock: MockClock, count: int
) -> None:
    net = world(count)
    for node in net.nodes:
        node.app.slow = 3 * LONGEST
    async with running(net):
        await net.reach(2, seconds=120 * LONGEST)
    for node in net.nodes:
        # At most: its own, one that is known to be valid, and one that was under way meanwhile.
        assert node.app.built + node.app.judged <= 3 * node.height + 2


async def test_votes_are_heard_and_rounds_end_while_a_block_is_executed(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    for node in net.nodes:
        node.app.slow = 50 * LONGEST
    watched = net.nodes[0]

    def heard() -> int:
        counts = watched.host.counts.votes
        return sum(n for (_, way), n in counts.items() if way == "received")

    async with running(net):
        await until(lambda: watched.app.executing == 1)
        work, votes = watched.app.built + watched.app.judged, heard()
        round_ = watched.host.participant.round
        await until(lambda: watched.host.participant.round > round_ + 3)
        assert heard() > votes
        assert watched.app.built + watched.app.judged == work, "it is the same block"


async def test_what_is_decided_meanwhile_is_taken_in(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """What is under way for the height is given up, and the next one begins."""
    net = world()
    slow, begun = net.nodes[0], 0

    async def build() -> Any:
        nonlocal begun
        begun += 1
        await trio.sleep_forever()

    slow.app.build = build
    async with running(net):
        await net.reach(13, seconds=100 * LONGEST)
    assert begun > 2
    assert slow.host.counts.decided > slow.host.counts.synced > 0
    assert slow.runs == 1


async def test_a_block_of_ours_outlives_the_round_it_was_built_for(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """Each proposes in its next turn what it has built too late in this one; here nobody hears of it."""
    net = world()
    for node in net.nodes:
        node.app.slow = 2 * LONGEST
    net.drops = lambda sender, peer, message: isinstance(message, ProposalMessage)
    async with running(net):
        await until(lambda: all(n.up and n.host.participant.round > 24 for n in net.nodes))
        assert [node.height for node in net.nodes] == [0] * 4
    assert [node.app.built for node in net.nodes] == [1] * 4


async def test_a_slow_height_survives_that_everybody_dies(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """A block that was built or judged before is proposed again, from the journal."""
    net = world()
    for node in net.nodes:
        node.app.slow = 3 * LONGEST
    async with running(net):
        await until(lambda: all(node.app.built + node.app.judged > 1 for node in net.nodes))
        for node in net.nodes:
            node.crash()
        await until(lambda: all(node.runs == 2 and node.up for node in net.nodes))
        await net.reach(2, seconds=200 * LONGEST)


async def test_crashes_and_losses_beside_slow_blocks(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world(seed=3)
    net.loss, net.crash_chance = 0.05, 0.002
    for node in net.nodes:
        node.app.slow = LONGEST / 2
    async with running(net):
        await net.reach(4, seconds=2000 * LONGEST)
        net.loss = net.crash_chance = 0.0
        await net.reach(6, seconds=500 * LONGEST)
