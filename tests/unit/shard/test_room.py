"""When a message may be sent: what gas costs where it goes, what its sender has under way, who is frozen. The
same for transactions and for `send`, whose rules are in the contract."""

import random

import pytest
from eth_abi import encode

from node.execution.evm.precompile_beacon import QUESTION_GAS
from node.primitives.basics import ShardId, keccak256
from node.primitives.message import MessageKind
from node.primitives.messenger import BEACON, MESSENGER, SHARE_BUCKETS, payer_bucket, share_slot
from node.shard import messenger
from node.shard.arrival_room import ArrivalRoom
from node.shard.room import LaneShare
from tests.support.effort import seeds

GWEI = 10**9
ETHER = 10**18


def error(signature, *args):
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak256(signature.encode())[:4] + encode(types, args)


def refusal(world, tx):
    """What a failing transaction returns."""
    run = world.run()
    result = run.evm.apply_transaction(
        run.state, run.context, tx, gas_available=run.context.gas_limit
    )
    assert not result.success
    return result.output


def call(world, to, data, gas=1_000_000, gas_price=0):
    run = world.run()
    run.state.begin_transaction()
    user = world.users[0][1].address
    return run.evm.apply_call(
        run.state, run.context, sender=user, to=to, value=0, data=data, gas=gas, gas_price=gas_price,
        origin=user,
    )  # fmt: skip


# ---------------------------------------------------------------------- prices


def test_a_departure_pays_the_base_fee_of_both_shards(make_world):
    world = make_world(base_fee=7)
    alice, far = world.users[0][1], world.users[1][1].address
    world.beacon.base_fees[1] = 5 * GWEI
    before = world.balance(alice.address)
    burned = messenger.burned(world.chain.state())
    (sent,) = world.make(alice.tx(far, 3, gas=71_000, tip=GWEI, fee=10 * GWEI)).sent
    assert sent.message.gas_price == 6 * GWEI
    assert before - world.balance(alice.address) == 71_000 * 6 * GWEI + 3
    assert (
        messenger.burned(world.chain.state()) - burned == 21_000 * world.chain.head.base_fee_per_gas
    )
    (sent,) = world.make(alice.tx(far, 3, gas=71_000, tip=GWEI, fee=5 * GWEI)).sent
    assert sent.message.gas_price == 5 * GWEI
    world.beacon.base_fees[1] = 0
    (sent,) = world.make(alice.tx(far, gas=71_000, tip=GWEI)).sent
    assert sent.message.gas_price == GWEI + world.chain.head.base_fee_per_gas


def test_a_departure_below_the_base_fee_there_waits(make_world):
    world = make_world(base_fee=7)
    alice, bob = world.users[0][1:3]
    far = world.users[1][1].address
    world.beacon.base_fees[1] = 5 * GWEI
    low = alice.tx(far, gas=71_000, tip=GWEI, fee=5 * GWEI - 1)
    after = alice.tx(world.coinbase, 1)
    built, _ = world.build(low, after, bob.tx(world.coinbase, 1))
    assert built.rejected == ()
    assert [tx.sender for _, tx in built.executed.decoded] == [bob.address]
    assert built.deferred == (
        (
            low.hash,
            "max fee per gas less than base fee of shard 1: its call pays for gas there; "
            "maxFeePerGas: 4999999999, baseFee: 5000000000",
        ),
    )
    world.beacon.base_fees[1] = 5 * GWEI - 1
    assert len(world.make(low, after).sent) == 1


def price_to(world, dst, gas_price):
    """What MESSENGER says that gas for shard `dst` costs in a transaction of this price."""
    data = keccak256(b"priceTo(uint256)")[:4] + encode(["uint256"], [dst])
    return int.from_bytes(call(world, MESSENGER, data, gas_price=gas_price).output, "big")


@pytest.mark.parametrize("there", [0, GWEI, 5 * GWEI, 900 * GWEI])
def test_a_send_buys_gas_at_the_base_fee_there(make_world, kit, there):
    """Out of its value, whatever its transaction pays here; the rest of the value goes along. So no message
    of an honest source is underpaid where it goes, as the anchor has it."""
    world = make_world(base_fee=7)
    alice, far = world.users[0][1], world.users[1][1].address
    world.beacon.base_fees[1] = there
    here = GWEI + world.run().base_fee
    price = max(here, there)
    assert price_to(world, 1, here) == price
    assert price_to(world, 1, 2 * price) == 2 * price
    gas, reply_gas = 50_000, 70_000
    needed = (gas + reply_gas) * price
    send = kit.sending(far, b"", gas, reply_gas)
    low = alice.tx(MESSENGER, needed - 1, send, 200_000, tip=GWEI, nonce=0)
    assert refusal(world, low) == error("Underpaid(uint256)", needed)
    before = world.balance(alice.address)
    executed = world.make(alice.tx(MESSENGER, needed + 3, send, 200_000, tip=GWEI))
    ((sent,),) = (executed.sent,)
    message = sent.message
    assert (message.gas_price, message.value) == (price, 3)
    assert (message.gas, message.reply_gas) == (gas, reply_gas)
    room = ArrivalRoom(params=world.genesis.params, base_fee=there)
    assert not room.is_underpaid(message)
    run_here = before - world.balance(alice.address) - needed - 3
    assert (
        0 < run_here <= 200_000 * here
    )  # what runs on this shard costs what it costs on this shard


