"""Calls with a callback, from both ends: the reply tells the outcome, brings home what is left, and is
delivered so that no revert loses anything. `World.make` counts the wei of every block."""

from pathlib import Path

import pytest
from eth_abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from node.execution.state.system_contracts import (
    BEACON_ROOTS_ADDRESS,
    HISTORY_ADDRESS,
    SYSTEM_ADDRESS,
)
from node.primitives.basics import Address, keccak256
from node.primitives.births import contract_address
from node.primitives.errors import InvalidBlock
from node.primitives.message import MAX_DEPTH, MessageKind
from node.primitives.messenger import MESSENGER, STAKING
from node.primitives.placement import home_by_range
from node.shard import messenger
from node.shard.delivery import MAX_REPLY_BYTES
from node.shard.run import MAX_WEI
from tests.support.effort import examples

GWEI = 10**9
PRICE = 2 * GWEI
CALLBACK = b"\x0a\x0b\x0c\x0d"
ROOT = Path(__file__).resolve().parents[3]
FAR = Address(b"\xfa" * 20)


@pytest.fixture(scope="module")
def remote():
    """The init code of examples/contracts/Remote.vy."""
    import vyper

    source = (ROOT / "examples" / "contracts" / "Remote.vy").read_text()
    return bytes.fromhex(vyper.compile_code(source, output_formats=["bytecode"])["bytecode"][2:])


@pytest.fixture
def asker(world, remote):
    alice = world.users[0][1]
    address = contract_address(alice.address, alice.nonce)
    world.make(alice.tx(None, 0, remote, 3_000_000))
    return address


def call(signature, *args):
    types = signature[signature.index("(") + 1 : -1]
    return keccak256(signature.encode())[:4] + encode(types.split(",") if types else [], args)


def told(message):
    """(id, ok, data) of a reply."""
    assert message.data[:4] == CALLBACK
    return decode(["bytes32", "bool", "bytes"], message.data[4:])


def sent_by(world, message):
    executed = world.make()
    assert [m for _, m in executed.delivered] == [message]
    return executed, [s.message for s in executed.sent]


# ---------------------------------------------------------------------- where the call arrives


def test_success_is_told_with_what_was_returned(world, kit):
    returns = world.deploy(bytes.fromhex("602a5f5260205ff3"))
    payer = world.users[2][1].address
    message = world.message(
        returns, 5, gas=50_000, reply_gas=30_000, callback=CALLBACK, refund_to=payer
    )
    executed, (reply, refund) = sent_by(world, message)
    used = executed.header.gas_used
    assert executed.receipts[0].status == 1
    assert world.balance(returns) == 5
    assert (reply.kind, reply.dst, reply.to, reply.sender) == (
        MessageKind.REPLY,
        1,
        message.sender,
        returns,
    )
    assert (reply.value, reply.gas, reply.reply_gas, reply.callback) == (0, 30_000, 0, b"")
    assert (reply.gas_price, reply.refund_to) == (PRICE, payer)
    assert (reply.in_reply_to, reply.origin_tx) == (message.id, message.origin_tx)
    assert told(reply) == (message.id, True, (42).to_bytes(32, "big"))
    assert (refund.kind, refund.to) == (MessageKind.CREDIT, payer)
    assert refund.value == (50_000 - used) * PRICE


def test_failure_brings_the_value_back_with_the_reply(world, kit):
    reverts = world.deploy(bytes.fromhex("63deadbeef5f526004601cfd"))
    message = world.message(reverts, 5, gas=50_000, reply_gas=30_000, callback=CALLBACK)
    executed, (reply, refund) = sent_by(world, message)
    assert executed.receipts[0].status == 0
    assert (reply.value, reply.gas) == (5, 30_000)
    assert told(reply) == (message.id, False, bytes.fromhex("deadbeef"))
    assert refund.value == (50_000 - executed.header.gas_used) * PRICE
    assert world.balance(reverts) == 0


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, MAX_REPLY_BYTES, MAX_REPLY_BYTES + 1, 5000])
def test_of_what_was_returned_the_first_kibibyte_is_told(world, kit, size):
    returns = world.deploy(b"\x60\xff\x5f\x53\x61" + size.to_bytes(2, "big") + b"\x5f\xf3")
    message = world.message(returns, gas=50_000, gas_price=0, callback=CALLBACK)
    _, (reply,) = sent_by(world, message)
    output = (b"\xff" + bytes(size))[:size]
    assert told(reply) == (message.id, True, output[:MAX_REPLY_BYTES])
    encoded = encode(["bytes32", "bool", "bytes"], told(reply))
    assert reply.data == CALLBACK + encoded


