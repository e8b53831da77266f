"""Proposals that leave arrivals out: which ones are objected to, and that a builder's never are."""

import random
from itertools import count

import pytest

from node.primitives.basics import ShardId
from node.shard import judge as judging
from node.shard import messenger
from node.shard import withheld as rule
from node.shard.selection import ChosenTransactions
from node.shard.withheld import DueLane, withheld
from tests.support.effort import seeds


def due_lanes(world, due=None):
    """All that is in the inboxes, due as far as `due` says."""
    out = []
    for src, messages in world.inbox.items():
        start = messenger.inbox(world.chain.state(), ShardId(src)).count
        lane = world.beacon.lanes[src, 0]
        limit = len(messages) if due is None else due
        out.append(
            DueLane(
                src=ShardId(src),
                messages=messages[start:],
                checkpoints=lane.checkpoints,
                due=limit,
            )
        )
    return out


def objection(world, built, due=None):
    return withheld(built.executed, built.tails, due_lanes(world, due))


def propose(world, *txs, arrivals=()):
    """A block with these arrivals, whatever else waits, and its tails."""
    env = world.env()
    lanes = {src: lane for src, lane in world.lanes().items() if src in {m.src for m in arrivals}}
    return world.chain.build(env, lanes, ChosenTransactions(list(txs)))


@pytest.fixture
def waiting(world):
    alice = world.users[0][1].address
    return [world.message(alice, 1, src=src, gas=1000) for src in (1, 1, 2)]


def test_a_block_without_arrivals_that_are_due(world, waiting):
    built = propose(world, world.users[0][1].tx(world.coinbase, 1))
    assert objection(world, built) == "it has room for message 0 of shard 1, which waits"


def test_a_block_without_one_lane(world, waiting):
    built = propose(world, arrivals=waiting[2:])
    assert objection(world, built) == "it has room for message 0 of shard 1, which waits"
    built = propose(world, arrivals=waiting[:2])
    assert objection(world, built) == "it has room for message 0 of shard 2, which waits"


def test_what_is_not_due_may_wait(world, waiting):
    built = propose(world)
    assert objection(world, built, due=0) is None


def test_a_full_block_may_leave_arrivals_out(make_world, kit, monkeypatch):
    world = make_world(max_arrivals=2)
    alice = world.users[0][1].address
    for _ in range(3):
        world.message(alice, 1)
    built, _ = world.build()
    assert len(built.executed.delivered) == 2
    assert objection(world, built) is None

    world = make_world(message_gas_limit=15_000_000)
    contract = world.deploy(kit.invalid)
    for gas in (10_000_000, 6_000_000):
        world.message(contract, gas=gas)
    built, _ = world.build()
    assert len(built.executed.delivered) == 1
    assert objection(world, built) is None

    world = make_world()
    monkeypatch.setattr(judging, "ARRIVAL_BYTES", 100)
    monkeypatch.setattr(rule, "ARRIVAL_BYTES", 100)
    for _ in range(3):
        world.message(alice, 1, data=bytes(100))
    built, _ = world.build()
    assert len(built.executed.delivered) == 1
    assert objection(world, built) is None


def test_a_block_whose_arrivals_took_long_may_leave_others_out(world, waiting):
    """Who built it may have run out of time: by our clock they took four seconds each."""
    ticks = count(step=4)
    built = world.chain.build(
        world.env(),
        world.lanes(),
        ChosenTransactions([]),
        clock=lambda: float(next(ticks)),
        arrival_seconds=1.0,
    )
    assert len(built.executed.delivered) == 1
    lanes = due_lanes(world)
    assert withheld(built.executed, built.tails, lanes, 4.0) is None
    assert withheld(built.executed, built.tails, lanes, 4.1) is not None
    empty = propose(world)  # one could always have been delivered
    assert withheld(empty.executed, empty.tails, lanes, 0.0) is not None


def test_large_messages_leave_room_for_transactions(make_world):
    """They carry no gas, and more of them wait than the blocks to come can hold."""
    world = make_world()
    alice = world.users[0][0]
    for _ in range(40):
        world.message(alice.address, gas=0, data=bytes(130_000))
    tx = alice.tx(world.coinbase, 1)
    built, _ = world.build(tx)
    assert 0 < len(built.executed.delivered) < 20
    assert built.executed.senders == ((alice.address, tx.nonce),)
    assert objection(world, built) is None


@pytest.mark.parametrize("seed", seeds(60))
def test_what_is_built_by_the_rules_is_never_objected_to(make_world, kit, monkeypatch, seed):
    """Whatever waits: gas, bytes, counts and proofs of several lanes, in any mixture."""
    dice = random.Random(seed)
    monkeypatch.setattr(judging, "MAX_TAIL_HASHES", tails := dice.choice([3, 6, 20]))
    monkeypatch.setattr(rule, "MAX_TAIL_HASHES", tails)
    monkeypatch.setattr(judging, "ARRIVAL_BYTES", size := dice.choice([700, 5000, 10**6]))
    monkeypatch.setattr(rule, "ARRIVAL_BYTES", size)
    world = make_world(
        shards=4, message_gas_limit=15_000_000, max_arrivals=dice.choice([0, 1, 5, 100])
    )
    targets = [world.deploy(kit.invalid), world.deploy(kit.store), world.users[0][1].address]
    for src in (1, 2, 3):
        for _ in range(dice.randrange(20)):
            gas = dice.choice([0, 30_000, 1_000_000, 6_000_000, 15_000_000])
            world.message(dice.choice(targets), 1, src=src, gas=gas, data=bytes(dice.randrange(90)))
        count = len(world.inbox.get(src, []))
        world.ends[src] = (
            sorted({*(dice.randrange(count) + 1 for _ in range(4)), count}) if count else []
        )
    for _ in range(6):
        built, anchor = world.build()
        assert objection(world, built) is None
        judged = world.twin.judge(built.executed.block, anchor, built.tails)
        for chain, executed in ((world.chain, built.executed), (world.twin, judged)):
            chain.commit(executed, kit.certificate(executed))
