"""Blocks in which code asks for accounts of other shards: what receipts, replies and the state say."""

from eth_abi import decode

from node.execution.evm.border import border_reason, delegate_reason
from node.primitives.basics import Address
from node.primitives.message import MessageKind

BUBBLE = bytes.fromhex("3d5f5f3e3d5ffd")  # revert with what the last call returned


def statuses(executed):
    return [receipt.status for receipt in executed.receipts]


def test_a_call_of_another_shard_fails_and_a_payment_arrives(world, kit):
    alice, bob = world.users[0][1], world.users[1][0]
    caller = world.deploy(kit.calls((bob.address, 0, b"\1"), end=BUBBLE))
    payer = world.deploy(kit.pay((bob.address, 5)), value=5)
    executed = world.make(alice.tx(caller, gas=200_000), alice.tx(payer, gas=200_000))
    assert statuses(executed) == [0, 1]
    assert executed.receipts[0].cumulative_gas_used < 60_000
    (sent,) = executed.sent
    assert (sent.message.kind, sent.message.to, sent.message.value) == (
        MessageKind.CREDIT,
        bob.address,
        5,
    )


def test_a_contract_born_here_is_no_stranger(world, kit):
    """Whatever the books say of an address: its code is here."""
    alice = world.users[0][1]
    born = world.deploy(kit.store, user=alice)
    world.beacon.homes[born] = 1
    caller = world.deploy(kit.calls((born, 0, (7).to_bytes(32, "big"))))
    assert statuses(world.make(alice.tx(caller, gas=200_000))) == [1]
    assert world.chain.state().storage(born, 0) == 7


def test_an_arriving_call_fails_with_the_reason_and_its_callback_is_told(world, kit):
    """What arrives may not go on by calling back the account that sent it, or one of a third shard."""
    away = kit.address(2, 3)
    there = world.deploy(kit.calls((away, 0, b"\1"), end=BUBBLE))
    message = world.message(
        there, 3, gas=100_000, reply_gas=50_000, callback=b"\xaa\xbb\xcc\xdd", data=b""
    )
    executed = world.make()
    assert statuses(executed) == [0]
    reply = executed.sent[0].message
    assert (reply.kind, reply.to, reply.value) == (MessageKind.REPLY, message.sender, 3)
    _, ok, output = decode(["bytes32", "bool", "bytes"], reply.data[4:])
    assert (ok, output) == (False, border_reason(away, 2))


def test_a_delegate_that_is_born_elsewhere_is_said_to_be_there(world, kit):
    """It was an unused address of this shard's range when the account delegated to it."""
    alice, carol = world.users[0][1:3]
    code = kit.address(0, 3)
    world.make(
        alice.tx(
            alice.address, gas=200_000, authorizations=[alice.authorize(code, alice.nonce + 1)]
        )
    )
    alice.nonce += 1
    assert world.chain.state().code(alice.address)[3:] == code
    world.beacon.homes[code] = 1
    executed = world.make(
        carol.tx(alice.address, 0, b"\1", gas=100_000), carol.tx(alice.address, 1, gas=100_000)
    )
    assert statuses(executed) == [0, 1]
    run = world.run()
    result = run.evm.apply_call(
        run.state,
        run.context,
        sender=carol.address,
        to=alice.address,
        value=0,
        data=b"\1",
        gas=100_000,
        gas_price=0,
        origin=carol.address,
    )
    assert result.output == delegate_reason(alice.address, Address(code), 1)
