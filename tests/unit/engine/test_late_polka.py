"""A polka that is heard of late: as long as it may come, the value of its block is there, on disk, too."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from consensus import proposals, votes
from consensus.inputs import Snapshot
from consensus.types import BlockId, Height, Round, Vote, VoteType
from node.engine import admission, journal
from node.engine.height_driver import HeightDriver
from node.engine.journal import Journal
from node.wire import ConsensusMessage, ProposalMessage

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]


def by_turn(net: Any) -> list[Any]:
    """The nodes, the proposer of round 0 first."""
    turn = net.members.proposer(Height(1), Round(0)).address
    return sorted(net.nodes, key=lambda node: node.key.address != turn)


class Unseen:
    """What gets lost so that three of four validators prevote a block in round 0, and none sees that.

    The fourth does not see the block in time. Later proposals are lost up to that of round `silent_until`.
    What is held up of round 0 is in `late`: the proposal for the fourth and prevotes.
    """

    def __init__(self, net: Any) -> None:
        _, second, third, self._blind = by_turn(net)
        self._lost_to = {
            third.key.address: {node.name for node in net.nodes},
            second.key.address: {third.name},
        }
        self.holding = True
        self.silent_until = float("inf")
        self.late: dict[tuple[type, str, str], ConsensusMessage] = {}

    def __call__(self, sender: Any, peer: str, message: ConsensusMessage) -> bool:
        if isinstance(message, ProposalMessage):
            if message.proposal.round > 0:
                return message.proposal.round <= self.silent_until
            lost = self.holding and peer == self._blind.name
        elif isinstance(message, Vote) and (message.type, message.round) == (VoteType.PREVOTE, 0):
            lost = self.holding and peer in self._lost_to.get(message.validator, ())
        else:
            return False
        if lost:
            self.late[type(message), sender.name, peer] = message
        return lost


async def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    with trio.fail_after(seconds):
        while not what():  # noqa: ASYNC110 - of virtual time
            await trio.sleep(0.05)


async def test_a_block_that_nobody_locked_is_decided_after_all_have_died(
    world: Make, running: Running, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the polka of round 0 is seen, all propose its block and no other: somebody has to have it."""
    monkeypatch.setattr(journal, "COMPACT_BYTES", 0)
    compacted_in: dict[str, int] = {}
    compact = Journal.compact

    def note(self: Journal, snapshot: Snapshot, value: Callable[[BlockId], bytes]) -> None:
        compacted_in[str(self.log.path)] = snapshot.state.round
        compact(self, snapshot, value)

    monkeypatch.setattr(Journal, "compact", note)
    net = world()
    net.drops = lost = Unseen(net)

    def engines() -> list[Any]:
        return [node.host.participant.driver.engine for node in net.nodes]

    async with running(net):
        await until(lambda: all(node.up and node.host.participant.round for node in net.nodes))
        lost.holding = False
        for (kind, sender, peer), message in lost.late.items():
            if kind is ProposalMessage:
                net.send(net.by_name[sender], peer, message)
                block_id = message.proposal.block_id
        await until(lambda: all(engine.knows(block_id) for engine in engines()))
        compacted_in.clear()
        since = max(engine.round for engine in engines())
        await until(lambda: len(compacted_in) == 4 and min(compacted_in.values()) > since)
        assert {engine.valid_block for engine in engines()} == {None}

        for node in net.nodes:
            node.crash()
        await until(lambda: all(node.runs == 2 and node.up for node in net.nodes))
        for (kind, sender, peer), message in lost.late.items():
            if kind is Vote:
                net.send(net.by_name[sender], peer, message)
        await until(lambda: all(engine.valid_block == block_id for engine in engines()))
        # What was proposed before the polka was seen may be another block: that stays lost.
        lost.silent_until = max(engine.round for engine in engines())
        await net.reach(1, seconds=120.0)
    assert {node.app.blocks[0][1].block_id for node in net.nodes} == {block_id}


@pytest.mark.slow
async def test_the_values_of_a_height_without_an_end_are_bounded(
    world: Make, running: Running, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every round one validator besides the proposer sees another large block: nothing has a polka."""
    past, large = 4, 20_000
    monkeypatch.setattr(HeightDriver, "_again", lambda self: None)  # else it is one block for ever
    for module in (votes, proposals, admission):
        monkeypatch.setattr(module, "PAST_ROUNDS", past)
    monkeypatch.setattr(journal, "COMPACT_BYTES", 4 * large)
    net = world()
    for node in net.nodes:
        node.app.salt += "x" * large
    first, second = net.nodes[:2]

    def drops(sender: Any, peer: str, message: ConsensusMessage) -> bool:
        if not isinstance(message, ProposalMessage):
            return False
        seeing = second if message.proposal.proposer == first.key.address else first
        return peer != seeing.name

    net.drops = drops
    most_values = most_bytes = 0
    async with running(net):
        rounds = 0
        while rounds < 4 * past:
            await trio.sleep(0.5)
            rounds = first.host.participant.round
            held = [len(node.host.participant.driver._values) for node in net.nodes]
            most_values = max(most_values, *held)
            most_bytes = max(most_bytes, *(node.wal.size for node in net.nodes))
        assert {node.height for node in net.nodes} == {0}
        assert first.app.judged + first.app.built > 3 * past, "and so many values were there"
    assert most_values == past + 1
    assert most_values * large < most_bytes < 3 * past * large
