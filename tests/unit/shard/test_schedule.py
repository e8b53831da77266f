"""The time of the next block, and the blocks that developers order: pure rules, and blocks that follow them."""

import itertools

import pytest

from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.errors import InvalidBlock
from node.primitives.mining import MiningMode, MiningOrder, Round
from node.shard.block_frame import BlockEnv
from node.shard.dev_queue import DevQueue
from node.shard.schedule import Schedule
from node.shard.selection import ChosenTransactions

NAME = b"an order"
_salts = itertools.count()


def op(kind, **fields):
    return DevOperation(kind=kind, salt=next(_salts).to_bytes(16, "big"), **fields)


def mine(blocks=1, interval=0, *, shards=1, **fields):
    order = MiningOrder(name=NAME, shards=shards, left=blocks, interval=interval)
    return op(DevKind.MINE, data=order.encoded, **fields)


def time_of(schedule, *operations, now=1000, parent=900, anchored=900, empty=True):
    return schedule.timestamp(
        now=now, parent=parent, anchored=anchored, operations=operations, empty=empty
    )


def test_the_clock_gives_the_time_and_may_be_behind():
    assert time_of(Schedule()) == 1000
    assert time_of(Schedule(clock=50)) == 1050
    assert time_of(Schedule(clock=-40)) == 960
    assert time_of(Schedule(clock=-400)) == 900, "no block is earlier than its parent"


def test_the_block_that_sets_the_clock_has_the_new_time():
    later = op(DevKind.SET_CLOCK, number=5000, slot=1000)
    assert time_of(Schedule(), later) == 5000
    assert time_of(Schedule(), later, now=1002) == 5002
    assert Schedule(clock=7).latest(1000, 900, [later]) == 5000
    assert Schedule(clock=7).latest(1000, 900, [op(DevKind.SET_MINING)]) == 1007


def test_no_block_that_must_come_is_too_late():
    """Where the clock was set back behind the parent, or behind what was set or ordered before."""
    assert Schedule(clock=-500).latest(1000, 900, []) == 900
    assert Schedule(clock=-500, next_time=950).latest(1000, 900, []) == 950
    rest = MiningOrder(name=NAME, shards=1, done=1, left=2, interval=60)
    assert Schedule(clock=-500, order=rest).latest(1000, 900, []) == 960
    by_another_clock = mine(number=5000, slot=5000)
    assert Schedule().latest(1000, 900, [by_another_clock]) == 5000


def test_the_next_block_with_content_has_the_time_that_was_set_for_it():
    waits = Schedule(clock=50, next_time=1200)
    assert time_of(waits, empty=False) == 1200
    assert time_of(waits, mine()) == 1200
    assert time_of(waits) == 900, "an empty block does not take it, and time stands still"
    assert time_of(waits, op(DevKind.SET_MINING)) == 900
    assert time_of(waits, empty=False, now=9000) == 1200, "however long it took"
    assert time_of(waits, empty=False, anchored=1200) == 1050, "another shard's block had it"


def test_the_block_that_sets_it_is_earlier():
    sets = op(DevKind.SET_NEXT_TIME, number=950, slot=1000)
    assert time_of(Schedule(), sets) == 949
    assert time_of(Schedule(), op(DevKind.SET_NEXT_TIME, number=2000, slot=1000)) == 1000
    assert time_of(Schedule(), sets, parent=949) == 949


def test_ordered_blocks_have_the_times_of_the_order():
    assert time_of(Schedule(clock=5), mine(3, 60, number=1500, slot=1000)) == 1500
    rest = MiningOrder(name=NAME, shards=1, done=1, left=2, interval=60)
    assert time_of(Schedule(order=rest), parent=1500) == 1560
    unhurried = MiningOrder(name=NAME, shards=1, done=1, left=2)
    assert time_of(Schedule(order=unhurried, next_time=1700)) == 1700
    assert mine(3, 60, number=1500, slot=1000).clock == 1500 + 120 - 1000
    assert mine(3).clock is None
    with pytest.raises(ValueError, match="without its first timestamp"):
        mine(3, 60)


def test_a_mode_is_a_word_and_0_is_automatic():
    assert MiningMode().number == 0
    for mode in (
        MiningMode(),
        MiningMode(automine=False),
        MiningMode(interval=1500),
        MiningMode(automine=False, interval=250),
    ):
        assert MiningMode.of(mode.number) == mode


def test_an_order_ends_the_operations_of_its_block_and_the_next_one_waits():
    queue = DevQueue()
    first, order, later, second = (op(DevKind.SET_MINING), mine(2), op(DevKind.SET_MINING), mine())
    for operation in (first, order, later, second):
        queue.add(operation)
    assert queue.first(mining=False) == [first, order]
    assert queue.first(mining=True) == [first, later]


