"""Births, sweeps, beacon operations and delegations: what lives here and what goes home."""

import pytest

from node.primitives.basics import Address, keccak256
from node.primitives.births import Birth, contract_address
from node.primitives.errors import InvalidBlock, UserError
from node.primitives.genesis import Params
from node.primitives.message import MessageKind
from node.primitives.messenger import MESSENGER, STAKING
from node.primitives.placement import home_by_range
from node.primitives.requests import ShardRequests
from node.shard import messenger
from node.shard.block_frame import MAX_GAS_LIMIT, ShardRules

ETHER = 10**18


def credits(executed):
    return {(s.message.to, s.message.dst): s.message.value for s in executed.sent}


def deploy_away(world, user, runtime, value=0):
    """Deploy until a contract's range is elsewhere; (its address, its block)."""
    while True:
        address = contract_address(user.address, user.nonce)
        executed = world.make(user.tx(None, value, runtime, 3_000_000))
        if home_by_range(address, 3) != 0:
            return address, executed
        assert addresses(executed) == [address]


def addresses(executed):
    """Of what the block tells that it created and that is still there."""
    return [birth.address for birth in executed.requests.births if birth.kept]


# ---------------------------------------------------------------------- births


def test_a_contract_away_from_its_range_is_born_and_at_home_at_once(world, kit):
    alice = world.users[0][1]
    address, executed = deploy_away(world, alice, kit.initcode(kit.store))
    assert executed.requests.births == (Birth(creator=alice.address, nonce=alice.nonce - 1),)
    assert addresses(executed) == [address]
    assert world.beacon.home(address) != 0  # the anchor has not heard of it
    executed = world.make(alice.tx(address, 0, (7).to_bytes(32, "big"), 100_000))
    assert executed.sent == ()
    assert world.chain.state().storage(address, 0) == 7
    assert executed.requests.births == ()


def test_it_can_be_called_in_the_block_of_its_birth(world, kit):
    alice, bob = world.users[0][1:3]
    alice.nonce = 0
    bob.nonce = 0
    while home_by_range(contract_address(alice.address, alice.nonce), 3) == 0:
        world.make(alice.tx(world.coinbase, 1))
    address = contract_address(alice.address, alice.nonce)
    executed = world.make(
        bob.tx(address, 1),  # departs: nobody lives there yet
        alice.tx(None, 0, kit.initcode(kit.pay()), 200_000),
        bob.tx(address, 2, gas=50_000),
    )
    assert credits(executed) == {(address, home_by_range(address, 3)): 1}
    assert world.balance(address) == 2


def test_a_contract_in_its_range_is_told_too(world, kit):
    """The beacon has to know who the creators of others are."""
    alice = world.users[0][1]
    while home_by_range(contract_address(alice.address, alice.nonce), 3) != 0:
        world.make(alice.tx(world.coinbase, 1))
    executed = world.make(alice.tx(None, 0, kit.initcode(kit.store), 200_000))
    assert addresses(executed) == [contract_address(alice.address, alice.nonce - 1)]


def test_nothing_is_created_where_the_directory_has_another_shard(world, kit):
    """It fails as a collision does (EIP-684): by a transaction, by CREATE and by CREATE2."""
    alice = world.users[0][1]
    factory = world.deploy(bytes.fromhex("5f5f5ff05f555f5f5f5ff560015500"))
    taken = [
        contract_address(alice.address, alice.nonce + 1),
        contract_address(factory, 1),
        create2_address(factory, 0, b""),
    ]
    world.beacon.homes |= dict.fromkeys(taken, 2)
    executed = world.make(
        alice.tx(factory, gas=25_000_000), alice.tx(None, 0, kit.initcode(kit.store), 200_000)
    )
    assert [receipt.status for receipt in executed.receipts] == [1, 0]
    assert executed.requests.births == ()
    state = world.chain.state()
    assert [state.storage(factory, slot) for slot in (0, 1)] == [0, 0]
    assert not any(state.has_code_or_nonce(address) for address in taken)
    world.beacon.homes |= dict.fromkeys((contract_address(factory, 3),), 0)  # here is not elsewhere
    world.make(alice.tx(factory, gas=1_000_000))
    assert world.chain.state().storage(factory, 0) != 0


def create2_address(creator, salt, init):
    return Address(keccak256(b"\xff" + creator + salt.to_bytes(32, "big") + keccak256(init))[12:])


def test_contracts_of_contracts_are_born_where_their_creator_lives(world):
    alice = world.users[0][1]
    factory = world.deploy(bytes.fromhex("5f5f5ff0505f5f5ff0505f355f5f5ff55000"))
    expected = [contract_address(factory, nonce) for nonce in (1, 2)]
    expected += [create2_address(factory, 9, b"")]
    executed = world.make(alice.tx(factory, 0, (9).to_bytes(32, "big"), 1_000_000))
    assert addresses(executed) == expected
    assert executed.requests.births[2].salt == (9).to_bytes(32, "big")
    state = world.chain.state()
    assert all(state.nonce(address) == 1 for address in expected)


