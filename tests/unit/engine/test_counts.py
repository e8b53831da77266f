"""What hosts and participants count on the way."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from trio.testing import MockClock

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]


async def test_blocks_votes_and_proposals(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(10)
        for node in net.nodes:
            counts = node.host.counts
            # A block may be on its way from one count to the next.
            assert 0 <= node.height - counts.decided - counts.synced <= 1
            assert 0 <= counts.decision_seconds.count - counts.decided <= 1
            assert counts.decided > 5
            assert counts.rounds >= counts.decided
            assert counts.committed_at is not None
            assert counts.unsigned in (0, 1)  # of four, three are a quorum
            for kind in ("prevote", "precommit"):  # a quorum is three of four, itself perhaps one
                assert counts.votes[kind, "received"] >= 2 * counts.decided
            assert counts.proposals["invalid"] == 0
        for kind in ("prevote", "precommit"):
            assert sum(node.host.counts.votes[kind, "sent"] for node in net.nodes) >= 3 * 10
        proposed = sum(node.host.counts.proposals["sent"] for node in net.nodes)
        assert proposed >= 10
        # The turns go round: each has proposed, and judged what the others did.
        assert all(node.host.counts.proposals["sent"] for node in net.nodes)
        assert all(node.host.counts.proposals["valid"] for node in net.nodes)


async def test_timeouts_and_rounds_while_a_proposer_is_away(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(2)
        net.partition = {"v3"}
        await net.reach(12, *net.nodes[:3])
        counts = net.nodes[0].host.counts
        assert counts.timeouts["propose"] >= 1
        assert counts.rounds > counts.decided
        net.heal()
        await net.reach(14)
        late = net.nodes[3].host.counts
        assert late.synced >= 8
        assert 0 <= net.nodes[3].height - late.decided - late.synced <= 1


async def test_an_equivocation_is_counted_by_those_who_see_it(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    net.equivocators = {"v3"}
    async with running(net):
        await net.reach(5, *net.nodes[:3])
    assert any(node.host.counts.equivocations for node in net.nodes[:3])