def test_an_arrival_that_pays_little_sends_for_no_less_than_gas_costs_here(make_world, kit):
    """The price of an arrival is its source's word. The gas of a reply is burned here, on the honest lane of
    whoever answers: bought at the price of a cheap shard, it would hold that lane up."""
    world = make_world()
    world.beacon.base_fees[1] = 7
    here = world.run().base_fee
    assert here > GWEI // 2
    for price in (0, 7, here - 1):
        assert price_to(world, 1, price) == here
    assert price_to(world, 1, here + 1) == here + 1


# ---------------------------------------------------------------------- shares


def test_one_sender_has_a_quarter_of_a_lane(make_world, kit):
    world = make_world(lane_window=16)
    alice, bob = world.users[0][1:3]
    far, other = world.users[1][1].address, world.users[2][1].address
    built, _ = world.build(*[alice.tx(far, 1) for _ in range(6)], bob.tx(far, 1))
    assert len(built.executed.sent) == 5
    ((_, reason),) = built.deferred
    assert reason == (
        "the sender's share of the lane to shard 1 is full: 4 of its messages are under way, "
        "at most 4 of one sender may be"
    )
    alice.nonce = bob.nonce = 0
    for n in range(4):  # transactions and what its contracts send count together
        to, data = (far, b"") if n % 2 else (MESSENGER, kit.sending(far))
        world.make(alice.tx(to, 0, data, 200_000))
    full = error("ShareUsed(uint256)", 1)
    assert refusal(world, alice.tx(MESSENGER, 0, kit.sending(far), 200_000, nonce=4)) == full
    assert len(world.make(bob.tx(MESSENGER, 0, kit.sending(far), 200_000)).sent) == 1
    assert len(world.make(alice.tx(MESSENGER, 0, kit.sending(other), 200_000)).sent) == 1
    world.beacon.lanes[0, 1] = kit.lane(4)
    assert len(world.make(*[alice.tx(far, 1) for _ in range(4)]).sent) == 4


def test_one_sender_has_a_quarter_of_the_gas_of_a_lane(make_world, kit):
    world = make_world(lane_gas_window=4_000_000, message_gas_limit=600_000)
    alice, bob = world.users[0][1:3]
    far = world.users[1][1].address
    built, _ = world.build(
        alice.tx(far, gas=621_000), alice.tx(far, gas=421_001), bob.tx(far, gas=621_000)
    )
    assert len(built.executed.sent) == 2
    assert "prepaid 600000 gas, at most 1000000 of one sender" in built.deferred[0][1]
    alice.nonce = bob.nonce = 0
    send = kit.sending(far, b"", 300_000, 300_000)
    world.make(alice.tx(MESSENGER, ETHER, send, 200_000))
    more = alice.tx(MESSENGER, ETHER, kit.sending(far, b"", 400_001), 200_000, nonce=1)
    assert refusal(world, more) == error("ShareUsed(uint256)", 1)
    enough = alice.tx(MESSENGER, ETHER, kit.sending(far, b"", 400_000), 200_000)
    assert len(world.make(enough).sent) == 1


