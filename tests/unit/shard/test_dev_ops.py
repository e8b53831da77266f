"""Development operations in shard blocks: where they may stand, what they do, that no wei is unaccounted."""

import itertools

import pytest

from node.execution.state.system_contracts import SYSTEM_ADDRESS
from node.primitives import rlp
from node.primitives.basics import Address
from node.primitives.dev_operation import DEV_OPERATION_TYPE, MAX_WEI, DevKind, DevOperation
from node.primitives.errors import InvalidBlock, InvalidTransaction
from node.primitives.messenger import MESSENGER, STAKING
from node.primitives.mining import MiningOrder
from node.primitives.transaction import decode_transaction, encode_impersonated
from node.shard import dev_ops, messenger
from node.shard.block import ShardBlock
from node.shard.dev_queue import MAX_QUEUED, DevQueue
from node.shard.judge import judge
from node.shard.selection import ChosenTransactions

GWEI = 10**9
ETHER = 10**18
RETURN_SLOT_0 = bytes.fromhex("5f545f5260205ff3")
_salts = itertools.count()


def op(kind, to=None, **fields):
    if kind is DevKind.MINE:
        fields.setdefault("data", MiningOrder(name=bytes(8), shards=1, left=1).encoded)
    salt = next(_salts).to_bytes(16, "big")
    return DevOperation(kind=kind, salt=salt, **({"to": Address(to)} if to else {}), **fields)


@pytest.fixture
def world(make_world):
    return make_world(dev_methods=True)


def build(world, *operations, txs=(), anchor=None):
    env = world.env(anchor)
    return world.chain.build(
        env, world.lanes(), ChosenTransactions(list(txs)), operations
    ), env.anchor


def make(world, kit, *operations, txs=(), anchor=None):
    """The next block, built, judged by the twin, committed to both; wei is conserved."""
    built, anchor = build(world, *operations, txs=txs, anchor=anchor)
    assert built.rejected == ()
    before = kit.wei_of(world.chain) - messenger.issued(world.chain.state())
    judged = world.twin.judge(built.executed.block, anchor, built.tails)
    assert judged.delta.nodes == built.executed.delta.nodes
    assert judged.operations == built.executed.operations
    for chain, executed in ((world.chain, built.executed), (world.twin, judged)):
        chain.commit(executed, kit.certificate(executed))
    moved = sum(m.in_flight_wei for _, m in judged.delivered) - sum(
        s.message.in_flight_wei for s in judged.sent
    )
    after = kit.wei_of(world.chain) - messenger.issued(world.chain.state())
    assert after == before + moved
    return built.executed


def statuses(executed):
    return [receipt.status for receipt in executed.receipts]


def test_balances_are_set_and_what_was_made_or_taken_is_counted(world, kit):
    account, alice = kit.address(0, 3, 5), world.users[0][1]
    executed = make(world, kit, op(DevKind.SET_BALANCE, account, number=5 * ETHER))
    assert statuses(executed) == [1]
    assert (executed.header.gas_used, executed.receipts[0].type) == (0, DEV_OPERATION_TYPE)
    assert world.balance(account) == 5 * ETHER
    assert messenger.issued(world.chain.state()) == 5 * ETHER

    make(world, kit, op(DevKind.ADD_BALANCE, account, number=1))
    make(world, kit, op(DevKind.SET_BALANCE, alice.address, number=1))
    state = world.chain.state()
    assert world.balance(account) == 5 * ETHER + 1
    assert messenger.issued(state) == 5 * ETHER + 1 + 1 - 1000 * ETHER  # below zero


def test_nonce_code_and_storage_are_set(world, kit):
    account = kit.address(0, 3, 6)
    code = op(DevKind.SET_CODE, account, data=RETURN_SLOT_0)
    store = op(DevKind.SET_STORAGE, account, slot=7, number=2**256 - 1)
    executed = make(world, kit, op(DevKind.SET_NONCE, account, number=9), code, store)
    state = world.chain.state()
    assert statuses(executed) == [1, 1, 1]
    assert (state.nonce(account), state.code(account)) == (9, RETURN_SLOT_0)
    assert state.storage(account, 7) == 2**256 - 1
    make(world, kit, op(DevKind.SET_CODE, account), op(DevKind.SET_STORAGE, account, slot=7))
    state = world.chain.state()
    assert (state.code(account), state.storage(account, 7)) == (b"", 0)