def test_a_call_that_cannot_run_is_told_of(world, kit):
    """It has too much gas. All of it comes back but that of the reply."""
    here = world.deploy(kit.store)
    message = world.message(here, 5, gas=15_000_001, reply_gas=9, callback=CALLBACK)
    run = world.run()
    run.run_arrival(message)
    reply, refund = (s.message for s in run.sent)
    assert (reply.value, reply.gas, told(reply)) == (5, 9, (message.id, False, b""))
    assert refund.value == message.gas * PRICE
    assert run.receipts[0].status == 0
    sent_by(world, message)


def test_a_call_that_is_sent_on_is_answered_only_where_it_runs(world, kit):
    away = kit.address(0, 3, 5)
    world.beacon.homes[away] = 2
    message = world.message(away, 5, gas=400, reply_gas=9, callback=CALLBACK)
    _, (onward,) = sent_by(world, message)
    assert (onward.kind, onward.callback, onward.reply_gas) == (MessageKind.CALL, CALLBACK, 9)
    assert onward.id != message.id == onward.in_reply_to


def test_the_reply_to_a_call_that_was_sent_on_names_the_one_that_was_sent(world, kit):
    """The contract knows no other id."""
    contract = born_here(world, kit, 1)
    first = b"\x77" * 32
    message = world.message(
        contract, sender=world.users[2][0].address, in_reply_to=first, callback=CALLBACK, depth=1,
        gas_price=0,
    )  # fmt: skip
    _, (reply,) = sent_by(world, message)
    assert (reply.dst, reply.in_reply_to, told(reply)[0]) == (2, first, first)


def test_gas_for_a_reply_that_nobody_wants_comes_back(world, kit):
    contract = world.deploy(kit.store)
    message = world.message(contract, gas=50_000, reply_gas=700)
    executed, (refund,) = sent_by(world, message)
    assert refund.kind is MessageKind.CREDIT
    assert refund.value == (50_700 - executed.header.gas_used) * PRICE


def test_the_sender_may_live_here_by_now(world, asker, kit):
    """The call went after an address that turned out to be on the shard it came from: it runs, and the
    callback runs at once."""
    contract = born_here(world, kit, 1, b"\x00")
    alice = world.users[0][1]
    far = world.users[1][1].address
    ask = call("ask(address,bytes,uint256,uint256)", far, b"", 1000, 200_000)
    executed = world.make(alice.tx(asker, 10**18, ask, 600_000))
    first = executed.sent[0].message
    before = world.balance(asker)
    back = world.message(
        contract, 7, sender=asker, gas=1000, reply_gas=200_000, gas_price=0,
        callback=first.callback, depth=1, in_reply_to=first.id,
    )  # fmt: skip
    executed, sent = sent_by(world, back)
    assert (executed.receipts[0].status, sent) == (1, [])
    assert (world.balance(asker), world.balance(contract)) == (before, 7)
    assert executed.header.gas_used > 2000
    assert view(world, asker, call("count()"), ["uint256"]) == (1,)


# ---------------------------------------------------------------------- who may speak


def born_here(world, kit, shard, runtime=None):
    """A contract of this shard in the range of another, which the directory knows."""
    user = world.users[0][3]
    while home_by_range(contract_address(user.address, user.nonce), 3) != shard:
        world.make(user.tx(world.coinbase, 1))
    address = world.deploy(kit.store if runtime is None else runtime, user=user)
    world.beacon.homes[address] = 0
    return address


