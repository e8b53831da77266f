"""Validators that contradict themselves, that have lost their seats, and chains that halt."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import trio
from trio.testing import MockClock

from consensus.evidence import OffenceKind, make_evidence, verify_evidence
from consensus.past import HEIGHTS
from consensus.signing import vote_sign_bytes
from consensus.types import (
    Address,
    BlockId,
    ChainContext,
    Height,
    Round,
    ValidatorSet,
    Vote,
    VoteType,
)
from node.primitives.basics import keccak_fast
from node.primitives.keys import KeccakSecp256k1
from node.wire import StatusMessage, encode_body

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - of virtual time
            await trio.sleep(0.01)


async def test_whoever_contradicts_its_prevotes_is_accused_by_all(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    net.equivocators = {"v3"}
    async with running(net):
        await net.reach(10)
    assert {by for by, _, _ in net.accused} == {"v0", "v1", "v2"}
    context = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
    for _, first, second in net.accused:
        evidence = make_evidence(first, second)
        verify_evidence(context, net.members, evidence, KeccakSecp256k1())
        assert evidence.offence.validator == net.nodes[3].key.address
        assert evidence.offence.kind is OffenceKind.PREVOTE


async def test_what_was_seen_before_a_restart_is_not_forgotten(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    net.equivocators = {"v3"}
    async with running(net):
        await net.reach(2)
        net.partition = {
            "v0",
            "v3",
        }  # no quorum: what has begun may be decided, the next height not
        await trio.sleep(5)
        stuck = net.nodes[0].height + 1

        def accused() -> bool:
            return any(by == "v0" and vote.height == stuck for by, vote, _ in net.accused)

        await until(accused)
        net.partition = {"v0"}
        await trio.sleep(1)  # what is under way gets lost
        net.accused.clear()
        net.nodes[0].crash()
        await until(accused)


async def test_a_contradiction_that_comes_after_the_decision_is_seen(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    context = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
    liar = net.nodes[3]

    def second_vote(height: int, type: VoteType) -> Vote:
        said = (type, Height(height), Round(0), BlockId(b"?" * 32))
        digest = keccak_fast(vote_sign_bytes(context, *said))
        type, at, round_, block_id = said
        return Vote(
            type=type, height=at, round=round_, block_id=block_id,
            validator=Address(liar.key.address), signature=liar.key.sign_digest(digest),
        )  # fmt: skip

    async with running(net):
        await net.reach(HEIGHTS + 5)
        hearer = net.nodes[0]
        top = hearer.height
        old = encode_body(second_vote(top - HEIGHTS, VoteType.PRECOMMIT))
        votes = [second_vote(top - 3, type) for type in VoteType]
        forged = replace(second_vote(top - 1, VoteType.PREVOTE), signature=b"\1" * 65)
        for body in (old, *map(encode_body, (*votes, *votes, forged))):
            await hearer.host.deliver("v1", body)  # whoever brings it
        await until(lambda: len(net.accused) >= len(votes))
        await net.reach(hearer.height + 2)
    assert {by for by, _, _ in net.accused} == {"v0"}
    assert len(net.accused) == len(votes), "each once"
    for (_, first, second), vote in zip(net.accused, votes, strict=True):
        evidence = make_evidence(first, second)
        verify_evidence(context, net.members, evidence, KeccakSecp256k1())
        assert evidence.offence.height == vote.height
        assert evidence.offence.kind == OffenceKind(vote.type)
        assert vote in (first, second)


async def test_early_votes_for_a_height_that_was_pulled_are_compared_too(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """They wait for a height that never begins here; its certificate says something else."""
    net = world()
    net.equivocators = {"v3"}
    cut_off = net.nodes[0]
    async with running(net):
        await net.reach(3)
        net.partition = {"v0"}
        await net.reach(cut_off.height + 6, *net.nodes[1:])
        net.accused.clear()
        votes = []

        def drops(sender: Any, peer: str, message: Any) -> bool:
            if peer == "v0" and isinstance(message, Vote):
                votes.append(message)
            return peer == "v0" and not isinstance(message, StatusMessage)

        net.drops = drops  # it follows by pulling, and hears no votes
        certificate = net.nodes[1].app.decided(cut_off.height + 1)[1]
        signer = next(v for i, v in enumerate(net.members) if certificate.signers >> i & 1)
        key = next(k for k in net.keys if k.address == signer.address)
        said = (VoteType.PRECOMMIT, certificate.height, certificate.round, None)
        type_, height, round_, block_id = said
        vote = Vote(
            type=type_, height=height, round=round_, block_id=block_id, validator=signer.address,
            signature=key.sign_digest(keccak_fast(vote_sign_bytes(context_of(net), *said))),
        )  # fmt: skip
        await cut_off.host.deliver("v1", encode_body(vote))
        await trio.sleep(0.2)
        assert not net.accused
        net.heal()
        await until(lambda: net.accused)
    by, first, second = net.accused[0]
    assert by == "v0"
    assert {first.block_id, second.block_id} == {None, certificate.block_id}
    assert vote in (first, second)


def context_of(net: Any) -> ChainContext:
    context: ChainContext = net.nodes[0].app.context
    return context


async def test_a_validator_without_a_seat_follows_and_is_silent(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    left = ValidatorSet(v for v in net.members if v.address != net.nodes[3].key.address)
    for node in net.nodes:
        node.app.later = (5, left)
    async with running(net):
        await net.reach(12)
        assert not net.nodes[3].host.participant.is_member
        net.nodes[3].crash()
        await net.reach(16)  # after a restart too
    spoken = {key[1] for key in net._said if key[0] == net.nodes[3].key.address}
    assert max(spoken) == 4
    assert max(node.runs for node in net.nodes) == 2


async def test_one_that_was_away_when_it_lost_its_seat_catches_up(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    left = ValidatorSet(v for v in net.members if v.address != net.nodes[3].key.address)
    for node in net.nodes:
        node.app.later = (5, left)
    async with running(net):
        await net.reach(2)
        net.partition = {"v3"}
        await net.reach(10, *net.nodes[:3])
        net.heal()  # it votes on what was decided long ago, and is told
        await net.reach(12, seconds=10)


async def test_a_halted_chain_begins_no_height(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    async with running(net):
        await net.reach(3)
        net.halted = True
        await trio.sleep(5)  # what has begun may be decided
        heights = [node.height for node in net.nodes]
        frames = net.frames
        await trio.sleep(60)
        assert [node.height for node in net.nodes] == heights
        assert net.frames - frames < 800  # no more than the announcements of heights
        net.nodes[0].host.notify_work()
        await trio.sleep(5)
        assert net.nodes[0].height == heights[0]
