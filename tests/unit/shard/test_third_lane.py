"""What a shard that lies has an honest one put on the lane to a third: users of the honest one still send there
and wait for little gas that nobody there asked for. Here shard 1 lies, and shard 2 is the third.
"""

import pytest

from node.primitives.births import contract_address
from node.primitives.message import LanePosition, MessageKind
from node.primitives.messenger import MESSENGER
from node.primitives.placement import home_by_range
from node.shard import messenger

pytestmark = pytest.mark.slow

LIAR, THIRD = 1, 2
CALLBACK = b"call"
WINDOW, GAS_WINDOW, MOST = 4, 16_000_000, 2_000_000
GWEI = 10**9
RULES = {
    "lane_gas_window": GAS_WINDOW,
    "message_gas_limit": MOST,
    "base_fee": 0,  # so that no arrival pays too little, which is bounded by a rule of its own
}


@pytest.fixture
def small(make_world):
    return make_world(lane_window=WINDOW, **RULES)


@pytest.fixture
def wide(make_world):
    """Where gas alone is short."""
    return make_world(lane_window=400, **RULES)


def born_here(world, kit):
    """A contract of this shard in the range of the one that lies, which the directory knows."""
    user = world.users[0][3]
    while home_by_range(contract_address(user.address, user.nonce), 3) != LIAR:
        world.make(user.tx(world.coinbase, 1))
    address = world.deploy(kit.store, user=user)
    world.beacon.homes[address] = 0
    return address


def born_there(world, kit):
    """An address in our range that lives on the third shard."""
    address = kit.address(0, 3, 5)
    world.beacon.homes[address] = THIRD
    return address


def calls_to_answer(world, kit, count):
    """In the names of accounts of the third shard, as if sent on from the range of the contract."""
    contract = born_here(world, kit)
    for _ in range(count):
        world.message(
            contract, sender=world.users[THIRD][0].address, depth=1, in_reply_to=b"\1" * 32,
            gas=30_000, reply_gas=MOST, gas_price=0, callback=CALLBACK,
        )  # fmt: skip


def calls_to_send_on(world, kit, count):
    away = born_there(world, kit)
    for _ in range(count):
        world.message(away, gas=MOST, reply_gas=MOST, gas_price=0, callback=CALLBACK)


def replies_to_send_on(world, kit, count):
    away = born_there(world, kit)
    for _ in range(count):
        world.message(away, kind=MessageKind.REPLY, gas=MOST, gas_price=0)


def credits_to_send_on(world, kit, count):
    victim = world.users[THIRD][0].address
    for _ in range(100 * count):
        world.message(victim, 1, kind=MessageKind.CREDIT)


def calls_that_pay(world, kit, count):
    """Accounts of the third shard: what they leave there is swept."""
    others = [kit.address(THIRD, 3, n) for n in range(3)]
    payer = world.deploy(kit.pay(*((other, 1) for other in others)), 10**6)
    for _ in range(count):
        world.message(payer, gas=200_000, gas_price=0)


def refunds(world, kit, count):
    """To who paid for a call, who may be anybody."""
    for n in range(count):
        world.message(world.coinbase, gas=1, gas_price=1, refund_to=kit.address(THIRD, 3, n))


LIES = [
    calls_to_answer,
    calls_to_send_on,
    replies_to_send_on,
    credits_to_send_on,
    calls_that_pay,
    refunds,
]


def flood(world):
    """Deliver all, and say what of it went to the third shard."""
    start = messenger.outbox(world.chain.state(), THIRD).count
    lane = []
    while len(world.inbox[LIAR]) > messenger.inbox(world.chain.state(), LIAR).count:
        lane += [s.message for s in world.make().sent if s.message.dst == THIRD]
    assert [m.seq for m in lane] == list(range(start, start + len(lane)))
    return lane


@pytest.mark.parametrize("consumed", [False, True])
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_shard_that_lies_leaves_users_the_lane_between_two_others(small, kit, lie, consumed):
    world = small
    far = world.users[THIRD][1].address
    payer = world.deploy(kit.pay((far, 1)), 100)
    lie(world, kit, 40)
    lane = flood(world)
    assert len(lane) >= 40 or sum(m.all_gas for m in lane) >= MOST
    position = messenger.outbox(world.chain.state(), THIRD)
    assert position == kit.positions(lane)[-1]
    assert (position.asked, position.gas) == (0, 0)
    if consumed:
        world.beacon.lanes[0, THIRD] = kit.lane(len(lane), consumed_asked=0)
    # Users have all of the window and no more, and payments to accounts there twice as much.
    alice, bob, carol, dave = world.users[0]
    for n, user in enumerate((alice, bob, carol, dave)):
        tx = user.tx(far, 1) if n % 2 else user.tx(MESSENGER, 0, kit.sending(far), 200_000)
        assert len(world.make(tx).sent) == 1
    for _ in range(WINDOW):
        assert len(world.make(alice.tx(payer, gas=200_000)).sent) == 1
    assert messenger.outbox(world.chain.state(), THIRD).asked == 2 * WINDOW
    built, _ = world.build(bob.tx(far, 1), carol.tx(payer, gas=200_000))
    assert len(built.deferred) == 1, "the window still bounds what users ask for"
    assert [(r.status, r.logs) for r in built.executed.receipts[-1:]] == [(0, ())]
    assert built.executed.sent == ()


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_what_a_shard_has_another_pass_on_is_a_quarter_of_the_gas_at_a_time(wide, kit, lie):
    """However much of it the third shard has consumed, which the beacon says."""
    world, lane, consumed = wide, [], 0
    for step in range(6):
        lie(world, kit, 5)
        lane += flood(world)
        assert sum(m.all_gas for m in lane[consumed:]) <= GAS_WINDOW // 4
        consumed += (len(lane) - consumed) * (step % 2)
        end = kit.positions(lane)[consumed - 1] if consumed else LanePosition()
        world.beacon.lanes[0, THIRD] = kit.lane(consumed, consumed_asked=end.asked)
    assert len(lane) >= 3, "what is consumed makes room"


