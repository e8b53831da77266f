"""Contracts that send, in every place where a contract can call: what survives is sent, nothing else."""

import pytest

from node.primitives.births import contract_address
from node.primitives.message import LanePosition, MessageKind
from node.primitives.messenger import MESSENGER, SENT_TOPIC
from node.primitives.placement import home_by_range
from node.shard import messenger

GWEI = 10**9
WHILE_GAS_IS_LEFT = bytes.fromhex("5b6200ea605a115f57")  # loops until 60,000 gas are left


@pytest.fixture
def far(world):
    return world.users[1][1].address


def messages(executed):
    return [s.message for s in executed.sent]


def nothing_was_sent(world, executed):
    assert executed.sent == ()
    state = world.chain.state()
    assert messenger.outbox(state, 1) == LanePosition()
    assert state.balance(MESSENGER) == 0
    assert executed.requests.outbox == ()


def test_many_sends_of_a_transaction_stand_in_their_order(world, kit, far):
    other = world.users[2][1].address
    sends = [(MESSENGER, n, kit.sending(to, bytes([n]))) for n, to in enumerate([far, other] * 4)]
    contract = world.deploy(kit.calls(*sends), 100)
    executed = world.make(world.users[0][1].tx(contract, gas=2_000_000))
    sent = messages(executed)
    assert [(m.dst, m.seq, m.value, m.data) for m in sent] == [
        (1 + n % 2, n // 2, n, bytes([n])) for n in range(8)
    ]
    assert {m.sender for m in sent} == {contract}
    assert {m.refund_to for m in sent} == {world.users[0][1].address}
    for dst in (1, 2):
        lane = kit.positions([m for m in sent if m.dst == dst])
        assert messenger.outbox(world.chain.state(), dst) == lane[-1]
    assert world.balance(contract) == 100 - sum(range(8))


def test_sends_sweeps_and_departures_share_a_lane(world, kit, far):
    """In one block: a send and a credit of one transaction, then a departure."""
    alice, bob = world.users[0][1:3]
    contract = world.deploy(kit.calls((far, 9, b""), (MESSENGER, 5, kit.sending(far))), 100)
    executed = world.make(alice.tx(contract, gas=500_000), bob.tx(far, 3))
    assert [(m.seq, m.value, m.kind.name) for m in messages(executed)] == [
        (0, 5, "CALL"),
        (1, 9, "CREDIT"),
        (2, 3, "CALL"),
    ]
    assert messenger.outbox(world.chain.state(), 1) == kit.positions(messages(executed))[-1]


def test_a_send_in_a_reverted_transaction_is_none(world, kit, far):
    contract = world.deploy(kit.calls((MESSENGER, 5, kit.sending(far)), end=kit.revert), 100)
    executed = world.make(world.users[0][1].tx(contract, gas=500_000))
    assert executed.receipts[-1].status == 0
    assert world.balance(contract) == 100
    nothing_was_sent(world, executed)


def test_a_send_in_a_reverted_call_is_none(world, kit, far):
    inner = world.deploy(kit.calls((MESSENGER, 5, kit.sending(far)), end=kit.revert), 100)
    outer = world.deploy(kit.calls((inner, 0, b"")))
    executed = world.make(world.users[0][1].tx(outer, gas=500_000))
    assert executed.receipts[-1].status == 1
    assert world.balance(inner) == 100
    nothing_was_sent(world, executed)


def test_what_is_sent_around_a_reverted_call_is_numbered_without_a_gap(world, kit, far):
    inner = world.deploy(kit.calls((MESSENGER, 5, kit.sending(far)), end=kit.revert), 100)
    sends = [(MESSENGER, n, kit.sending(far)) for n in (1, 2)]
    outer = world.deploy(kit.calls(sends[0], (inner, 0, b""), sends[1]), 100)
    executed = world.make(world.users[0][1].tx(outer, gas=900_000))
    assert [(m.seq, m.value, m.sender) for m in messages(executed)] == [
        (0, 1, outer),
        (1, 2, outer),
    ]
    assert messenger.outbox(world.chain.state(), 1) == kit.positions(messages(executed))[-1]


def test_a_constructor_sends(world, kit, far):
    alice = world.users[0][1]
    address = contract_address(alice.address, alice.nonce)
    code = kit.calls((MESSENGER, 7, kit.sending(far)))
    executed = world.make(alice.tx(None, 9, code, 500_000))
    (message,) = messages(executed)
    assert (message.sender, message.value) == (address, 7)
    assert world.balance(address) == 2


def test_a_contract_that_is_destroyed_has_sent(world, kit, far):
    alice = world.users[0][1]
    code = kit.calls((MESSENGER, 7, kit.sending(far)), end=kit.destroy(alice.address))
    executed = world.make(alice.tx(None, 9, code, 500_000))
    (message,) = messages(executed)
    assert message.value == 7


def test_code_of_the_messenger_run_by_another_contract_sends_nothing(world, kit, far):
    """DELEGATECALL: the log is not MESSENGER's, and what is written is not its storage."""
    contract = world.deploy(kit.calls((MESSENGER, 0, kit.sending(far)), delegate=True), 100)
    executed = world.make(world.users[0][1].tx(contract, gas=500_000))
    (log,) = executed.receipts[-1].logs
    assert log.address == contract
    nothing_was_sent(world, executed)


def test_a_proxy_sends_in_its_own_name(world, kit, far):
    logic = world.deploy(kit.calls((MESSENGER, 5, kit.sending(far))))
    proxy = world.deploy(kit.calls((logic, 0, b""), delegate=True), 100)
    (message,) = messages(world.make(world.users[0][1].tx(proxy, gas=500_000)))
    assert (message.sender, message.value) == (proxy, 5)
    assert world.balance(proxy) == 95


def test_a_log_that_looks_like_a_send_is_only_a_log(world, kit, far):
    """Of any contract but MESSENGER."""
    topics = (b"\x7f" + bytes(32), b"\x7f" + bytes(32), b"\x7f" + bytes(32))
    code = b"".join(topics) + b"\x7f" + SENT_TOPIC + b"\x5f\x5f\xa4\x00"
    contract = world.deploy(code)
    executed = world.make(world.users[0][1].tx(contract, gas=500_000))
    assert len(executed.receipts[-1].logs) == 1
    nothing_was_sent(world, executed)


def test_an_arrival_sends(world, kit, far):
    """What a call sends is refunded to who paid for the call, at the price of the call."""
    contract = world.deploy(kit.calls((MESSENGER, 5, kit.sending(far, b"x"))), 100)
    payer = world.users[2][1].address
    arrived = world.message(contract, gas=200_000, src=2, refund_to=payer)
    message, *credits = messages(world.make())
    assert (message.sender, message.value, message.dst) == (contract, 5, 1)
    assert (message.refund_to, message.origin_tx) == (payer, arrived.origin_tx)
    assert message.gas_price == arrived.gas_price
    assert [c.to for c in credits] == [payer]


# ---------------------------------------------------------------------- a full lane, or a frozen shard


def failed_and_paid(world, before, executed, tx):
    """The transaction stands in the block: only its nonce and what its gas cost have changed."""
    assert [t.hash for _, t in executed.decoded] == [tx.hash]
    (receipt,) = executed.receipts
    assert (receipt.status, receipt.logs, executed.sent) == (0, (), ())
    after = world.chain.state()
    price = tx.effective_gas_price(executed.header.base_fee_per_gas)
    assert after.nonce(tx.sender) == tx.nonce + 1
    assert before.balance(tx.sender) - after.balance(tx.sender) == executed.header.gas_used * price
    return executed.header.gas_used


def test_a_transaction_that_pays_an_account_of_a_frozen_shard_fails(make_world, kit):
    """It has run before anybody can know; so it pays for that."""
    world = make_world()
    alice, bob = world.users[0][1:3]
    payer = world.deploy(kit.pay((world.users[1][1].address, 1)), 100)
    world.beacon.frozen = {1}
    before = world.chain.state()
    tx = alice.tx(payer, gas=200_000)
    used = failed_and_paid(world, before, world.make(tx), tx)
    assert 21_000 < used < 200_000
    assert world.balance(payer) == 100
    world.beacon.frozen = set()
    done = world.make(bob.tx(payer, gas=200_000))
    assert abs(done.header.gas_used - used) < 1000, "what it ran, as if it had reverted at its end"


def test_a_transaction_whose_credits_find_two_windows_full_fails(make_world, kit):
    """All that it did is undone, and later ones of its sender go on."""
    world = make_world(lane_window=2)
    alice, bob = world.users[0][1:3]
    far = world.users[1][1].address
    payer = world.deploy(kit.pay((far, 1)), 100)
    store = world.deploy(kit.store)
    both = world.deploy(kit.calls((store, 0, (7).to_bytes(32, "big")), (payer, 0, b"")))
    for _ in range(4):
        assert len(world.make(alice.tx(payer, gas=200_000)).sent) == 1
    before = world.chain.state()
    tx = alice.tx(both, gas=200_000)
    failed_and_paid(world, before, world.make(tx), tx)
    assert world.chain.state().storage(store, 0) == before.storage(store, 0)
    built, _ = world.build(alice.tx(both, gas=200_000), alice.tx(bob.address, 1))
    assert [r.status for r in built.executed.receipts] == [0, 1]
    assert built.rejected == built.deferred == ()
    alice.nonce -= 2
    world.beacon.lanes[0, 1] = kit.lane(1, 0)
    assert len(world.make(alice.tx(both, gas=200_000)).sent) == 1


@pytest.mark.slow
def test_what_runs_for_payments_that_cannot_be_sent_is_paid_for_in_full(make_world, kit):
    """A block full of such transactions is a full block: the next one is dearer."""
    world = make_world(lane_window=1)
    far = world.users[1][1].address
    payer = world.deploy(kit.pay((far, 1)), 100)
    for user in world.users[0][:2]:
        world.make(user.tx(payer, gas=200_000))
    burner = world.deploy(WHILE_GAS_IS_LEFT + kit.pay((far, 1)), 100)
    limit = world.genesis.params.gas_limit
    gas = limit // len(world.users[0])
    executed = world.make(*[user.tx(burner, gas=gas) for user in world.users[0]])
    assert {receipt.status for receipt in executed.receipts} == {0}
    assert executed.header.gas_used > limit * 3 // 4


def test_an_arrival_sends_credits_into_a_full_lane(make_world, kit):
    """It was let in where it came from: shards do not hold each other up."""
    world = make_world(lane_window=1)
    far = world.users[1][1].address
    payer = world.deploy(kit.pay((far, 1)), 100)
    for _ in range(4):
        world.message(payer, src=2, gas=100_000, gas_price=0)
    assert len(world.make().sent) == 4


@pytest.mark.parametrize("target", [1, 2])
def test_who_does_not_outlive_its_transaction_is_nobody_everywhere(make_world, kit, target):
    """A contract that sends from its constructor and destroys itself: its call runs on no shard, whether
    that is the one of its range (1) or another."""
    world = make_world()
    user = world.users[0][1]
    while home_by_range(contract_address(user.address, user.nonce), 3) != 1:
        world.make(user.tx(world.users[0][2].address, 1))
    to = world.users[target][0].address
    init = kit.calls(
        (MESSENGER, 10**18, kit.sending(to, gas=50_000)), end=kit.destroy(user.address)
    )
    executed = world.make(user.tx(None, 2 * 10**18, init, 1_000_000))
    (call,) = [s.message for s in executed.sent if s.message.kind is MessageKind.CALL]
    there = make_world(here=target)
    there.inbox[0] = [call]
    delivered = there.make()
    assert delivered.receipts[0].status == 0
    assert there.balance(call.sender) == 0
    (back,) = [s.message for s in delivered.sent]
    assert (back.dst, back.to, back.value) == (0, user.address, call.in_flight_wei)
