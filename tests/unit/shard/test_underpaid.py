"""Arrivals that pay far less than the base fee: of each lane, an eighth of the gas of arrivals in a block."""

import random

import pytest

from node.primitives.errors import InvalidBlock
from node.primitives.message import MessageKind
from node.shard import messenger
from node.shard.arrival_room import ITEM_GAS, UNDERPAID_SHARE
from node.shard.judge import build
from node.shard.selection import ChosenTransactions
from node.shard.withheld import DueLane, withheld
from tests.support.effort import seeds

GWEI = 10**9
CALLBACK = bytes.fromhex("01020304")


def share(world):
    return world.chain.rules.params.arrivals_gas // UNDERPAID_SHARE


@pytest.fixture
def world(make_world):
    return make_world(message_gas_limit=1_000_000)


def base_fee(world):
    """That of the next block. Later ones cost less here, as no block of these tests is half full of gas."""
    return world.run().base_fee


def gas_used_by(executed, src):
    """What the arrivals of a lane used in a block."""
    used = [0, *(receipt.cumulative_gas_used for receipt in executed.receipts)]
    return sum(used[i + 1] - used[i] for i, m in executed.delivered if m.src == src)


def counts(executed, shards=3):
    return [sum(m.src == src for _, m in executed.delivered) for src in range(shards)]


def objection(world, built):
    """Of a validator to which all that waits is due."""
    here = world.here
    lanes = [
        DueLane(
            src=src,
            messages=lane.from_seq(messenger.inbox(world.chain.state(), src).count),
            checkpoints=world.beacon.lane(src, here).checkpoints,
            due=len(world.inbox[src]),
        )
        for src, lane in world.lanes().items()
    ]
    return withheld(built.executed, built.tails, lanes)


@pytest.mark.parametrize("kind", [MessageKind.CALL, MessageKind.REPLY])
@pytest.mark.parametrize("price", [0, 7])
@pytest.mark.parametrize("gas", [100_000, 400_000, 1_000_000])
def test_a_flood_that_pays_nothing_gets_an_eighth(world, kit, kind, price, gas):
    """And the lane goes on in every block. The users here have the rest, and other lanes all that they need."""
    contract = world.deploy(kit.invalid)  # uses all gas that it is given
    alice, user = world.users[0][1], world.users[0][2]
    for _ in range(60):
        world.message(contract, kind=kind, gas=gas, gas_price=price)
        world.message(alice.address, 1, src=2)
        world.message(contract, src=2, gas=20_000)
    left = 120
    for _ in range(3):
        executed = world.make(user.tx(contract, gas=20_000_000))
        assert 0 < gas_used_by(executed, 1) <= max(gas, share(world))
        assert counts(executed)[2] == left
        assert len(executed.decoded) == 1
        left = 0
    if gas == 100_000:  # the share is used
        assert gas_used_by(executed, 1) > share(world) - gas - 100 * ITEM_GAS


@pytest.mark.parametrize(("part", "slow"), [(3, False), (4, False), (5, True)])
def test_a_price_that_was_right_some_blocks_ago_is_not_slowed(world, kit, part, slow):
    contract = world.deploy(kit.invalid)
    price = base_fee(world) // part + (part == 4)  # the base fee may not be a multiple
    for _ in range(30):
        world.message(contract, gas=150_000, gas_price=price)
    for _ in range(20):
        world.message(world.users[0][1].address, 1)
    assert len(world.make().delivered) == (12 if slow else 50)


def test_what_is_underpaid_and_honest_arrives(world, kit):
    """A lane whose prices were made long ago: late, in order, and all of it."""
    contract = world.deploy(kit.invalid)
    sent = [world.message(contract, gas=gas, gas_price=7) for gas in (1_000_000, 900_000) * 4]
    arrived = []
    for _ in range(len(sent)):
        arrived += [m for _, m in world.make().delivered]
    assert arrived == sent


def test_a_message_without_gas_owes_nothing(world):
    alice = world.users[0][1].address
    for kind in (MessageKind.CREDIT, MessageKind.CALL):
        for _ in range(450):
            world.message(alice, 1, kind=kind, gas_price=0)
    assert len(world.make().delivered) == 900


