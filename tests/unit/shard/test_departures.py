"""Transactions whose recipient lives on another shard: what is charged, what is sent, what is refused."""

import pytest

from node.primitives.errors import InvalidTransaction
from node.primitives.message import MessageKind
from node.primitives.transaction import MAX_TRANSACTION_BYTES
from node.shard import messenger
from node.shard.block import decode_item, encode_arrival
from node.shard.block_frame import DoesNotFit
from node.shard.crossing import departure_gas
from node.shard.room import LaneFull, ShardFrozen

GWEI = 10**9


def refused(world, tx, error=InvalidTransaction, anchor=None):
    """The transaction is refused, nothing changes, and a block without it is still good."""
    run = world.run(anchor)
    before = run.state.snapshot()
    with pytest.raises(error) as caught:
        run.run_transaction(tx)
    assert run.state.snapshot() == before
    assert (run.items, run.sent, run.gas_used, run.burned) == ([], [], 0, 0)
    return str(caught.value)


def test_a_departure_pays_here_and_takes_the_rest_along(world):
    alice, bob = world.users[0][1], world.users[1][1]
    tx = alice.tx(bob.address, 5, b"\1\0", 100_000, tip=3 * GWEI)
    before = world.balance(alice.address)
    executed = world.make(tx)
    base_fee = executed.header.base_fee_per_gas
    price = base_fee + 3 * GWEI
    here = 21_000 + 10 * 5  # the floor: 5 tokens at 10 gas
    (sent,) = executed.sent
    message = sent.message
    assert (message.src, message.dst, message.seq, message.kind) == (0, 1, 0, MessageKind.CALL)
    assert message.sender == message.refund_to == alice.address
    assert (message.to, message.value, message.data) == (bob.address, 5, b"\1\0")
    assert (message.gas, message.gas_price) == (100_000 - here, price)
    assert (message.origin_tx, message.depth, message.reply_gas) == (tx.hash, 0, 0)
    assert world.balance(alice.address) == before - 100_000 * price - 5
    assert world.balance(world.coinbase) == here * 3 * GWEI
    state = world.chain.state()
    assert messenger.burned(state) == here * base_fee
    assert state.nonce(alice.address) == 1
    assert state.balance(bob.address) == 0
    assert executed.header.gas_used == here
    (receipt,) = executed.receipts
    assert (receipt.status, receipt.type) == (1, 2)
    assert messenger.read_sent_log(receipt.logs[0]) == message
    (move,) = executed.requests.outbox
    assert (move.dst, move.count) == (1, 1)
    assert messenger.outbox(state, 1).head == move.head


def test_a_plain_transfer_costs_21000_and_takes_no_gas_along(world):
    executed = world.make(world.users[0][1].tx(world.users[2][1].address, 7))
    assert executed.header.gas_used == 21_000
    assert executed.sent[0].message.gas == 0


def test_lanes_count_each_on_its_own(world, kit):
    alice = world.users[0][1]
    to = [world.users[s][1].address for s in (1, 2, 1)]
    executed = world.make(*[alice.tx(address, 1) for address in to])
    assert [(s.message.dst, s.message.seq, s.index) for s in executed.sent] == [
        (1, 0, 0),
        (2, 0, 1),
        (1, 1, 2),
    ]
    assert [(m.dst, m.count) for m in executed.requests.outbox] == [(1, 2), (2, 1)]
    for move in executed.requests.outbox:
        messages = [s.message for s in executed.sent if s.message.dst == move.dst]
        assert move.head == kit.positions(messages)[-1].head


def test_departure_gas_is_the_intrinsic_gas_or_the_floor(world):
    alice, far = world.users[0][1], world.users[1][1].address
    assert departure_gas(alice.tx(far, gas=10**6)) == 21_000
    assert departure_gas(alice.tx(far, data=b"\1" * 100, gas=10**6)) == 21_000 + 4000
    access = [(far, range(100))]
    with_list = alice.tx(far, data=b"\1", gas=10**6, access=access)
    assert departure_gas(with_list) == 21_000 + 16 + 2400 + 190_000


def test_a_self_transfer_stays_here(world):
    alice = world.users[0][1]
    executed = world.make(alice.tx(alice.address, 5))
    assert executed.sent == ()
    assert executed.receipts[0].status == 1


def test_the_sender_may_be_the_fee_recipient(world):
    alice = world.users[0][1]
    world.coinbase = alice.address
    world.make(alice.tx(world.users[1][1].address, 1, gas=50_000))
    world.make(alice.tx(alice.address, 1))
    assert world.chain.state().nonce(alice.address) == 2