def test_a_transaction_of_the_same_block_sees_them(world, kit):
    """They stand between arrivals and transactions."""
    alice, account = world.users[0][1], kit.address(0, 3, 7)
    world.message(alice.address, 3)
    paying = kit.pay((account, 1))
    executed = make(
        world,
        kit,
        op(DevKind.SET_CODE, account, data=paying),
        op(DevKind.SET_BALANCE, account, number=50),
        txs=[alice.tx(account, 0, gas=100_000)],
    )
    assert [item[0] for item in executed.block.items] == [0x7D, 0x7C, 0x7C, 2]
    assert executed.receipts[-1].cumulative_gas_used > 21_000


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (lambda w, k: op(DevKind.SET_NONCE, w.users[0][1].address), "cannot fall to 0"),
        (lambda w, k: op(DevKind.SET_BALANCE, k.address(1, 3), number=1), "does not live on"),
        (lambda w, k: op(DevKind.SET_BALANCE, MESSENGER, number=1), "of the protocol"),
        (lambda w, k: op(DevKind.SET_CODE, STAKING), "of the protocol"),
        (lambda w, k: op(DevKind.SET_STORAGE, bytes(19) + b"\1", number=1), "of the protocol"),
        (lambda w, k: op(DevKind.SET_STORAGE, k.address(0, 3, 9), number=1), "has no storage"),
        (
            lambda w, k: op(DevKind.ADD_BALANCE, w.users[0][1].address, number=MAX_WEI),
            "would be above",
        ),
    ],
    ids=["nonce", "elsewhere", "messenger", "staking", "precompile", "empty", "overflow"],
)
def test_what_cannot_be_done_has_a_reason_and_no_effect(world, kit, operation, reason):
    alice = world.users[0][1]
    world.make(alice.tx(world.users[0][2].address, 1))
    operation = operation(world, kit)
    run = world.run()
    assert reason in dev_ops.refusal(run.state, run.is_home, operation)

    empty, _ = build(world)
    executed = make(world, kit, operation)
    assert statuses(executed) == [0]
    state = world.chain.state()
    assert messenger.issued(state) == 0
    assert state.balance(MESSENGER) == 0
    assert empty.executed.header.gas_used == executed.header.gas_used == 0


def test_a_contract_that_the_beacon_does_not_know_keeps_its_home(world, kit):
    """It lives here because it has code and nonce; without them it would be another shard's at once."""
    for _ in range(20):
        address = world.deploy(RETURN_SLOT_0)
        if world.beacon.home(address) != 0:
            break
    state = world.chain.state()
    assert state.nonce(address) == 1
    executed = make(
        world, kit, op(DevKind.SET_CODE, address), op(DevKind.SET_NONCE, address, number=0)
    )
    assert statuses(executed) == [1, 0]
    assert world.chain.state().nonce(address) == 1


def test_what_was_made_of_an_address_ends_when_a_contract_is_born_there_elsewhere(world, kit):
    unborn = kit.address(0, 3, 8)
    make(
        world,
        kit,
        op(DevKind.SET_CODE, unborn, data=RETURN_SLOT_0),
        op(DevKind.SET_NONCE, unborn, number=4),
        op(DevKind.SET_BALANCE, unborn, number=77),
    )
    world.beacon.homes[unborn] = 2
    executed = make(world, kit, anchor=world.anchor(births=((unborn, 2),)))
    [sent] = executed.sent
    assert (sent.message.to, sent.message.value, sent.message.dst) == (unborn, 77, 2)
    assert not world.chain.state().has_code_or_nonce(unborn)


# ---------------------------------------------------------------------- the judge


def test_without_the_flag_a_block_with_one_is_invalid(world, make_world):
    strict = make_world()
    account = strict.users[0][1].address
    operation = op(DevKind.SET_BALANCE, account, number=1)
    with pytest.raises(InvalidBlock, match="dev_methods = false"):
        strict.run().run_dev_operation(operation)
    built, _ = build(world, operation)
    block = built.executed.block
    with pytest.raises(InvalidBlock, match="dev_methods = false"):
        judge(strict.run(strict.anchor()), block, built.tails)


def test_an_operation_stands_in_the_chain_once(world, kit):
    operation = op(DevKind.ADD_BALANCE, world.users[0][1].address, number=5)
    first = make(world, kit, operation)
    assert world.chain.find_transaction(operation.hash) == (1, 0)
    built, anchor = build(world, operation)
    assert built.executed.block.items == ()  # our builder leaves it out

    again = ShardBlock(header=built.executed.header, items=first.block.items)
    with pytest.raises(InvalidBlock, match="stands in the chain already"):
        world.twin.judge(again, anchor, built.tails)
    other = op(DevKind.MINE)
    twice = ShardBlock(header=built.executed.header, items=(other.encoded, other.encoded))
    with pytest.raises(InvalidBlock, match="stands in the chain already"):
        world.twin.judge(twice, anchor, built.tails)


