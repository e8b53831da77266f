"""Calls, estimates and traces of what cannot be sent to accounts of other shards say so, as the block would."""

import json

import pytest

from node.execution.evm.simulate import Credit, SimulatedCall
from node.query import tracers
from node.query.call_specs import TracedItem, TraceSpec
from node.query.simulator import Simulator

REASONS = {
    "frozen": "shard 1 is frozen",
    "full": "the lane to shard 1 is full: 2 messages are under way",
}


@pytest.fixture(params=sorted(REASONS))
def stuck(request, make_world, kit):
    """A world, a contract that pays an account beyond, and why it cannot."""
    world = make_world(lane_window=1)
    payer = world.deploy(kit.pay((world.users[1][1].address, 1)), 100)
    for user in world.users[0][:2]:
        assert len(world.make(user.tx(payer, gas=200_000)).sent) == 1
    if request.param == "frozen":
        world.beacon.frozen = {1}
    return world, payer, REASONS[request.param]


def simulator(world):
    return Simulator(world.chain, gas_cap=50_000_000, anchor_of=lambda _: world.anchor())


def test_calls_and_estimates_fail_as_the_transaction_will(stuck):
    world, payer, reason = stuck
    call = SimulatedCall(sender=world.users[0][1].address, to=payer, gas=200_000)
    head = world.chain.head
    called = simulator(world).call(head, world.beacon, call)
    assert called.error.startswith(reason)
    assert simulator(world).estimate(head, world.beacon, call).error.startswith(reason)
    executed = world.make(world.users[0][1].tx(payer, gas=200_000))
    assert executed.receipts[-1].status == 0
    assert executed.header.gas_used == called.gas_used


def test_a_call_that_arrives_pays_them_all_the_same(stuck):
    """What it leaves there is swept in any case, so that shards do not hold each other up."""
    world, payer, _ = stuck
    call = SimulatedCall(sender=world.users[1][0].address, to=payer, gas=200_000, credit=Credit())
    assert simulator(world).call(world.chain.head, world.beacon, call).error is None


def test_a_trace_names_the_reason(stuck):
    world, payer, reason = stuck
    anchor = world.anchor()
    executed = world.make(world.users[0][1].tx(payer, gas=200_000), anchor=anchor)
    ((index, _),) = executed.decoded
    trace = TraceSpec(tracer="callTracer")
    item = TracedItem(index=index)
    packed = simulator(world).trace_items(executed.header.number, anchor, [item], trace)
    (found,) = json.loads(tracers.unpack(packed))
    assert found["error"].startswith(reason)
    assert int(found["gasUsed"], 16) == executed.header.gas_used