@pytest.mark.parametrize("seed", seeds(12))
def test_the_contract_and_the_protocol_count_alike(make_world, kit, seed):
    """Any mixture of transactions and sends, between messages that nobody asked for, while the lane is consumed
    now and then: what is under way of a sender is never more than its share, one message always has room, and
    both ways agree on it."""
    dice = random.Random(seed)
    world = make_world(lane_window=dice.choice([1, 8, 12]))
    most = max(1, world.genesis.params.lane_window // 4)
    far = world.users[1][1].address
    senders = world.users[0][1:4]
    sent: list[bytes | None] = []  # who paid; None: nobody asked for it
    consumed = asked = 0
    for _ in range(30):
        if dice.random() < 0.4:
            consumed = dice.randint(consumed, len(sent))
            asked = consumed - sent[:consumed].count(None)
            world.beacon.lanes[0, 1] = kit.lane(consumed, consumed_asked=asked)
        passed = dice.choice((0, 0, 1, 5))
        for _ in range(passed):
            world.message(far, 1, src=2, kind=MessageKind.CREDIT)
        user = dice.choice(senders)
        by_contract = dice.random() < 0.5
        nonce = world.chain.state().nonce(user.address)
        to, data = (MESSENGER, kit.sending(far)) if by_contract else (far, b"")
        tx = user.tx(to, 0, data, 200_000, nonce=nonce)
        held = messenger.share(world.chain.state(), ShardId(1), payer_bucket(user.address)).after(
            asked
        )
        built, anchor = world.build(tx)
        went = len(built.executed.sent) - passed
        sent += [None] * passed
        waiting = len(sent) - sent.count(None) - asked
        full = waiting >= world.genesis.params.lane_window
        assert went == (not full and held.used(world.genesis.params, 0) is None)
        if not went and by_contract:
            assert refusal(world, tx)[:4] in (
                error("LaneFull(uint256)", 1)[:4],
                error("ShareUsed(uint256)", 1)[:4],
            )
        mine = sent[consumed:].count(user.address)
        assert went or full or mine > 0
        judged = world.twin.judge(built.executed.block, anchor, built.tails)
        for chain, executed in ((world.chain, built.executed), (world.twin, judged)):
            chain.commit(executed, kit.certificate(executed))
        sent += [user.address] * went
        assert sent[consumed:].count(user.address) <= most
        now = messenger.share(world.chain.state(), ShardId(1), payer_bucket(user.address))
        assert now.older.count + now.newer.count >= sent[consumed:].count(user.address)


def test_shares_take_a_bounded_place():
    slots = {share_slot(1, payer_bucket(keccak256(b"%d" % n)[:20])) for n in range(20_000)}
    assert len(slots) == SHARE_BUCKETS


def test_a_share_is_free_when_all_of_it_is_consumed():
    share = LaneShare().sent(0, 5).sent(3, 6)
    assert (share.newer.until, share.newer.count, share.newer.gas) == (4, 2, 11)
    share = share.after(3).sent(9, 1)
    assert (share.older.count, share.newer.count) == (2, 1)
    assert share.after(4).older.until == 10
    assert share.after(10) == LaneShare()


# ---------------------------------------------------------------------- frozen shards


def test_a_send_to_a_frozen_shard_reverts(world, kit):
    world.beacon.frozen.add(1)
    alice, far = world.users[0][1], world.users[1][1].address
    tx = alice.tx(MESSENGER, ETHER, kit.sending(far), 200_000, nonce=0)
    assert refusal(world, tx) == error("Frozen(uint256)", 1)
    contract = world.deploy(kit.calls((MESSENGER, ETHER, kit.sending(far))), value=ETHER)
    assert world.make(alice.tx(contract, 0, b"", 300_000)).sent == ()
    assert world.balance(contract) == ETHER


def test_nothing_is_sent_to_a_frozen_shard(world, kit):
    """What arrivals and beacon operations would send there stays under the account, and whoever else is owed
    something has it."""
    world.beacon.frozen.add(1)
    owner, gone, payer = (
        world.users[1][1].address,
        kit.address(0, 3, 900),
        world.users[2][1].address,
    )
    contract = world.deploy(kit.revert)
    sender = world.users[2][0].address
    # a refund and a failed call's value of the frozen shard, with a callback that nobody is there to take
    world.message(contract, 5, gas=50_000, reply_gas=20_000, callback=b"call", sender=owner)
    world.message(contract, 5, src=2, gas=50_000, refund_to=owner, sender=sender)
    # on the way to it
    world.message(owner, 7, src=2, kind=MessageKind.CREDIT)
    world.message(owner, 8, src=2, gas=30_000, sender=sender, refund_to=payer)
    world.message(owner, 9, src=2, kind=MessageKind.REPLY, gas=10_000, refund_to=payer)
    world.beacon.homes[gone] = ShardId(1)
    world.make(world.users[0][1].tx(kit.address(0, 3, 901), 1))
    executed = world.make(anchor=world.anchor(births=((gone, ShardId(1)),)))
    assert {sent.message.dst for sent in executed.sent} <= {2}
    assert all(sent.message.kind is MessageKind.CREDIT for sent in executed.sent)
    assert world.balance(owner) >= 5 + 7 + 9


# ---------------------------------------------------------------------- the precompile


def test_the_beacon_answers_for_gas(world):
    far = world.users[1][1].address
    world.beacon.base_fees[1] = 5
    asked = keccak256(b"homeOf(address)")[:4] + bytes(12) + far
    result = call(world, BEACON, asked)
    assert (int.from_bytes(result.output, "big"), result.gas_used) == (1, QUESTION_GAS)
    result = call(world, BEACON, keccak256(b"shard(uint256)")[:4] + (1).to_bytes(32, "big"))
    assert [result.output[i : i + 32][-1] for i in (0, 32, 64, 96)] == [0, 0, 5, 0]
    result = call(world, BEACON, keccak256(b"height()")[:4])
    assert int.from_bytes(result.output, "big") == world.height
    assert not call(world, BEACON, asked, gas=QUESTION_GAS - 1).success
    for wrong in (b"", asked[:-1], asked + b"\0", b"\1" + asked[1:], asked[:4] + b"\1" * 32):
        result = call(world, BEACON, wrong)
        assert (result.success, result.gas_used) == (False, 1_000_000)
    number = keccak256(b"shard(uint256)")[:4] + (3).to_bytes(32, "big")
    assert not call(world, BEACON, number).success
