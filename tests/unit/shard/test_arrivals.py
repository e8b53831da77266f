"""Messages at their destination: outcomes, refunds, order, shares, forwarding."""

from itertools import count

import pytest

from node.primitives.basics import Address
from node.primitives.errors import InvalidBlock
from node.primitives.message import MAX_DEPTH, MessageKind
from node.shard import messenger
from node.shard.arrival_room import ITEM_GAS
from node.shard.judge import build
from node.shard.selection import ChosenTransactions

GWEI = 10**9
PRICE = 2 * GWEI


def deliver(world, *messages):
    """A block with exactly what is in the inbox."""
    executed = world.make()
    assert [m for _, m in executed.delivered] == list(messages)
    return executed


def test_a_plain_transfer_uses_no_gas(world):
    alice = world.users[0][1].address
    before = world.balance(alice)
    executed = deliver(world, world.message(alice, 5))
    assert world.balance(alice) == before + 5
    assert executed.receipts[0].status == 1
    assert (executed.header.gas_used, executed.sent) == (0, ())
    assert [(m.src, m.count) for m in executed.requests.inbox] == [(1, 1)]


def test_a_message_without_value_is_delivered(world):
    executed = deliver(world, world.message(world.users[0][1].address, 0))
    assert (executed.receipts[0].status, executed.sent) == (1, ())


def test_a_call_runs_and_returns_the_gas_it_left(world, kit):
    contract = world.deploy(kit.store)
    tips, burned = world.balance(world.coinbase), messenger.burned(world.chain.state())
    message = world.message(contract, 5, gas=100_000, data=(42).to_bytes(32, "big"))
    executed = deliver(world, message)
    used = executed.header.gas_used
    assert 20_000 < used < 30_000
    state = world.chain.state()
    assert state.storage(contract, 0) == 42
    assert state.balance(contract) == 5
    (credit,) = [s.message for s in executed.sent]
    assert (credit.kind, credit.to, credit.dst) == (MessageKind.CREDIT, message.sender, 1)
    assert credit.value == (100_000 - used) * PRICE
    assert (credit.gas, credit.gas_price, credit.data) == (0, 0, b"")
    assert credit.origin_tx == message.origin_tx
    base_fee = executed.header.base_fee_per_gas
    assert world.balance(world.coinbase) == tips + used * (PRICE - base_fee)
    assert messenger.burned(state) == burned + used * base_fee
    assert state.balance(message.sender) == 0


@pytest.mark.parametrize(("code", "all_gas"), [("revert", False), ("invalid", True)])
def test_a_failure_sends_back_the_value_and_the_unused_gas_in_one_credit(world, kit, code, all_gas):
    contract = world.deploy(getattr(kit, code))
    executed = deliver(world, world.message(contract, 5, gas=50_000))
    used = executed.header.gas_used
    assert (used == 50_000) is all_gas
    assert executed.receipts[0].status == 0
    (credit,) = [s.message for s in executed.sent]
    assert credit.value == 5 + (50_000 - used) * PRICE
    assert world.balance(contract) == 0


def test_a_contract_without_gas_fails_and_the_value_goes_back(world, kit):
    contract = world.deploy(kit.store)
    executed = deliver(world, world.message(contract, 5, gas=0))
    assert executed.receipts[0].status == 0
    assert [s.message.value for s in executed.sent] == [5]
    executed = deliver(world, world.message(contract, 0, gas=0))
    assert (executed.receipts[0].status, executed.sent) == (0, ())


def test_a_price_below_the_base_fee_is_burned_whole(world, kit):
    contract = world.deploy(kit.store)
    tips = world.balance(world.coinbase)
    burned = messenger.burned(world.chain.state())
    executed = deliver(world, world.message(contract, gas=50_000, gas_price=3))
    assert world.balance(world.coinbase) == tips
    state = world.chain.state()
    assert messenger.burned(state) == burned + 3 * executed.header.gas_used


def test_refunds_to_somebody_else_and_to_the_fee_recipient(world, kit):
    contract = world.deploy(kit.revert)
    bob = world.users[2][1].address
    message = world.message(contract, 5, gas=50_000, refund_to=bob)
    executed = deliver(world, message)
    used = executed.header.gas_used
    assert {(s.message.to, s.message.value) for s in executed.sent} == {
        (message.sender, 5),
        (bob, (50_000 - used) * PRICE),
    }
    before = world.balance(world.coinbase)
    executed = deliver(world, world.message(contract, 0, gas=50_000, refund_to=world.coinbase))
    used = executed.header.gas_used
    assert executed.sent == ()
    burned = used * executed.header.base_fee_per_gas
    assert world.balance(world.coinbase) == before + 50_000 * PRICE - burned