def test_their_place_and_number_are_fixed(world, kit):
    alice, bob = world.users[0][1:3]
    message = world.message(alice.address, 1)
    run = world.run()
    run.run_dev_operation(op(DevKind.MINE))
    with pytest.raises(InvalidBlock, match="an arrival stands after"):
        run.run_arrival(message)
    run.run_transaction(alice.tx(bob.address, 1))
    with pytest.raises(InvalidBlock, match="stands after a transaction"):
        run.run_dev_operation(op(DevKind.MINE))
    full = world.run()
    for _ in range(dev_ops.MAX_OPERATIONS):
        full.run_dev_operation(op(DevKind.MINE))
    with pytest.raises(InvalidBlock, match="more than 64"):
        full.run_dev_operation(op(DevKind.MINE))


# ---------------------------------------------------------------------- impersonation


def impersonated(sender, to, value=0, nonce=0, gas=21_000, data=b""):
    numbers = [rlp.int_to_bytes(n) for n in (1337, nonce, GWEI, 10 * GWEI, gas)]
    body = b"\x02" + rlp.encode([*numbers, to or b"", rlp.int_to_bytes(value), data, []])
    return decode_transaction(encode_impersonated(sender, body))


def test_an_impersonated_transaction_runs_like_a_signed_one(world, kit):
    """Of a contract, here and to another shard: it has a nonce, pays its gas, and departs."""
    contract, friend = kit.address(0, 3, 11), world.users[0][2].address
    make(
        world,
        kit,
        op(DevKind.SET_CODE, contract, data=RETURN_SLOT_0),
        op(DevKind.SET_BALANCE, contract, number=ETHER),
    )
    here = impersonated(contract, friend, 5)
    away = impersonated(contract, world.users[1][1].address, 7, nonce=1)
    executed = make(world, kit, txs=[here, away])
    assert [item[0] for item in executed.block.items] == [0x7B, 0x7B]
    assert (statuses(executed), executed.receipts[0].type) == ([1, 1], 2)
    [sent] = executed.sent
    assert (sent.message.sender, sent.message.value) == (contract, 7)
    assert sent.message.origin_tx == away.hash
    assert world.balance(friend) == 1000 * ETHER + 5
    assert world.chain.state().nonce(contract) == 2
    assert world.balance(contract) < ETHER - 12 - 2 * 21_000 * GWEI
    assert world.chain.find_transaction(away.hash) == (2, 1)


def test_it_needs_what_a_signed_one_needs(world):
    alice = world.users[0][1]
    run = world.run()
    for tx, words in (
        (impersonated(alice.address, alice.address, nonce=1), "nonce too high"),
        (impersonated(alice.address, alice.address, 10**30), "insufficient funds"),
        (impersonated(world.users[1][0].address, alice.address), "at home on shard 1"),
        (impersonated(MESSENGER, alice.address), "cannot be impersonated"),
        (impersonated(SYSTEM_ADDRESS, alice.address), "cannot be impersonated"),
    ):
        with pytest.raises(InvalidTransaction, match=words):
            run.run_transaction(tx)


def test_nobody_is_impersonated_without_the_flag(make_world):
    strict = make_world()
    alice = strict.users[0][1]
    with pytest.raises(InvalidTransaction, match="dev_methods = false"):
        strict.run().run_transaction(impersonated(alice.address, alice.address))


# ---------------------------------------------------------------------- the queue


def test_the_queue_is_bounded_by_number_and_bytes_and_holds_each_once():
    queue = DevQueue()
    first = op(DevKind.SET_MINING)
    assert (queue.add(first), queue.add(first), len(queue)) == (True, False, 1)
    for _ in range(MAX_QUEUED - 1):
        queue.add(op(DevKind.SET_MINING))
    with pytest.raises(InvalidTransaction, match="512 development operations wait"):
        queue.add(op(DevKind.SET_MINING))
    batch = queue.first(mining=False)
    assert (batch[0], len(batch)) == (first, dev_ops.MAX_OPERATIONS)
    queue.on_committed([*batch, op(DevKind.SET_MINING)])
    assert len(queue) == MAX_QUEUED - 64
    assert first not in queue
    assert first.hash not in queue

    large = DevQueue()
    code = b"\1" * 24_576
    for _ in range(4 * 1024 * 1024 // len(code)):
        large.add(op(DevKind.SET_CODE, b"\1" * 20, data=code))
    with pytest.raises(InvalidTransaction, match="wait already"):
        large.add(op(DevKind.SET_CODE, b"\1" * 20, data=code))
    large.on_committed(large.all())
    assert large.add(op(DevKind.MINE))