def refuse(world, message):
    """The block that refuses a message, which sends nothing but what comes back to who paid for it."""
    executed, sent = sent_by(world, message)
    assert (executed.receipts[0].status, executed.header.gas_used) == (0, 0)
    assert {m.kind for m in sent} <= {MessageKind.CREDIT}
    return {(m.to, m.value) for m in sent}


def test_no_shard_speaks_for_an_account_of_another(world, kit):
    """A corrupt source could act as any account, here or elsewhere, or as MESSENGER. Such a call does not
    run, and nobody is told. What it brought goes to who paid for it."""
    contract, payer = world.deploy(kit.store), world.users[2][2].address
    for sender in (
        *(world.users[0][2].address, world.users[2][1].address, MESSENGER),
        *(Address((4).to_bytes(20, "big")), kit.address(2, 3, 40)),
    ):
        before = world.balance(sender)
        message = world.message(
            contract, 5, gas=50_000, reply_gas=9, callback=CALLBACK, sender=sender, refund_to=payer,
            data=b"\1" * 32,
        )  # fmt: skip
        assert refuse(world, message) == {(payer, 5 + 50_009 * PRICE)}
        assert world.chain.state().storage(contract, 0) == 0
        assert world.balance(sender) == before


def test_a_sender_lives_where_the_directory_says(world, kit):
    """And not in its range, from the beacon block on that takes in its birth."""
    contract, sender = world.deploy(kit.store), kit.address(2, 3, 40)
    refuse(world, world.message(contract, sender=sender, gas=50_000))
    world.beacon.homes[sender] = 1
    executed, _ = sent_by(world, world.message(contract, sender=sender, gas=50_000))
    assert executed.receipts[0].status == 1
    refuse(world, world.message(contract, sender=sender, src=2, gas=50_000))


def test_what_was_just_born_here_speaks_here_only(world, kit):
    """Until the beacon knows of it, its range could act as a contract whose address could be foreseen."""
    contract, user = world.deploy(kit.store), world.users[0][3]
    while home_by_range(contract_address(user.address, user.nonce), 3) != 1:
        world.make(user.tx(world.coinbase, 1))
    born = world.deploy(kit.store, user=user)
    refuse(world, world.message(contract, sender=born, gas=50_000, data=b"\1" * 32))
    assert world.chain.state().storage(contract, 0) == 0


@pytest.mark.parametrize("to", [BEACON_ROOTS_ADDRESS, HISTORY_ADDRESS], ids=["roots", "history"])
def test_no_shard_makes_the_system_calls_of_another(make_world, to):
    """The contracts of EIP-4788 and EIP-2935 believe their caller, whose address has a range as all have."""
    src = home_by_range(SYSTEM_ADDRESS, 3)
    world = make_world(here=(src + 1) % 3)
    message = world.message(to, src=src, sender=SYSTEM_ADDRESS, gas=100_000, data=b"\6" * 32)
    executed = world.make()
    assert (executed.receipts[0].status, executed.header.gas_used) == (0, 0)
    slots = executed.header.timestamp % 8191 + 8191, (executed.header.number - 1) % 8191
    assert b"\6" * 32 not in {
        world.chain.state().storage(message.to, slot).to_bytes(32, "big") for slot in slots
    }


def test_only_the_range_of_a_contract_sends_on_to_it(world, kit):
    """Else any shard could speak for anybody by saying that it sends on."""
    contract, mine = born_here(world, kit, 1), world.deploy(kit.store)
    anybody = world.users[2][1].address
    for src, to, status in ((1, contract, 1), (2, contract, 0), (1, mine, 0), (2, mine, 0)):
        message = world.message(
            to, sender=anybody, src=src, depth=1, gas=50_000, in_reply_to=b"\1" * 32
        )
        executed, _ = sent_by(world, message)
        assert executed.receipts[0].status == status, (src, to)


