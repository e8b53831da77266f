"""A proposer that leaves arrivals out, judged by another node of its shard, on a real beacon chain."""

import time
from collections.abc import Callable
from typing import Any

from node.chains.shard_app import K_WITHHELD, ShardService
from node.concurrency.height_gate import HeightGate
from node.concurrency.worker import Worker
from node.primitives.basics import Address, ShardId
from node.shard.pool import TransactionPool

HERE, THERE = ShardId(1), ShardId(0)


def network(make_net: Callable[[int], Any]) -> Any:
    """Two shards or more, with a message from shard 0 to shard 1 that the beacon has finalised."""
    for seed in range(100):
        net = make_net(seed)
        if net.count < 2:
            continue
        for _ in range(20):
            net.make_block(THERE)
            net.make_beacon_block(everything=True)
            if net.beacon.state.lane(THERE, HERE).last:
                net.pull(everything=True)
                return net
    raise AssertionError("no seed sends a message")


def service(net: Any, replica: int, *, withhold: bool) -> ShardService:
    """A node of shard 1; one that withholds works on the shard's other replica."""
    here = net.shards[HERE]
    node = ShardService(
        chain=here.chains[replica],
        beacon=net.beacon,
        beacon_gate=HeightGate(net.beacon.head.height),
        pool=TransactionPool(),
        worker=Worker(),
        now=time.time,
        stopwatch=time.perf_counter,
        coinbase=Address(here.coinbase.address),
        withhold=lambda: withhold,
    )
    node.lanes.update(here.lanes)
    return node


async def test_a_proposer_that_withholds_is_objected_to_in_time(
    make_net: Callable[[int], Any],
) -> None:
    net = network(make_net)
    honest, other = service(net, 0, withhold=False), service(net, 1, withhold=True)
    first = net.beacon.head.height
    early_id, early = await other.build()

    async def objection(value: bytes) -> str | None:
        return honest.objection(await honest.judge(value, decided=False))

    while net.beacon.head.height < first + K_WITHHELD:
        assert await objection((await other.build())[1]) is None  # it may not have it yet
        net.make_beacon_block()
    found = await objection((await other.build())[1])
    assert found is not None
    assert found.startswith("it has room for message 0 of shard 0")
    assert await honest.judge(early, decided=False) == early_id
    assert await objection(early) == found  # an old anchor does not help
    # Nobody holds a decided block to it, nor a proposer who takes what there is.
    assert await honest.judge(early, decided=True) == early_id
    fair_id, fair = await honest.build()
    other.lanes.update(honest.lanes)
    assert await other.judge(fair, decided=False) == fair_id
    assert other.objection(fair_id) is None
    # Who does not have the message does not object.
    for lane in honest.lanes.values():
        lane.verified.clear()
    assert await objection((await other.build())[1]) is None
