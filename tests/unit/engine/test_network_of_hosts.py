"""Hosts, participants and syncers together: agreement, progress, and no double signing through crashes."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node.engine import journal
from tests.support.effort import examples, seeds

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]


async def until_died(net: Any, times: int) -> None:
    """Go on until nodes have died so often: that is chance even with a seed, since the order of tasks is."""
    while sum(node.runs - 1 for node in net.nodes) < times:
        await net.reach(net.nodes[0].height + 1)


async def test_an_idle_network_makes_a_block_per_heartbeat(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(1, seconds=1)
        start, at = net.nodes[0].height, trio.current_time()
        await trio.sleep(20)
        made = net.nodes[0].height - start
        assert 15 <= made <= 20, f"{made} blocks in {trio.current_time() - at} s"
        assert net.frames < 200 * (made + 2)


async def test_work_is_decided_without_waiting_for_the_heartbeat(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(1)
        net.nodes[2].app.work = True
        net.nodes[2].host.notify_work()
        start, at = net.nodes[0].height, trio.current_time()
        await net.reach(start + 8)
        assert trio.current_time() - at < 4  # one that has work brings the others along


async def test_rounds_go_on_while_a_validator_is_away(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        net.partition = {"v3"}
        await net.reach(10, *net.nodes[:3])
        assert net.nodes[3].height == 0
        net.heal()
        await net.reach(12)


@pytest.mark.slow
async def test_nothing_is_decided_without_a_quorum_and_goes_on_with_it(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(3)
        net.partition = {"v0", "v1"}
        await trio.sleep(2)
        heights = [node.height for node in net.nodes]
        size = [node.wal.size for node in net.nodes]
        await trio.sleep(300)
        assert [node.height for node in net.nodes] == heights
        # Repeated messages are not journalled: an hour of this costs nothing.
        grown = [node.wal.size - before for node, before in zip(net.nodes, size, strict=True)]
        assert max(grown) < 20_000
        net.heal()
        await net.reach(max(heights) + 5)


@pytest.mark.parametrize("seed", seeds(2))
async def test_messages_get_lost(
    world: Make, running: Running, autojump_clock: MockClock, seed: int
) -> None:
    async with running(world(seed=seed)) as net:
        net.loss = 0.3
        await net.reach(10)


@pytest.mark.parametrize(
    "compact_bytes",
    [
        pytest.param(journal.COMPACT_BYTES, marks=pytest.mark.slow, id="plain"),
        pytest.param(0, id="compacting"),
    ],
)
@pytest.mark.parametrize("seed", seeds(4))
async def test_nodes_die_at_any_point_and_come_back(
    world: Make,
    running: Running,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    compact_bytes: int,
) -> None:
    monkeypatch.setattr(journal, "COMPACT_BYTES", compact_bytes)
    net = world(seed=seed)
    net.loss = 0.05
    async with running(net):
        net.crash_chance = 0.02
        await net.reach(examples(12))
        await until_died(net, 5)
        net.crash_chance = 0.0
        await net.reach(net.nodes[0].height + 4)


@pytest.mark.parametrize("seed", seeds(3))
async def test_all_die_at_once(
    world: Make, running: Running, autojump_clock: MockClock, seed: int
) -> None:
    net = world(seed=seed)
    async with running(net):
        for step in range(5):
            await net.reach(2 * step + 1)
            await trio.sleep(net.random.uniform(0.9, 1.1))  # about when the next height is running
            for node in net.nodes:
                node.crash()
        await net.reach(15)


async def test_a_network_of_one_survives_its_crashes(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world(count=1)
    net.crash_chance = 0.1
    async with running(net):
        await net.reach(20)
        await until_died(net, 5)


@pytest.mark.slow
async def test_a_validator_that_was_away_for_long_catches_up_while_others_go_on(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(1)
        net.partition = {"v3"}
        for node in net.nodes:
            node.app.work = True
            node.host.notify_work()
        await net.reach(90, *net.nodes[:3])
        away = net.nodes[3]
        behind = away.height
        built = away.app.built
        net.heal()
        await net.reach(behind + 85, away, seconds=3)
        assert away.app.built - built <= 3  # it does not propose on what is long decided
        await net.reach(net.nodes[0].height + 5)


async def test_a_decided_block_waits_for_what_it_refers_to(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        late = net.nodes[3]
        net.partition = {"v3"}
        await net.reach(6, *net.nodes[:3])
        late.app.missing = {net.nodes[0].app.decided(4)[0]}
        net.heal()
        await net.reach(3, late)
        await trio.sleep(25)
        assert late.height == 3
        late.app.missing = set()
        await net.reach(net.nodes[0].height)  # nobody was blamed for it
