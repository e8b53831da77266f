"""A lock that is older than everything a node keeps: its polka still gets through to the others."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from consensus.types import Height, Round, Vote, VoteType
from consensus.votes import PAST_ROUNDS
from node.engine import journal
from node.wire import ConsensusMessage, ProposalMessage

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]

QUIET_UNTIL = 40


class HalfLocked:
    """What gets lost so that two of four validators lock in round 0, and nothing is decided.

    The proposer and another one see three prevotes and lock. The third has prevoted the block, but
    never hears that the second did, so it knows of no polka; the fourth does not even see the block.
    Later proposals are lost, for as long as `silent`.
    """

    def __init__(self, net: Any) -> None:
        turn = net.members.proposer(Height(1), Round(0)).address
        names = [node.name for node in net.nodes if node.key.address != turn]
        self.locked = [next(n.name for n in net.nodes if n.key.address == turn), names[0]]
        self._unheard = net.by_name[names[0]].key.address
        self._blind = names[2]
        self.silent = True

    def __call__(self, sender: Any, peer: str, message: ConsensusMessage) -> bool:
        if not self.silent:
            return False
        if isinstance(message, ProposalMessage):
            return message.proposal.round > 0 or peer == self._blind
        return (
            isinstance(message, Vote)
            and message.validator == self._unheard
            and (message.type, message.round) == (VoteType.PREVOTE, 0)
            and peer not in self.locked
        )


def lowest_round(net: Any) -> int:
    return min(node.host.status()["round"] if node.up else 0 for node in net.nodes)


def locks(net: Any) -> dict[str, int]:
    return {node.name: node.host.participant.driver.engine.locked_round for node in net.nodes}


async def reach_a_late_round(net: Any, lost: HalfLocked) -> None:
    assert QUIET_UNTIL > 2 * PAST_ROUNDS
    with trio.fail_after(600):
        while lowest_round(net) < QUIET_UNTIL:  # noqa: ASYNC110 - of virtual time
            await trio.sleep(0.05)
    assert all(node.height == 0 for node in net.nodes)
    assert locks(net) == {n.name: 0 if n.name in lost.locked else -1 for n in net.nodes}


async def test_a_lock_of_round_0_is_followed_in_round_40(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """Nothing can be decided without the locked half of the stake, and that votes for nothing else:
    the others have to take in the old polka, which shows that they may."""
    net = world()
    net.drops = lost = HalfLocked(net)
    async with running(net) as net:
        await reach_a_late_round(net, lost)
        engine = net.by_name[lost.locked[0]].host.participant.driver.engine
        block_id = engine.locked_block
        lost.silent = False
        await net.reach(1, seconds=120.0)
        for node in net.nodes:
            certificate = node.app.blocks[0][1]
            assert certificate.block_id == block_id
            assert certificate.round >= QUIET_UNTIL
        assert all(node.runs == 1 for node in net.nodes)


async def test_an_old_polka_said_again_and_again_is_journalled_once(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """Who is locked repeats its polka as long as the height lasts, and no journal grows by it."""
    net = world()
    net.drops = lost = HalfLocked(net)
    async with running(net) as net:
        await reach_a_late_round(net, lost)
        journalled: dict[str, list[Vote]] = {}
        heard = 0
        for node in net.nodes:
            votes = journalled[node.name] = []
            journal = node.host.participant._journal

            def note(vote: Vote, votes: list[Vote] = votes, real: Any = journal.vote) -> None:
                votes.append(vote)
                real(vote)

            journal.vote = note

        def drops(sender: Any, peer: str, message: ConsensusMessage) -> bool:
            nonlocal heard
            heard += isinstance(message, Vote) and message.round == 0
            return lost(sender, peer, message)

        net.drops = drops
        await trio.sleep(60)
        assert heard > 100
        for votes in journalled.values():
            assert len(votes) > 40
            assert not [vote for vote in votes if vote.round == 0]
            said = {(v.type, v.validator, v.round, v.block_id) for v in votes}
            assert len(said) == len(votes)


async def test_a_journal_that_was_compacted_keeps_an_old_lock(
    world: Make, running: Running, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node dies in a late round, and the old polka decides after all."""
    monkeypatch.setattr(journal, "COMPACT_BYTES", 20_000)
    net = world()
    net.drops = lost = HalfLocked(net)
    async with running(net) as net:
        await reach_a_late_round(net, lost)
        assert all(node.wal.size < 60_000 for node in net.nodes)
        rounds = {node.name: node.host.status()["round"] for node in net.nodes}
        for node in net.nodes:
            node.crash()
        with trio.fail_after(60):
            while any(node.runs < 2 or not node.up for node in net.nodes):  # noqa: ASYNC110
                await trio.sleep(0.05)
        await trio.sleep(1)
        assert lowest_round(net) >= min(rounds.values()) - 1, "which may not have been on disk yet"
        assert locks(net) == {n.name: 0 if n.name in lost.locked else -1 for n in net.nodes}
        block_id = net.by_name[lost.locked[0]].host.participant.driver.engine.locked_block
        lost.silent = False
        await net.reach(1, seconds=120.0)
    assert {node.app.blocks[0][1].block_id for node in net.nodes} == {block_id}