def test_what_is_not_sent_on_is_looked_at_before_it_is_sent_on(world, kit):
    """Nobody's word is passed on as this shard's: neither a forged sender, nor what was sent on already."""
    away = kit.address(0, 3, 5)
    world.beacon.homes[away] = 2
    anybody = world.users[2][1].address
    for depth in (0, 1, MAX_DEPTH):
        message = world.message(away, 5, sender=anybody, gas=400, depth=depth)
        assert refuse(world, message) == {(anybody, 5 + 400 * PRICE)}


@pytest.mark.parametrize("forged", [{"sender": 2}, {"depth": 1}])
def test_a_reply_of_nobody_pays_and_runs_nothing(world, asker, forged):
    message = ask_far(world, asker)
    if "sender" in forged:
        forged = {"sender": world.users[2][1].address}
    before = world.balance(asker)
    executed, _ = sent_by(world, answer(world, message, value=7, **forged))
    assert (executed.receipts[0].status, executed.header.gas_used) == (0, 0)
    assert view(world, asker, call("count()"), ["uint256"]) == (0,)
    assert world.balance(asker) == before + 7


TOO_MUCH = {"gas": (1 << 64) - 1, "reply_gas": (1 << 64) - 1}


@pytest.mark.parametrize(
    "forged",
    [
        {"kind": MessageKind.CREDIT, **TOO_MUCH},
        {"kind": MessageKind.MIGRATE, **TOO_MUCH},
        {"kind": MessageKind.REPLY, **TOO_MUCH, "depth": 1},
        {"kind": MessageKind.CALL, **TOO_MUCH, "depth": 1, "callback": CALLBACK},
        {"kind": MessageKind.CALL, "reply_gas": 1 << 63, "depth": 1, "callback": CALLBACK},
    ],
)
@pytest.mark.parametrize("price", [0, 1])
@pytest.mark.parametrize("far", [True, False])
def test_no_shard_fills_the_lane_between_two_others(world, kit, forged, price, far):
    """By what they send on or answer: it prepays no more than a user there may, whatever it says, and takes
    nothing of what users there have."""
    victim = world.users[2][1].address
    to = kit.address(0 if far else 1, 3, 5)
    world.beacon.homes[to] = 2 if far else 0
    fields = {"sender": victim, "refund_to": victim, "gas_price": price, "in_reply_to": b"\1" * 32}
    if far:
        forged = {**forged, "sender": world.users[1][0].address, "depth": 0}
    executed, _ = sent_by(world, world.message(to, 3, **{**fields, **forged}))
    went = [sent.message for sent in executed.sent if sent.message.dst == 2]
    assert sum(m.all_gas for m in went) <= world.chain.rules.message_gas, executed.sent
    lane = messenger.outbox(world.chain.state(), 2)
    assert (lane.asked, lane.gas) == (0, 0)
    alice = world.users[0][1]
    assert len(world.make(alice.tx(world.users[2][2].address, 1)).decoded) == 1


def test_value_needs_no_word(world):
    alice = world.users[0][1].address
    for kind in (MessageKind.CREDIT, MessageKind.MIGRATE):
        before = world.balance(alice)
        message = world.message(alice, 5, kind=kind, sender=world.users[2][1].address, depth=9)
        executed, _ = sent_by(world, message)
        assert (executed.receipts[0].status, world.balance(alice)) == (1, before + 5)


# ---------------------------------------------------------------------- where the reply arrives


def ask_far(world, asker, value=0, reply_gas=300_000):
    """A call of the asker to shard 1, as its message."""
    alice = world.users[0][1]
    far = world.users[1][1].address
    ask = call("ask(address,bytes,uint256,uint256)", far, b"hi", 50_000, reply_gas)
    price = world.run().base_fee + GWEI
    tx = alice.tx(asker, (50_000 + reply_gas) * price + value, ask, 600_000)
    (sent,) = world.make(tx).sent
    return sent.message


