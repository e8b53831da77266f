"""Blocks that are valid and yet not voted for: another proposer's turn comes, and nothing else changes."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from trio.testing import MockClock

from consensus.types import Height, Round, Vote, VoteType
from node.wire import ConsensusMessage, ProposalMessage

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]


def builders(net: Any) -> Counter[str]:
    return Counter(value.split(b"/")[1].decode() for value, _ in net.nodes[1].app.blocks)


async def test_the_others_pass_over_who_is_objected_to(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        for node in net.nodes:
            node.app.disliked.add("v0")
        await net.reach(16)
        found = builders(net)
        assert found["v0"] == 0
        assert all(found[name] > 1 for name in ("v1", "v2", "v3"))
        net.check_agreement()


async def test_an_objection_of_one_stops_nothing(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """What the others decide without it, it takes: an objection is no judgement of a decided block."""
    async with running(world()) as net:
        net.nodes[3].app.disliked |= {"v0", "v1", "v2"}
        await net.reach(12)
        found = builders(net)
        assert all(found[name] > 1 for name in ("v0", "v1", "v2"))
        net.check_agreement()


async def test_every_height_ends_while_nobody_objects_to_one(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """All object to all but their own and v0's."""
    async with running(world()) as net:
        names = {node.name for node in net.nodes}
        for node in net.nodes:
            node.app.disliked |= names - {node.name, "v0"}
        await net.reach(6)
        assert set(builders(net)) == {"v0"}
        net.check_agreement()


async def test_nobody_objects_to_a_block_with_a_polka(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """Three lock a block that the fourth objects to, and one of them is heard no more: the fourth is needed
    in round 1, where the block comes again with its polka."""
    net = world()
    turns = [net.members.proposer(Height(1), Round(round_)).address for round_ in range(4)]
    first, second, silent, objector = (
        next(node for node in net.nodes if node.key.address == turn) for turn in turns
    )
    objector.app.disliked |= {first.name, second.name, silent.name}

    def lost(sender: Any, peer: str, message: ConsensusMessage) -> bool:
        """All from and to the silent one, after its prevote in round 0."""
        if silent.name not in (sender.name, peer) or objector.height:
            return False
        return not (
            (isinstance(message, ProposalMessage) and message.proposal.round == 0)
            or (
                isinstance(message, Vote) and (message.type, message.round) == (VoteType.PREVOTE, 0)
            )
        )

    net.drops = lost
    async with running(net):
        await net.reach(1)
        value, certificate = objector.app.decided(1)
        assert value.split(b"/")[1].decode() == first.name
        assert certificate.round == 1
        assert objector.host.counts.proposals["invalid"] == 1, "it did object in round 0"