def test_whatever_a_message_prepays_is_accounted_for(world, kit):
    """Nothing sends reply gas without a callback, or gas with a credit: no wei of it may vanish either.
    `World.make` counts."""
    contract = world.deploy(kit.store)
    alice = world.users[0][1].address
    before = world.balance(alice)
    deliver(world, world.message(contract, 5, gas=50_000, reply_gas=1000))
    for kind in (MessageKind.REPLY, MessageKind.CREDIT, MessageKind.MIGRATE):
        deliver(world, world.message(alice, 5, kind=kind, gas=10, reply_gas=3))
    reply, others = 5, 2 * (5 + 13 * PRICE)  # the gas of a reply belongs to who paid for it
    assert world.balance(alice) == before + reply + others


def test_more_gas_than_a_message_may_carry_is_refused_and_returned(world, kit):
    contract = world.deploy(kit.store)
    executed = deliver(world, world.message(contract, 5, gas=500_001))
    assert (executed.receipts[0].status, executed.header.gas_used) == (0, 0)
    assert executed.sent[0].message.value == 5 + 500_001 * PRICE
    executed = deliver(world, world.message(contract, 5, gas=500_000))
    assert executed.receipts[0].status == 1


def test_the_sender_has_no_code_here_but_is_the_caller(world):
    """msg.sender and tx.origin are the sender's address; slot 0 and 1."""
    contract = world.deploy(bytes.fromhex("335f5532600155" + "00"))
    message = world.message(contract, gas=100_000)
    deliver(world, message)
    state = world.chain.state()
    sender = int.from_bytes(message.sender, "big")
    assert (state.storage(contract, 0), state.storage(contract, 1)) == (sender, sender)
    assert state.nonce(message.sender) == 0


def test_a_credit_never_runs_code(world, kit):
    contract = world.deploy(kit.revert)
    executed = deliver(world, world.message(contract, 5, kind=MessageKind.CREDIT))
    assert executed.receipts[0].status == 1
    assert world.balance(contract) == 5


# ---------------------------------------------------------------------- order and shares


def test_arrivals_come_in_the_order_of_their_lane(world):
    alice = world.users[0][1].address
    messages = [world.message(alice, 1) for _ in range(3)]
    run = world.run()
    for wrong in (messages[1], messages[2]):
        with pytest.raises(InvalidBlock, match="not the next arrival"):
            run.run_arrival(wrong)
    run.run_arrival(messages[0])
    with pytest.raises(InvalidBlock, match="not the next arrival"):
        run.run_arrival(messages[0])


def test_a_message_to_another_shard_does_not_arrive(world):
    message = world.message(world.users[0][1].address, 1, dst=2)
    with pytest.raises(InvalidBlock, match="not the next arrival"):
        world.run().run_arrival(message)


def test_no_arrival_stands_after_a_transaction(world):
    run = world.run()
    run.run_transaction(world.users[0][1].tx(world.coinbase, 1))
    with pytest.raises(InvalidBlock, match="after a transaction"):
        run.run_arrival(world.message(world.users[0][1].address, 1))


def test_arrivals_have_half_of_the_gas(make_world, kit):
    world = make_world(message_gas_limit=15_000_000)
    contract = world.deploy(kit.invalid)
    messages = [world.message(contract, gas=6_000_000) for _ in range(3)]
    run = world.run()
    run.run_arrival(messages[0])
    run.run_arrival(messages[1])
    with pytest.raises(InvalidBlock, match="their share"):
        run.run_arrival(messages[2])
    executed = world.make()
    assert [m.seq for _, m in executed.delivered] == [0, 1]
    assert [m.seq for _, m in world.make().delivered] == [2]


def test_gas_that_was_not_used_is_free_for_the_next_arrival(make_world, kit):
    world = make_world(message_gas_limit=15_000_000)
    contract = world.deploy(kit.store)
    messages = [world.message(contract, gas=10_000_000) for _ in range(3)]
    deliver(world, *messages)


@pytest.mark.parametrize(("limit", "taken"), [(3, 3), (1, 1), (0, 1)])
def test_a_block_takes_so_many_arrivals_and_at_least_one(make_world, limit, taken):
    world = make_world(max_arrivals=limit)
    alice = world.users[0][1].address
    messages = [world.message(alice, 1) for _ in range(8)]
    assert len(world.make().delivered) == taken
    run = world.run()
    for message in messages[taken : 2 * taken]:
        run.run_arrival(message)
    with pytest.raises(InvalidBlock, match="their share"):
        run.run_arrival(messages[2 * taken])


def test_lanes_take_turns_and_the_first_turn_goes_round(make_world):
    world = make_world(max_arrivals=3)
    alice = world.users[0][1].address
    for src in (1, 2):
        for _ in range(6):
            world.message(alice, 1, src=src)
    orders = [[m.src for _, m in world.make().delivered] for _ in range(4)]
    assert orders == [[1, 2, 1], [2, 1, 2], [1, 2, 1], [2, 1, 2]]