def answer(world, message, ok=True, data=b"", *, value=0, **changes):
    """The reply to it, as the next message of lane 1."""
    fields = {
        "kind": MessageKind.REPLY,
        "sender": message.to,
        "gas": message.reply_gas,
        "gas_price": message.gas_price,
        "refund_to": message.refund_to,
        "data": message.callback + encode(["bytes32", "bool", "bytes"], [message.id, ok, data]),
        "in_reply_to": message.id,
        "origin_tx": message.origin_tx,
    }
    return world.message(message.sender, value, **{**fields, **changes})


def view(world, to, data, returns):
    run = world.run()
    run.state.begin_transaction()
    result = run.evm.apply_call(
        run.state, run.context, sender=FAR, to=to, value=0, data=data, gas=10**6, gas_price=0, origin=FAR
    )  # fmt: skip
    assert result.success
    return decode(returns, result.output)


ANSWER = ["(bool,bool,uint256,bytes)"]


def test_a_reply_calls_back_from_the_messenger(world, asker):
    message = ask_far(world, asker, 5)
    payer = message.refund_to
    before = world.balance(payer)
    reply = answer(world, message, True, b"\x2a")
    executed, sent = sent_by(world, reply)
    assert (executed.receipts[0].status, sent) == (1, [])
    found = view(world, asker, call("answers(bytes32)", message.id), ANSWER)
    assert found == ((True, True, 1, b"\x2a"),)
    used = executed.header.gas_used
    assert world.balance(payer) == before + (message.reply_gas - used) * message.gas_price
    nothing = view(world, MESSENGER, call("crossShardCall()"), ["bytes32", "uint256", "address"])
    assert nothing == (bytes(32), 0, "0x" + "00" * 20)


@pytest.mark.parametrize("how", ["revert", "no gas", "unknown", "too much gas"])
def test_a_callback_that_fails_loses_nothing(world, asker, how):
    alice = world.users[0][1]
    message = ask_far(world, asker, 5)
    if how == "revert":
        world.make(alice.tx(asker, 0, call("refuse(bool)", True), 100_000))
    before, payer = world.balance(asker), world.balance(alice.address)
    changes = {
        "no gas": {"gas": 0},
        "unknown": {"data": CALLBACK},
        "too much gas": {"gas": 15_000_001},
    }.get(how, {})
    if how == "unknown":
        changes["data"] = b"\xff" * 4
    reply = answer(world, message, False, value=5, **changes)
    executed, sent = sent_by(world, reply)
    failed = how != "unknown"  # the asker has a default function
    assert (executed.receipts[0].status, sent) == (int(not failed), [])
    assert world.balance(asker) == before + 5
    used = executed.header.gas_used
    assert world.balance(alice.address) == payer + (reply.gas - used) * message.gas_price


def test_only_the_messenger_calls_back(world, asker):
    message = ask_far(world, asker)
    data = call("answered(bytes32,bool,bytes)", message.id, True, b"")
    executed = world.make(world.users[0][2].tx(asker, 0, data, 300_000))
    assert executed.receipts[-1].status == 0
    world.message(asker, data=data, gas=300_000)  # nor a call from elsewhere
    assert world.make().receipts[0].status == 0


def test_a_reply_comes_once(world, asker):
    """A second one, which only a corrupt shard sends, is the contract's to refuse: this one does."""
    message = ask_far(world, asker)
    statuses = []
    for _ in range(2):
        executed, _ = sent_by(world, answer(world, message))
        statuses.append(executed.receipts[0].status)
    assert statuses == [1, 0]
    assert view(world, asker, call("count()"), ["uint256"]) == (1,)


def test_a_reply_follows_an_address_to_its_home(world, kit):
    away = kit.address(0, 3, 5)
    world.beacon.homes[away] = 2
    message = world.message(
        away,
        5,
        kind=MessageKind.REPLY,
        gas=77,
        data=b"data",
        in_reply_to=b"\1" * 32,
    )
    _, (onward,) = sent_by(world, message)
    assert (onward.kind, onward.dst, onward.depth) == (MessageKind.REPLY, 2, 1)
    for name in ("to", "sender", "value", "gas", "gas_price", "refund_to", "data", "in_reply_to"):
        assert getattr(onward, name) == getattr(message, name)