def test_a_reverted_creation_is_no_birth(world):
    alice = world.users[0][1]
    factory = world.deploy(bytes.fromhex("5f5f5ff0505f5ffd"))
    assert world.make(alice.tx(factory, gas=1_000_000)).requests.births == ()
    executed = world.make(alice.tx(None, 0, bytes.fromhex("5f5ffd"), 1_000_000))
    assert (executed.requests.births, executed.receipts[0].status) == ((), 0)


def test_destroyed_in_its_own_transaction_is_told_as_gone(world, kit):
    """What it held goes to the beneficiary, or is burned where that is itself."""
    alice = world.users[0][1]
    far = world.users[1][1].address
    executed = world.make(alice.tx(None, 5, kit.destroy(far), 1_000_000))
    assert [birth.kept for birth in executed.requests.births] == [False]
    assert credits(executed) == {(far, 1): 5}
    burned = messenger.burned(world.chain.state())
    executed = world.make(alice.tx(None, 5, bytes.fromhex("30ff"), 1_000_000))
    fees = executed.header.gas_used * executed.header.base_fee_per_gas
    assert messenger.burned(world.chain.state()) == burned + fees + 5
    assert (addresses(executed), executed.sent) == ([], ())


def test_a_contract_that_is_gone_stands_before_what_it_created(world):
    alice = world.users[0][1]
    parent = contract_address(alice.address, alice.nonce)
    executed = world.make(alice.tx(None, 0, bytes.fromhex("5f5f5ff0505fff"), 1_000_000))
    assert executed.requests.births == (
        Birth(creator=alice.address, nonce=alice.nonce - 1, kept=False),
        Birth(creator=parent, nonce=1),
    )


def test_a_message_can_give_birth(world):
    factory = world.deploy(bytes.fromhex("5f5f5ff050" * 8 + "00"))
    expected = [contract_address(factory, nonce) for nonce in range(1, 9)]
    world.message(factory, gas=500_000)
    executed = world.make()
    assert addresses(executed) == expected


def test_no_block_can_hold_more_births_than_it_can_report(make_world):
    """The gas limit is bounded: refunds hide at most a fifth of what 2048 creations cost."""
    params = Params(gas_limit=MAX_GAS_LIMIT)
    assert ShardRules(chain_id=1, shard=0, shards=1, params=params).params == params
    with pytest.raises(UserError, match="gas_limit must be at most 52428800"):
        make_world(gas_limit=MAX_GAS_LIMIT + 1)


@pytest.mark.slow
def test_as_many_births_as_a_block_can_hold(make_world):
    world = make_world(gas_limit=MAX_GAS_LIMIT)
    alice = world.users[0][1]
    loop = bytes.fromhex("5b5f5f5ff0505f56")  # create without end
    factory = world.deploy(loop)
    executed = world.make(alice.tx(factory, gas=MAX_GAS_LIMIT))
    assert executed.receipts[0].status == 0  # out of gas: all undone
    bounded = world.deploy(bytes.fromhex("5f5b805f5f5ff550600101806106401160015700"))
    executed = world.make(alice.tx(bounded, gas=MAX_GAS_LIMIT, fee=10**12))
    assert 900 < len(executed.requests.births) <= 1601
    assert ShardRequests.decode(executed.requests.encoded) == executed.requests


# ---------------------------------------------------------------------- sweep


def test_what_a_contract_pays_away_goes_home(world, kit):
    alice, near = world.users[0][1], world.users[0][2].address
    one, two = world.users[1][1].address, world.users[2][1].address
    contract = world.deploy(kit.pay((one, 3), (near, 4), (two, 5), (one, 6)))
    before = world.balance(near)
    executed = world.make(alice.tx(contract, 100, gas=500_000))
    assert credits(executed) == {(one, 1): 9, (two, 2): 5}
    assert world.balance(near) == before + 4
    assert world.balance(contract) == 82
    state = world.chain.state()
    assert state.account(one) is None
    assert all(s.message.origin_tx == executed.decoded[0][1].hash for s in executed.sent)
    assert all(s.message.kind is MessageKind.CREDIT for s in executed.sent)
    addresses = [s.message.to for s in executed.sent]
    assert addresses == sorted(addresses)  # the same order on every node


def test_what_was_reverted_is_not_swept(world, kit):
    alice, far = world.users[0][1], world.users[1][1].address
    contract = world.deploy(kit.pay((far, 3))[:-1] + kit.revert)
    executed = world.make(alice.tx(contract, 10, gas=500_000))
    assert (executed.receipts[0].status, executed.sent) == (0, ())
    catcher = world.deploy(kit.pay((contract, 1), (far, 2)))
    executed = world.make(alice.tx(catcher, 10, gas=500_000))
    assert credits(executed) == {(far, 1): 2}