def test_a_large_message_does_not_hold_up_the_other_lane(make_world, kit):
    world = make_world(message_gas_limit=15_000_000)
    contract = world.deploy(kit.invalid)
    alice = world.users[0][1].address
    for _ in range(2):
        world.message(contract, src=1, gas=10_000_000)
    for _ in range(3):
        world.message(alice, 1, src=2)
    counts = {m.src: m.count for m in world.make().requests.inbox}
    assert counts == {1: 1, 2: 3}


def test_a_lane_of_slow_calls_leaves_the_others_their_time(make_world, kit):
    """A builder begins no further arrival once its time is up, and one dear call may take all of it: such a
    lane held the others to a message in each block."""
    world = make_world()
    contract = world.deploy(kit.invalid)
    alice = world.users[0][1].address
    for _ in range(10):
        world.message(contract, src=1, gas=500_000)
    for _ in range(40):
        world.message(alice, 1, src=2)
    delivered = []
    for _ in range(4):
        env = world.env()
        run = world.chain._run(env)
        # 0.2 s for such a call, and none for the rest
        run.clock = lambda run=run: run.arrivals.gas_used / 2.5e6
        built = build(run, world.lanes(), ChosenTransactions([]), arrival_seconds=0.15)
        judged = world.twin.judge(built.executed.block, env.anchor, built.tails)
        for chain in (world.chain, world.twin):
            chain.commit(judged, kit.certificate(judged))
        delivered.append([sum(m.src == src for _, m in judged.delivered) for src in (1, 2)])
    assert sorted(delivered) == [[1, 0], [1, 0], [1, 0], [1, 40]]


def test_what_uses_no_gas_counts_towards_the_share(make_world, kit):
    """Credits, what is sent on, and addresses of the beacon operations: each is work."""
    most = 60_000 // ITEM_GAS
    moved = [kit.address(0, 3, 900 + n) for n in range(most)]
    for births, taken in (((), most), (moved[:5], most - 5), (moved, 1)):
        world = make_world(gas_limit=120_000, message_gas_limit=60_000)
        alice, elsewhere = world.users[0][1].address, kit.address(2, 3, 5)
        for n in range(2 * most):
            world.message(elsewhere if n % 2 else alice, 1, kind=MessageKind.CREDIT)
        world.beacon.homes |= dict.fromkeys(births, 1)
        anchor = world.anchor(births=tuple((address, 1) for address in births))
        assert len(world.make(anchor=anchor).delivered) == taken


def test_a_builder_delivers_until_its_time_is_up(make_world, kit):
    """By a clock that says that each arrival takes a second; the first one is always delivered, whatever it
    and the beacon operations took."""
    world = make_world(shards=3)
    alice = world.users[0][1].address
    for src in (1, 1, 1, 2, 2):
        world.message(alice, 1, src=src)
    moved = kit.address(0, 3, 900)
    world.beacon.homes[moved] = 1
    anchor = world.anchor(births=((moved, 1),))
    for seconds, taken in ((0.5, 1), (1.5, 1), (2.5, 2), (4.5, 4), (100.0, 5)):
        ticks = count()
        built = world.chain.build(
            world.env(anchor),
            world.lanes(),
            ChosenTransactions([]),
            clock=lambda ticks=ticks: float(next(ticks)),
            arrival_seconds=seconds,
        )
        assert len(built.executed.delivered) == taken
        assert built.executed.arrival_seconds == 1 + taken


# ---------------------------------------------------------------------- forwarding


def test_a_call_follows_an_address_to_its_home(world, kit):
    far = kit.address(0, 3, 5)
    world.beacon.homes[far] = 2
    message = world.message(far, 5, gas=70_000, data=b"data")
    executed = deliver(world, message)
    (sent,) = executed.sent
    onward = sent.message
    assert (onward.src, onward.dst, onward.seq, onward.depth) == (0, 2, 0, 1)
    for name in ("kind", "sender", "to", "value", "gas", "gas_price", "refund_to", "data"):
        assert getattr(onward, name) == getattr(message, name)
    assert onward.origin_tx == message.origin_tx
    assert (executed.receipts[0].status, executed.header.gas_used) == (1, 0)


def test_a_credit_is_always_sent_on(world, kit):
    far = kit.address(0, 3, 5)
    world.beacon.homes[far] = 2
    message = world.message(far, 5, kind=MessageKind.CREDIT, depth=MAX_DEPTH)
    (sent,) = deliver(world, message).sent
    assert (sent.message.dst, sent.message.value, sent.message.depth) == (2, 5, MAX_DEPTH)


def test_a_message_can_be_sent_back_to_where_it_came_from(world, kit):
    far = kit.address(0, 3, 5)
    world.beacon.homes[far] = 1
    (sent,) = deliver(world, world.message(far, 5)).sent
    assert (sent.message.src, sent.message.dst) == (0, 1)


def test_a_precompile_is_at_home_everywhere(world):
    four = Address((4).to_bytes(20, "big"))
    world.beacon.homes[four] = 1
    deliver(world, world.message(four, 5, gas=50_000, data=b"abc"))
    assert world.balance(four) == 5