def test_each_lane_has_a_share(world, kit):
    contract = world.deploy(kit.invalid)
    for src in (1, 2):
        for _ in range(40):
            world.message(contract, src=src, gas=100_000, gas_price=0)
    executed = world.make()
    assert share(world) // 2 < gas_used_by(executed, 1) == gas_used_by(executed, 2) <= share(world)


def test_the_share_is_a_rule_of_blocks(world, kit):
    contract = world.deploy(kit.invalid)
    messages = [world.message(contract, gas=1_000_000, gas_price=0) for _ in range(3)]
    paid = world.message(contract, src=2, gas=1_000_000)
    run = world.run()
    run.run_arrival(messages[0])
    run.run_arrival(paid)
    with pytest.raises(InvalidBlock, match="their share"):
        run.run_arrival(messages[1])


def test_what_was_not_used_is_free_for_the_next(world, kit):
    contract = world.deploy(kit.store)
    for _ in range(10):
        world.message(contract, gas=900_000, gas_price=0)
    assert len(world.make().delivered) == 10


@pytest.mark.parametrize("far", [True, False])
def test_what_is_put_on_lanes_of_others_counts(world, kit, far):
    """An underpaid message that is sent on, or whose reply takes its gas along, uses none here: where it
    arrives, the lane from here has no more than its share either."""
    to = kit.address(0 if far else 1, 3, 5)
    world.beacon.homes[to] = 2 if far else 0
    sent_on = {"sender": world.users[2][1].address, "depth": 1, "in_reply_to": b"\1" * 32}
    fields = (
        {} if far else sent_on
    )  # by the range of `to`, for an account of shard 2: the reply goes there
    for _ in range(40):
        world.message(to, gas_price=0, reply_gas=500_000, callback=CALLBACK, **fields)
    executed = world.make()
    assert {sent.message.dst for sent in executed.sent} == {2}
    carried = sum(sent.message.all_gas for sent in executed.sent)
    assert share(world) // 2 < carried <= share(world)


def test_withheld_arrivals_are_those_that_the_rule_lets_in(world, kit):
    contract = world.deploy(kit.invalid)
    for _ in range(10):
        world.message(contract, gas=1_000_000, gas_price=0)
    built, _ = world.build()
    assert len(built.executed.delivered) == 1
    assert objection(world, built) is None
    empty = world.chain.build(world.env(), {}, ChosenTransactions([]))
    assert objection(world, empty) == "it has room for message 0 of shard 1, which waits"
    world.message(contract, src=2, gas=1_000_000)
    other = world.chain.build(
        world.env(),
        {s: lane for s, lane in world.lanes().items() if s == 2},
        ChosenTransactions([]),
    )
    assert objection(world, other) == "it has room for message 0 of shard 1, which waits"


@pytest.mark.parametrize("seed", seeds(30))
def test_builders_judges_and_objectors_agree(make_world, kit, seed):
    """Whatever waits, at whatever price: what is built is valid and as full as it should be, and no lane has
    more than its share of what is underpaid, but for the first message."""
    dice = random.Random(seed)
    world = make_world(shards=4, message_gas_limit=6_000_000, max_arrivals=dice.choice([3, 100]))
    targets = [world.deploy(kit.invalid), world.deploy(kit.store), kit.address(1, 4, 5)]
    fee = base_fee(world)
    for src in (1, 2, 3):
        for _ in range(dice.randrange(25)):
            world.message(
                dice.choice(targets),
                1,
                src=src,
                gas=dice.choice([0, 30_000, 400_000, 1_800_000, 6_000_000]),
                gas_price=dice.choice([0, 7, fee // 5, fee // 3, 2 * fee]),
                kind=dice.choice([MessageKind.CALL, MessageKind.REPLY]),
            )
    for _ in range(8):
        env = world.env()
        run = world.chain._run(env)
        built = build(run, world.lanes(), ChosenTransactions([]))
        assert objection(world, built) is None
        for src in (1, 2, 3):
            flood = [
                (i, m)
                for i, m in built.executed.delivered
                if m.src == src and run.arrivals.is_underpaid(m)
            ]
            used = [0, *(receipt.cumulative_gas_used for receipt in built.executed.receipts)]
            assert sum(used[i + 1] - used[i] for i, _ in flood[1:]) <= share(world)
        judged = world.twin.judge(built.executed.block, env.anchor, built.tails)
        for chain, executed in ((world.chain, built.executed), (world.twin, judged)):
            chain.commit(executed, kit.certificate(executed))