def test_a_destroyed_contract_pays_its_beneficiary_at_home(world, kit):
    alice, far = world.users[0][1], world.users[2][1].address
    contract = world.deploy(kit.destroy(far))
    executed = world.make(alice.tx(contract, 7, gas=100_000))
    assert credits(executed) == {(far, 2): 7}
    assert world.chain.state().code(contract)  # EIP-6780: created earlier, so it stays


def test_a_message_that_pays_away_is_swept_with_the_refund(world, kit):
    far = world.users[2][1].address
    sender = world.users[1][0].address
    contract = world.deploy(kit.pay((far, 3), (sender, 2)))
    message = world.message(contract, 10, gas=200_000)
    executed = world.make()
    used = executed.header.gas_used
    assert credits(executed) == {
        (far, 2): 3,
        (sender, 1): 2 + (200_000 - used) * message.gas_price,
    }


def test_what_is_everywhere_is_never_swept(world, kit):
    alice = world.users[0][1]
    precompile = Address((2).to_bytes(20, "big"))
    for address in (precompile, STAKING, MESSENGER):
        world.beacon.homes[address] = 1
        executed = world.make(alice.tx(None, 5, kit.destroy(address), 200_000))
        assert executed.sent == ()
        assert world.balance(address) == 5
    assert world.make(alice.tx(precompile, 1, gas=50_000)).sent == ()


def test_the_zero_address_has_a_home(world, kit):
    zero = Address(bytes(20))
    world.beacon.homes[zero] = 1
    executed = world.make(world.users[0][1].tx(None, 5, kit.destroy(zero), 200_000))
    assert credits(executed) == {(zero, 1): 5}


def test_the_messenger_takes_no_calls(world):
    alice = world.users[0][1]
    executed = world.make(alice.tx(MESSENGER, 5, gas=100_000))
    assert (executed.receipts[0].status, world.balance(MESSENGER)) == (0, 0)


def test_the_fee_recipient_is_never_swept_and_lives_here(world):
    world.make(world.users[0][1].tx(world.users[1][1].address, 1))
    assert world.balance(world.coinbase) == 21_000 * 10**9
    world.coinbase = world.users[1][1].address
    with pytest.raises(InvalidBlock, match="fee recipient"):
        world.run()


# ---------------------------------------------------------------------- beacon operations


def test_a_balance_follows_its_address(world, kit):
    alice = world.users[0][1]
    unborn = kit.address(0, 3, 8)
    world.make(alice.tx(unborn, 5))
    assert world.balance(unborn) == 5
    world.beacon.homes[unborn] = 2
    anchor = world.anchor(births=((unborn, 2),))
    executed = world.make(alice.tx(unborn, 6), anchor=anchor)
    assert [(s.message.kind, s.message.value, s.index) for s in executed.sent] == [
        (MessageKind.CREDIT, 5, 0),
        (MessageKind.CALL, 6, 1),
    ]
    assert executed.sent[0].message.origin_tx == anchor.hash
    assert [r.type for r in executed.receipts] == [0x7E, 2]
    assert world.balance(unborn) == 0


def test_beacon_operations_may_have_nothing_to_move(world, kit):
    unborn = kit.address(0, 3, 8)
    world.beacon.homes[unborn] = 2
    executed = world.make(anchor=world.anchor(births=((unborn, 2), (unborn, 2))))
    assert (len(executed.block.items), executed.sent) == (1, ())


# ---------------------------------------------------------------------- delegations


def test_delegations_name_accounts_and_code_of_this_shard(world, kit):
    """Anything else would be charged, do nothing and say nothing: it may not be in a block."""
    alice, bob, far = world.users[0][1], world.users[0][2], world.users[1][1]
    code, remote = world.deploy(kit.store), kit.address(2, 3, 8)

    def refusals(*authorizations):
        tx = alice.tx(bob.address, gas=300_000, nonce=0, authorizations=authorizations)
        built, _ = world.build(tx)
        return [reason for _, reason in built.rejected]

    (reason,) = refusals(bob.authorize(code, 0), far.authorize(code, 0))
    assert f"the authorization of 0x{far.address.hex()} can only be set" in reason
    assert "shard 1: send the transaction from an account there, not from one on shard 0" in reason
    (reason,) = refusals(bob.authorize(remote, 0))
    assert f"0x{bob.address.hex()} cannot delegate to 0x{remote.hex()}, which lives" in reason
    assert refusals(bob.authorize(code, 0)) == []
    assert refusals(bob.authorize(bytes(20), 0)) == []
    assert refusals(bob.authorize(bytes(19) + b"\4", 0)) == []  # a precompile is everywhere
    world.make(alice.tx(bob.address, gas=300_000, authorizations=[bob.authorize(code, 0)]))
    assert world.chain.state().code(bob.address) == b"\xef\x01\x00" + code