def test_a_delegated_sender_departs(world):
    """Its code is a delegation (EIP-7702): it may still send, and on the other shard it has none."""
    alice, bob = world.users[0][1:3]
    code = world.deploy(bytes.fromhex("5f5ffd"))
    world.make(
        bob.tx(bob.address, gas=200_000, authorizations=[alice.authorize(code, alice.nonce)])
    )
    alice.nonce += 1
    executed = world.make(alice.tx(world.users[1][0].address, 3))
    assert executed.sent[0].message.sender == alice.address


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"nonce": 1}, "nonce too high"),
        ({"gas": 20_999}, "intrinsic gas too low"),
        ({"gas": 21_030, "data": b"\1"}, "floor data gas cost"),
        ({"value": 10**24}, "insufficient funds"),
        ({"fee": 1, "tip": 1}, "max fee per gas less than block base fee"),
        ({"fee": 2 * GWEI, "tip": 3 * GWEI}, "max priority fee"),
        ({"gas": 15_021_001}, "exceeds message gas limit"),
        ({"gas": 30_000_001}, "exceeds block gas limit"),
    ],
)
def test_what_does_not_depart(world, fields, words):
    tx = world.users[0][1].tx(world.users[1][1].address, **fields)
    assert words in refused(world, tx)


def test_so_much_gas_may_go_along(world):
    alice, far = world.users[0][1], world.users[1][1].address
    executed = world.make(alice.tx(far, gas=521_000))
    assert executed.sent[0].message.gas == 500_000
    words = refused(world, alice.tx(far, gas=521_001))
    assert words.startswith("exceeds message gas limit: ")
    assert "at most 500000 gas, this one carries 500001" in words


def test_a_set_code_transaction_does_not_depart(world):
    alice = world.users[0][1]
    tx = alice.tx(
        world.users[1][1].address,
        gas=200_000,
        authorizations=[alice.authorize(world.coinbase, 1)],
    )
    assert "type 4" in refused(world, tx)


def test_only_who_lives_here_sends(world):
    words = refused(world, world.users[1][1].tx(world.users[0][1].address, 1))
    assert "is at home on shard 1" in words


def test_a_sender_who_was_given_another_home_does_not_send(world):
    alice = world.users[0][3]
    world.beacon.homes[alice.address] = 2
    assert "shard 2" in refused(world, alice.tx(world.users[0][1].address, 1))


def test_nothing_departs_to_a_frozen_shard(world):
    """It would never arrive, and its wei would be lost to the sender."""
    alice, bob = world.users[0][1:3]
    far, other = world.users[1][1].address, world.users[2][1].address
    world.beacon.frozen = {1}
    before = world.chain.state().balance(alice.address)
    built, _ = world.build(alice.tx(far, 1), bob.tx(other, 1))
    ((_, reason),) = built.rejected  # the pool gives it up
    assert "shard 1 is frozen" in reason
    assert built.deferred == ()
    assert [s.message.dst for s in built.executed.sent] == [2]
    alice.nonce = 0
    assert "never arrives" in refused(world, alice.tx(far, 1), ShardFrozen)
    assert world.chain.state().balance(alice.address) == before


def test_a_full_lane_defers_what_would_fill_it(make_world, kit):
    world = make_world(lane_window=3)
    carol, alice, bob, dave = world.users[0]
    far, other = world.users[1][1].address, world.users[2][1].address
    built, _ = world.build(
        *[user.tx(far, 1) for user in (carol, alice, dave)],
        alice.tx(far, 1),
        bob.tx(other, 1),
        bob.tx(world.coinbase, 1),
    )
    assert built.rejected == ()  # they wait in the pool
    assert [s.message.dst for s in built.executed.sent] == [1, 1, 1, 2]
    assert len(built.executed.decoded) == 5  # the other senders are not held up
    carol.nonce = alice.nonce = dave.nonce = bob.nonce = 0
    world.make(*[user.tx(far, 1) for user in (carol, alice, dave)])
    tx = bob.tx(far, 1)
    assert "the lane to shard 1 is full: 3 messages" in refused(world, tx, LaneFull)
    world.beacon.lanes[0, 1] = kit.lane(consumed=1)
    assert len(world.make(tx).sent) == 1
    refused(world, alice.tx(far, 1), LaneFull)


def test_no_gas_left_defers_a_departure(make_world):
    world = make_world(gas_limit=50_000, message_gas_limit=25_000)
    alice = world.users[0][1]
    run = world.run()
    for _ in range(2):
        run.run_transaction(alice.tx(world.users[1][1].address, 1))
    with pytest.raises(DoesNotFit):
        run.run_transaction(alice.tx(world.users[1][1].address, 1))
    with pytest.raises(DoesNotFit):
        run.run_transaction(world.users[0][2].tx(world.coinbase, 1))
    assert run.gas_left == 8_000


def test_the_largest_transaction_fits_into_a_message(world):
    """No transaction can stop a lane by its size."""
    alice = world.users[0][1]
    data = b"\0" * (MAX_TRANSACTION_BYTES - 130)
    tx = alice.tx(world.users[1][1].address, 2**60, data, 1_800_000)
    assert MAX_TRANSACTION_BYTES - 20 < len(tx.raw) <= MAX_TRANSACTION_BYTES
    message = world.make(tx).sent[0].message
    assert decode_item(encode_arrival(message)) == message