def test_a_source_has_a_share_of_its_own_on_each_lane(wide, kit):
    """One that lies takes nothing of what another has sent on."""
    world = wide
    calls_to_send_on(world, kit, 9)
    assert len(flood(world)) == 1
    there, elsewhere = kit.address(0, 3, 5), kit.address(0, 3, 6)
    world.beacon.homes[elsewhere] = LIAR
    honest = world.users[THIRD][0].address
    for to in (elsewhere, elsewhere, there, there):
        world.message(to, src=THIRD, sender=honest, gas=MOST, reply_gas=MOST)
    sent = [s.message for s in world.make().sent if s.message.kind is MessageKind.CALL]
    assert [m.dst for m in sent] == [LIAR, THIRD, THIRD], "back to itself it may have all of them"


def test_a_call_that_is_not_sent_on_fails_and_its_sender_is_told(small, kit):
    world = small
    away, sender = born_there(world, kit), world.users[LIAR][0].address
    for _ in range(2):
        world.message(away, 5, gas=MOST, reply_gas=MOST, callback=CALLBACK)
    executed = world.make()
    onward, reply, refund = (s.message for s in executed.sent)
    assert [r.status for r in executed.receipts] == [1, 0]
    assert (onward.dst, onward.kind, onward.value) == (THIRD, MessageKind.CALL, 5)
    assert (reply.dst, reply.kind, reply.to, reply.value) == (LIAR, MessageKind.REPLY, sender, 5)
    assert (reply.gas, reply.in_reply_to) == (MOST, world.inbox[LIAR][1].id)
    assert (refund.dst, refund.to, refund.value) == (LIAR, sender, MOST * 2 * GWEI)


def test_a_reply_that_is_not_sent_on_leaves_its_value_and_its_gas(wide, kit):
    world = wide
    away, payer = born_there(world, kit), world.users[LIAR][2].address
    for _ in range(3):
        world.message(away, 5, kind=MessageKind.REPLY, gas=MOST, gas_price=1, refund_to=payer)
    executed = world.make()
    assert [r.status for r in executed.receipts] == [1, 1, 0]
    last = [s.message for s in executed.sent if s.index == 2]
    assert {(m.kind, m.dst, m.to, m.value) for m in last} == {
        (MessageKind.CREDIT, THIRD, away, 5),
        (MessageKind.CREDIT, LIAR, payer, MOST),
    }


def test_a_call_whose_sender_has_no_room_to_be_told_runs_and_returns_the_rest(wide, kit):
    world = wide
    contract, sender = born_here(world, kit), world.users[THIRD][0].address
    for _ in range(3):
        world.message(
            contract, 5, sender=sender, depth=1, in_reply_to=b"\1" * 32, data=b"\7" * 32,
            gas=100_000, reply_gas=MOST, callback=CALLBACK,
        )  # fmt: skip
    executed = world.make()
    assert [r.status for r in executed.receipts] == [1, 1, 1]
    kinds = [[s.message.kind.name for s in executed.sent if s.index == n] for n in range(3)]
    assert kinds == [["REPLY", "CREDIT"], ["REPLY", "CREDIT"], ["CREDIT"]]
    used = executed.receipts[2].cumulative_gas_used - executed.receipts[1].cumulative_gas_used
    refund = executed.sent[-1].message
    assert (refund.to, refund.value) == (sender, (100_000 - used + MOST) * 2 * GWEI)


def test_what_is_sent_to_a_contract_that_was_just_born_follows_it(world, kit):
    """With the parameters of a network, while the other shards do not know of the birth yet."""
    away = born_there(world, kit)
    for _ in range(250):
        world.message(away, 1, gas=300_000, reply_gas=200_000, callback=CALLBACK)
    lane = flood(world)
    assert len(lane) == 250
    assert {(m.kind, m.depth) for m in lane} == {(MessageKind.CALL, 1)}


def test_a_beacon_operation_asks_for_nothing(world, kit):
    """It sweeps what lies here of a contract that lives elsewhere."""
    address = kit.address(0, 3, 900)
    world.make(world.users[0][1].tx(address, 7))
    world.beacon.homes[address] = THIRD
    (credit,) = [s.message for s in world.make(anchor=world.anchor(((address, THIRD),))).sent]
    assert (credit.kind, credit.value, credit.depth) == (MessageKind.CREDIT, 7, 1)
    assert messenger.outbox(world.chain.state(), THIRD).asked == 0