def test_there_is_no_reply_to_a_reply(world, kit):
    contract = world.deploy(kit.store)
    message = world.message(
        contract, 5, kind=MessageKind.REPLY, gas=50_000, reply_gas=9, callback=CALLBACK, gas_price=0
    )
    _, sent = sent_by(world, message)
    assert sent == []


def test_a_callback_sends_the_next_call(world, kit, remote):
    """A contract whose callback sends: what it sends is paid by the wei it has."""
    far = world.users[1][1].address
    contract = world.deploy(kit.calls((MESSENGER, 3, kit.sending(far, b"again"))), 100)
    reply = world.message(contract, 5, kind=MessageKind.REPLY, gas=200_000, data=CALLBACK)
    _, (again, refund) = sent_by(world, reply)
    assert (again.kind, again.sender, again.value, again.dst) == (MessageKind.CALL, contract, 3, 1)
    assert (again.origin_tx, again.refund_to) == (reply.origin_tx, reply.refund_to)
    assert refund.kind is MessageKind.CREDIT


def test_who_caused_a_call_can_be_asked_for(world, kit):
    """isCrossShardCall and crossShardCall, from a contract that an arrival calls, and at the next one."""
    # asks MESSENGER with the selector that it is called with, keeps three words of the answer
    code = bytes.fromhex("5f355f52" + "60605f60045f73") + MESSENGER + bytes.fromhex("5afa50")
    code += bytes.fromhex("5f515f55" + "602051600155" + "604051600255" + "00")
    contract = world.deploy(code)
    message = world.message(contract, gas=200_000, data=call("crossShardCall()"))
    sent_by(world, message)
    state = world.chain.state()
    words = [state.storage(contract, slot) for slot in range(3)]
    assert words == [
        int.from_bytes(message.id, "big"),
        1,
        int.from_bytes(message.sender, "big"),
    ]
    world.make(world.users[0][1].tx(contract, 0, call("isCrossShardCall()"), 300_000))
    assert world.chain.state().storage(contract, 0) == 0
    sent_by(world, world.message(contract, gas=200_000, data=call("isCrossShardCall()")))
    assert world.chain.state().storage(contract, 0) == 1


def test_origin_is_who_pays(world):
    """msg.sender and tx.origin in slots 0 and 1."""
    contract = world.deploy(bytes.fromhex("335f553260015500"))
    payer = world.users[2][1].address
    message = world.message(contract, gas=100_000, refund_to=payer)
    sent_by(world, message)
    state = world.chain.state()
    assert state.storage(contract, 0) == int.from_bytes(message.sender, "big")
    assert state.storage(contract, 1) == int.from_bytes(payer, "big")


# ---------------------------------------------------------------------- whatever a message holds


def test_wei_that_cannot_exist_is_not_given_to_anybody(world, kit):
    alice = world.users[0][1].address
    before = world.balance(alice)
    for fields in (
        {"value": MAX_WEI},
        {"value": 2**256 - 1},
        {"value": 0, "gas": 2**64 - 1, "gas_price": 2**256 - 1},
        {"value": 0, "reply_gas": 1, "gas_price": MAX_WEI, "callback": CALLBACK},
    ):
        for kind in MessageKind:
            message = world.message(alice, kind=kind, **fields)
            run = world.run()
            run.run_arrival(message)
            world.inbox[1].pop()
            assert [r.status for r in run.receipts] == [0]
            assert run.sent == []
            assert run.state.balance(alice) == before


def test_wei_that_never_left_their_source_are_not_given_to_anybody(world):
    """What the checkpoint that proves a message has, no inbox passes. What fails for that counts nothing."""
    alice = world.users[0][1].address
    before = world.balance(alice)
    for value in (5, 6, 4):
        world.message(alice, value, kind=MessageKind.CREDIT)
    world.told[1] = lambda position: 10
    executed = world.make()
    assert [receipt.status for receipt in executed.receipts] == [1, 0, 1]
    assert executed.sent == ()
    assert world.balance(alice) == before + 9
    (move,) = executed.requests.inbox
    assert (move.count, move.wei) == (3, 9)
    assert messenger.inbox(world.chain.state(), 1).wei == 9