def test_every_shard_takes_the_same_one_of_two_orders_first():
    orders = [
        op(DevKind.MINE, data=MiningOrder(name=name, shards=2, left=1).encoded)
        for name in (b"second..", b"first...")
    ]
    for heard in (orders, orders[::-1]):
        queue = DevQueue()
        for operation in heard:
            queue.add(operation)
        assert queue.first(mining=False)[-1] == orders[1]


# ---------------------------------------------------------------------- in blocks


@pytest.fixture
def world(make_world):
    return make_world(dev_methods=True)


@pytest.fixture
def blocks(world, kit):
    """Makes the next block as a proposer does: built with the time of the schedule, judged, committed."""
    return lambda *operations, txs=(), now=None: make(world, kit, operations, txs, now)


def schedule_of(world):
    return Schedule.of(world.chain.state())


def make(world, kit, operations, txs, now):
    world.clock += 1
    anchor = world.anchor()
    timestamp = schedule_of(world).timestamp(
        now=now or world.clock,
        parent=world.chain.head.timestamp,
        anchored=anchor.timestamp,
        operations=operations,
        empty=not txs,
    )
    env = BlockEnv(coinbase=world.coinbase, timestamp=timestamp, anchor=anchor)
    built = world.chain.build(env, world.lanes(), ChosenTransactions(list(txs)), operations)
    judged = world.twin.judge(built.executed.block, env.anchor, built.tails)
    assert judged.requests == built.executed.requests
    for chain in (world.chain, world.twin):
        chain.commit(built.executed, kit.certificate(built.executed))
    return built.executed


def statuses(executed):
    return [receipt.status for receipt in executed.receipts]


def test_an_order_is_a_row_of_blocks_each_of_which_tells_the_beacon_its_place(world, blocks):
    base = world.clock
    made = [blocks(mine(3, 60, shards=2, number=base + 500, slot=base)), blocks(), blocks()]
    assert [block.requests.mined for block in made] == [Round(NAME, n, 2) for n in range(3)]
    assert [block.header.timestamp for block in made] == [base + 500, base + 560, base + 620]
    assert schedule_of(world).order is None
    after = blocks()
    assert after.requests.mined is None
    assert after.header.timestamp == world.clock + 620, "the clock goes on from the last one"


def test_the_time_of_an_ordered_block_is_a_rule(world, blocks):
    base = world.clock
    blocks(mine(2, 60, number=base + 500, slot=base))
    for wrong in (base + 559, base + 561):
        with pytest.raises(InvalidBlock, match=f"the timestamp is not {base + 560}"):
            world.chain.build(
                BlockEnv(coinbase=world.coinbase, timestamp=wrong, anchor=world.anchor()),
                world.lanes(),
                ChosenTransactions([]),
            )


def test_one_order_after_the_other(world, blocks):
    blocks(mine(2))
    during = blocks(mine(5))
    assert statuses(during) == [0], (
        "the builder leaves it out; where it stands all the same it fails"
    )
    assert during.requests.mined == Round(NAME, 1, 1)
    assert schedule_of(world).order is None
    two = blocks(mine(), mine())
    assert statuses(two) == [1, 0]


def test_an_order_for_a_time_that_is_over_has_no_effect(world, blocks):
    now = world.chain.head.timestamp
    late = blocks(mine(number=now - 1, slot=5))
    assert statuses(late) == [0]
    assert late.requests.mined is None
    assert schedule_of(world) == Schedule()
    row = blocks(mine(2, 60, number=now - 1, slot=now - 1))
    assert statuses(row) == [1], "a row may begin a second later"
    assert blocks().header.timestamp == row.header.timestamp + 60


def test_a_transaction_takes_the_time_that_was_set_and_the_clock_goes_on_from_there(world, blocks):
    alice, bob = world.users[0][1:3]
    base = world.clock
    sets = blocks(op(DevKind.SET_NEXT_TIME, number=base + 1000, slot=base))
    assert sets.header.timestamp < base + 1000
    assert blocks().header.timestamp == sets.header.timestamp
    assert blocks(txs=[alice.tx(bob.address, 1)]).header.timestamp == base + 1000
    assert schedule_of(world) == Schedule(clock=1000)
    assert blocks().header.timestamp == world.clock + 1000


def test_the_clock_may_be_set_back_and_no_block_is_earlier_than_its_parent(world, blocks):
    base = world.clock
    blocks(op(DevKind.SET_CLOCK, number=base + 500, slot=base))
    newest = world.chain.head.timestamp
    back = blocks(op(DevKind.SET_CLOCK, number=base - 50, slot=base))
    assert schedule_of(world).clock == -50
    assert back.header.timestamp == newest


def test_the_mode_stands_in_the_state(world, blocks):
    manual = MiningMode(automine=False)
    blocks(op(DevKind.SET_MINING, number=manual.number))
    assert schedule_of(world).mode == manual
