"""Validators that contradict themselves, that have lost their seats, and chains that halt."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio
from trio.testing import MockClock

from consensus.evidence import OffenceKind, make_evidence, verify_evidence
from consensus.types import ChainContext, ValidatorSet
from node.primitives.keys import KeccakSecp256k1

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
    context = ChainContext(chain_id=1337, tag=b"shard/0")
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
