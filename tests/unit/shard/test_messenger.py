"""The contract Messenger.vy: what is checked in, what it charges, refuses and answers."""

import importlib.util
from pathlib import Path

import pytest
from eth_abi import decode, encode

from node.execution.evm.validity import intrinsic_gas
from node.primitives import messenger as layout
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.message import LanePosition, MessageKind, message_id
from node.primitives.messenger import BEACON_ROOTS, HISTORY_STORAGE, MESSENGER, STAKING
from node.primitives.placement import home_by_range
from node.shard import messenger

ROOT = Path(__file__).resolve().parents[3]
GWEI = 10**9


# ---------------------------------------------------------------------- what is checked in


@pytest.fixture(scope="module")
def build():
    path = ROOT / "tools" / "build_contracts.py"
    spec = importlib.util.spec_from_file_location("build_contracts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_package_holds_what_the_source_compiles_to(build):
    assert build.TARGET.read_text() == build.text(build.compiled())


def test_the_layout_is_the_compilers():
    vyper = pytest.importorskip("vyper")
    source = (ROOT / "contracts" / "Messenger.vy").read_text()
    found = vyper.compile_code(source, output_formats=["layout"])["layout"]
    slots = {name: entry["slot"] for name, entry in found["storage_layout"].items()}
    assert slots == {
        "outbox": layout.OUTBOX_SLOT,
        "inbox": layout.INBOX_SLOT,
        "burned": layout.BURNED_SLOT,
        "shares": layout.SHARE_SLOT,
    }
    transient = {name: entry["slot"] for name, entry in found["transient_storage_layout"].items()}
    assert transient == {
        "causeId": layout.CAUSE_ID,
        "causeSource": layout.CAUSE_SOURCE,
        "causeSender": layout.CAUSE_SENDER,
    }
    names = ["shardId", "shards", "maxMessageGas", "laneWindow", "laneGasWindow"]
    assert list(found["code_layout"]) == names
    assert [entry["offset"] for entry in found["code_layout"].values()] == [0, 32, 64, 96, 128]


def test_the_topics_are_those_of_the_abi():
    events = {entry["name"]: entry for entry in layout.ABI if entry["type"] == "event"}
    inputs = events["Send"]["inputs"]
    signature = "Send(" + ",".join(i["type"] for i in inputs) + ")"
    assert keccak256(signature.encode()) == layout.SEND_TOPIC
    assert [i["name"] for i in inputs if i["indexed"]] == ["id", "sender", "to"]


# ---------------------------------------------------------------------- asking it


def ask(world, signature, *args, returns):
    """What a view of MESSENGER answers at the head."""
    types = signature[signature.index("(") + 1 : -1]
    data = keccak256(signature.encode())[:4] + encode(types.split(",") if types else [], args)
    run = world.run()
    run.state.begin_transaction()
    result = run.evm.apply_call(
        run.state,
        run.context,
        sender=world.users[0][1].address,
        to=MESSENGER,
        value=0,
        data=data,
        gas=1_000_000,
        gas_price=0,
        origin=world.users[0][1].address,
    )
    assert result.success
    return decode(returns, result.output)


def test_what_the_genesis_says(make_world):
    world = make_world(lane_window=7, lane_gas_window=50_000_000)
    for name, value in {
        "shardId": 0,
        "shards": 3,
        "maxMessageGas": 500_000,
        "laneWindow": 7,
        "laneGasWindow": 50_000_000,
        "burned": 0,
    }.items():
        assert ask(world, f"{name}()", returns=["uint256"]) == (value,)
    assert ask(world, "isCrossShardCall()", returns=["bool"]) == (False,)
    nothing = (bytes(32), 0, "0x" + "0" * 40)
    assert ask(world, "crossShardCall()", returns=["bytes32", "uint256", "address"]) == nothing


def test_homes_are_those_of_the_protocol(world, kit):
    run = world.run()
    known = [Address(keccak256(b"%d" % n)[:20]) for n in range(40)]
    known += [Address(n.to_bytes(20, "big")) for n in range(20)]
    known += [
        MESSENGER,
        layout.BEACON,
        STAKING,
        BEACON_ROOTS,
        HISTORY_STORAGE,
    ]
    born = next(
        address
        for n in range(10)
        if home_by_range(address := world.deploy(kit.revert), 3) != 0 or n == 9
    )
    far, near = kit.address(0, 3, 5), kit.address(2, 3, 6)
    for address, home in ((far, 2), (near, 1), (born, 0)):
        world.beacon.homes[address] = ShardId(home)
    asked = world.deploy(kit.store)  # fresh: in no directory, but its code is here
    for address in known:
        assert ask(world, "homeOf(address)", address, returns=["uint256"]) == (run.home(address),)
    assert ask(world, "homeOf(address)", asked, returns=["uint256"]) == (0,)
    assert ask(world, "homeOf(address)", far, returns=["uint256"]) == (2,)
    assert ask(world, "homeOf(address)", near, returns=["uint256"]) == (1,)


def test_positions_can_be_asked_for(world, kit):
    alice, far = world.users[0][1], world.users[1][1]
    for n in range(3):
        world.message(alice.address, 1, gas=100 * n, gas_price=0)
    world.make(alice.tx(far.address, 5, gas=50_000))
    words = ["uint256", "bytes32", "uint256", "uint256", "uint256"]
    out = ask(world, "outbox(uint256)", 1, returns=words)
    into = ask(world, "inbox(uint256)", 1, returns=words)
    state = world.chain.state()
    for found, position in (
        (out, messenger.outbox(state, ShardId(1))),
        (into, messenger.inbox(state, ShardId(1))),
    ):
        count, head, gas, wei, asked = found
        there = LanePosition(count=count, head=head, gas=gas, wei=wei, asked=asked)
        assert there == position
    assert (out[0], out[2]) == (1, 29_000)
    assert (into[0], into[2]) == (3, 300)
    assert ask(world, "burned()", returns=["uint256"]) == (messenger.burned(state),)


def test_what_the_beacon_knows_is_asked_for(world, kit):
    alice, far = world.users[0][1], world.users[1][1]
    for _ in range(3):
        world.make(alice.tx(far.address, 5, gas=50_000))
    assert ask(world, "consumed(uint256)", 1, returns=["uint256", "uint256"]) == (0, 0)
    world.beacon.lanes[0, 1] = kit.lane(2, 58_000)
    assert ask(world, "consumed(uint256)", 1, returns=["uint256", "uint256"]) == (2, 58_000)


# ---------------------------------------------------------------------- sending


@pytest.fixture
def far(world):
    return world.users[1][1].address


def test_a_send_is_a_message(world, kit, far):
    alice = world.users[0][1]
    price = world.run().base_fee + GWEI
    prepaid = 150_000 * price
    data = b"\xab" * 77
    tx = alice.tx(MESSENGER, prepaid + 5, kit.sending(far, data, 100_000, 50_000, b"call"), 200_000)
    executed = world.make(tx)
    (sent,) = executed.sent
    message = sent.message
    assert message.id == message_id(0, 1, 0)
    assert (message.kind, message.src, message.dst, message.seq) == (MessageKind.CALL, 0, 1, 0)
    assert (message.sender, message.to, message.refund_to) == (alice.address, far, alice.address)
    assert (message.value, message.gas, message.reply_gas) == (5, 100_000, 50_000)
    assert (message.gas_price, message.data, message.callback) == (price, data, b"call")
    assert (message.in_reply_to, message.origin_tx, message.depth) == (b"", tx.hash, 0)
    asked, announced = executed.receipts[-1].logs
    assert layout.is_send(asked.address, asked.topics)
    assert asked.topics[1] == message.id
    assert messenger.read_sent_log(announced) == message
    state = world.chain.state()
    assert messenger.outbox(state, ShardId(1)) == LanePosition().advance(message)
    assert state.balance(MESSENGER) == 0
    (move,) = executed.requests.outbox
    assert (move.dst, move.count, move.gas) == (1, 1, 150_000)


def test_no_callback_is_none(world, kit, far):
    (sent,) = world.make(world.users[0][1].tx(MESSENGER, 1, kit.sending(far), 200_000)).sent
    assert (sent.message.callback, sent.message.value) == (b"", 1)


def test_what_a_send_costs(world, kit, far):
    """What docs/messages.md says; the first send on a lane writes to four empty slots."""
    costs = []
    for data in (b"", b"", b"\1" * 100, b"\1" * 1000):
        call = kit.sending(far, data, 1000)
        tx = world.users[0][1].tx(MESSENGER, 10**16, call, 300_000)
        executed = world.make(tx)
        costs.append(executed.receipts[-1].cumulative_gas_used - intrinsic_gas(tx))
    assert costs[1] + 67_000 < costs[0] < costs[1] + 69_000
    assert costs[1] < 36_000
    assert costs[2] - costs[1] < 1_300
    assert costs[3] - costs[1] < 9_000


def refusal(world, tx):
    """What a transaction to MESSENGER reverts with."""
    built, _ = world.build(tx)
    assert [r.status for r in built.executed.receipts] == [0]
    assert built.executed.sent == ()
    run = world.run()
    run.state.begin_transaction()
    result = run.evm.apply_call(
        run.state,
        run.context,
        sender=tx.sender,
        to=MESSENGER,
        value=tx.value,
        data=tx.data,
        gas=1_000_000,
        gas_price=tx.effective_gas_price(run.base_fee),
        origin=tx.sender,
    )
    assert not result.success
    return result.output


def error(signature, *args):
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak256(signature.encode())[:4] + encode(types, args)


def test_an_account_of_this_shard_needs_no_message(world, kit):
    alice, bob = world.users[0][1:3]
    tx = alice.tx(MESSENGER, 0, kit.sending(bob.address), 200_000)
    assert refusal(world, tx) == error("NotRemote(address)", bob.address)


@pytest.mark.parametrize("gas", [(500_001, 0), (0, 500_001), (2**256 - 1, 1)])
def test_too_much_gas(world, kit, far, gas):
    tx = world.users[0][1].tx(MESSENGER, 10**18, kit.sending(far, b"", *gas), 200_000)
    limit = error("GasTooHigh(uint256,uint256)", max(gas), 500_000)
    assert refusal(world, tx) == limit


def test_the_gas_must_be_paid(world, kit, far):
    price = world.run().base_fee + GWEI
    tx = world.users[0][1].tx(
        MESSENGER, 300 * price - 1, kit.sending(far, b"", 100, 200, b"call"), 200_000
    )
    assert refusal(world, tx) == error("Underpaid(uint256)", 300 * price)


def test_too_much_data(world, kit, far):
    tx = world.users[0][1].tx(MESSENGER, 0, kit.sending(far, b"\1" * 16_385), 3_000_000)
    assert refusal(world, tx) == b""
    tx = world.users[0][2].tx(MESSENGER, 0, kit.sending(far, b"\1" * 16_384), 3_000_000)
    (sent,) = world.make(tx).sent
    assert sent.message.data == b"\1" * 16_384


def test_a_lane_is_full_by_messages(make_world, kit):
    world = make_world(lane_window=3)
    alice, bob = world.users[0][1:3]
    far, full = world.users[1][1].address, error("LaneFull(uint256)", 1)
    for user in (alice, world.users[0][0]):
        world.make(user.tx(MESSENGER, 0, kit.sending(far), 200_000))
    world.make(world.users[0][3].tx(far, 1))  # a departure counts as well
    assert refusal(world, bob.tx(MESSENGER, 0, kit.sending(far), 200_000, nonce=0)) == full
    other = world.users[2][1].address
    assert len(world.make(alice.tx(MESSENGER, 0, kit.sending(other), 200_000)).sent) == 1
    world.beacon.lanes[0, 1] = kit.lane(1, 0)
    assert len(world.make(bob.tx(MESSENGER, 0, kit.sending(far), 200_000)).sent) == 1
    assert refusal(world, bob.tx(MESSENGER, 0, kit.sending(far), 200_000)) == full


def test_a_lane_is_full_by_gas(make_world, kit):
    world = make_world(lane_gas_window=30_000_000, message_gas_limit=15_000_000)
    carol, alice, bob = world.users[0][:3]
    far, full = world.users[1][1].address, error("LaneFull(uint256)", 1)
    wei = 10**18
    world.make(alice.tx(MESSENGER, wei, kit.sending(far, b"", 14_000_000, 15_000_000), 200_000))
    tx = bob.tx(MESSENGER, wei, kit.sending(far, b"", 600_000, 400_001), 200_000, nonce=0)
    assert refusal(world, tx) == full
    world.make(carol.tx(MESSENGER, wei, kit.sending(far, b"", 600_000, 400_000), 200_000))
    assert refusal(world, tx) == full
    world.beacon.lanes[0, 1] = kit.lane(1, 29_000_000)
    bob.nonce = 0
    world.make(bob.tx(MESSENGER, wei, kit.sending(far, b"", 600_000, 400_001), 200_000))


def test_a_destination_that_claims_too_much_does_not_stop_the_lane(make_world, kit):
    world = make_world(lane_window=1)
    world.beacon.lanes[0, 1] = kit.lane(2**64 - 1, 2**128 - 1)
    far = world.users[1][1].address
    for _ in range(2):
        tx = world.users[0][1].tx(MESSENGER, 10**17, kit.sending(far, b"", 9), 200_000)
        assert len(world.make(tx).sent) == 1


def test_wei_cannot_be_sent_to_it(world):
    tx = world.users[0][1].tx(MESSENGER, 5, b"", 100_000)
    executed = world.make(tx)
    assert executed.receipts[-1].status == 0
    assert world.balance(MESSENGER) == 0


def test_wei_that_is_forced_on_it_stays_apart(world, kit, far):
    """It stays where it is, and no message takes it along."""
    alice = world.users[0][1]
    bomb = world.deploy(kit.destroy(MESSENGER), 77)
    world.make(alice.tx(bomb, gas=100_000))
    assert world.balance(MESSENGER) == 77
    (sent,) = world.make(alice.tx(MESSENGER, 5, kit.sending(far), 200_000)).sent
    assert sent.message.value == 5
    assert world.balance(MESSENGER) == 77