def test_what_is_proven_by_a_later_checkpoint_has_its_wei(world):
    """The first that proves it counts, not the newest."""
    alice = world.users[0][1].address
    for value in (5, 5, 5):
        world.message(alice, value, kind=MessageKind.CREDIT)
    world.ends[1] = [1, 3]
    world.told[1] = lambda position: {1: 4, 3: 15}[position.count]
    executed = world.make()
    assert [receipt.status for receipt in executed.receipts] == [0, 1, 1]
    assert executed.requests.inbox[0].wei == 10


def test_what_nothing_proves_does_not_arrive(world):
    anchor = world.anchor()
    message = world.message(world.users[0][1].address, 5)
    with pytest.raises(InvalidBlock, match="not finalised at the anchor"):
        world.run(anchor).run_arrival(message)


small = st.sampled_from([0, 1, 21_000, 100_000])
wei = st.one_of(
    st.integers(0, 2**60), st.integers(MAX_WEI - 2**70, MAX_WEI), st.integers(0, 2**256 - 1)
)


@given(data=st.data())
@settings(max_examples=examples(300))
def test_no_message_makes_a_block_invalid(data):
    """Whatever a source commits to is delivered, and the other nodes agree on what came of it."""
    world, contracts = _scene()
    people = [
        *contracts, *(u.address for row in world.users for u in row), world.coinbase, MESSENGER,
        STAKING, bytes(20), *(n.to_bytes(20, "big") for n in (1, 5, 0x11, 0x12)),
    ]  # fmt: skip
    address = st.sampled_from(people) | st.binary(min_size=20, max_size=20)
    before = world.chain.head.number
    for _ in range(data.draw(st.integers(1, 4))):
        world.message(
            data.draw(address),
            data.draw(wei),
            src=data.draw(st.sampled_from([1, 2])),
            kind=data.draw(st.sampled_from(MessageKind)),
            sender=data.draw(address),
            gas=data.draw(small | st.integers(0, 2**64 - 1)),
            gas_price=data.draw(st.sampled_from([0, 1, PRICE]) | wei),
            refund_to=data.draw(address),
            data=data.draw(st.binary(max_size=80)),
            reply_gas=data.draw(small | st.integers(0, 2**64 - 1)),
            callback=data.draw(st.sampled_from([b"", CALLBACK])),
            in_reply_to=data.draw(st.sampled_from([b"", bytes(32)])),
            depth=data.draw(st.integers(0, 255)),
        )
    for _ in range(8):
        built, anchor = world.build()
        judged = world.twin.judge(built.executed.block, anchor, built.tails)
        assert judged.header == built.executed.header
        for chain, executed in ((world.chain, built.executed), (world.twin, judged)):
            chain.commit(executed, _KIT[0].certificate(executed))
        if not built.executed.delivered:
            break
    counts = {src: messenger.inbox(world.chain.state(), src).count for src in world.inbox}
    assert counts == {src: len(row) for src, row in world.inbox.items()}
    assert world.chain.head.number > before


_KIT: list = []


@pytest.fixture(autouse=True)
def _remember_kit(kit):
    _KIT[:] = [kit]


def _scene():
    """A shard with contracts that store, revert, burn gas, pay, destroy themselves and send."""
    kit = _KIT[0]
    world = kit.world()
    far = world.users[1][1].address
    codes = (
        kit.store, kit.revert, kit.invalid, kit.pay((far, 3), (world.coinbase, 1)), kit.destroy(far),
        kit.calls((MESSENGER, 2, kit.sending(far, b"x", 0, 0, CALLBACK))),
    )  # fmt: skip
    return world, [world.deploy(code, 1000) for code in codes]
