"""eth_simulateV1: blocks of calls on the state of one shard."""

from hashlib import sha256
from itertools import pairwise

import pytest
from eth_abi import abi

from node.primitives import messenger, rlp
from node.primitives.basics import keccak256
from rpc.errors import RpcError
from rpc.wire import (
    AccountOverride,
    BlockOverrides,
    CallRequest,
    Overrides,
    SimulateBlock,
    SimulateRequest,
)

ETHER = 10**18
A, B, C = (bytes([n]) * 20 for n in (0xA1, 0xB2, 0xC3))  # nobody's accounts
TRANSFER = keccak256(b"Transfer(address,address,uint256)")
EMITTER = b"\xee" * 20
RETURN = "5f5260205ff3"


def word(value):
    return value.to_bytes(32, "big")


def funded(**more):
    return {A: AccountOverride(balance=10 * ETHER), **more}


def block(*calls, accounts=None, **fields):
    return SimulateBlock(
        calls=calls, overrides=Overrides(accounts=accounts or {}, block=BlockOverrides(**fields))
    )


async def simulate(net, *blocks, own=0, scope=None, **options):
    backend = net.views(own=own).backend
    return await backend.chain(scope).simulate(SimulateRequest(blocks=blocks, **options), "latest")


@pytest.fixture(params=[0, 1], ids=["own", "remote"])
def user(net, request):
    return net.users[request.param][0]


async def test_calls_build_on_each_other(net, user):
    """Within a block and across blocks: a counter is deployed, and counts."""
    counter = bytes.fromhex("5f54600101805f55" + RETURN)
    init = bytes.fromhex(f"60{len(counter):02x}80600b5f395ff3").ljust(11, b"\0") + counter
    target = keccak256(rlp.encode([user.address, b""]))[12:]
    call = CallRequest(from_=user.address, to=target)
    first, second = await simulate(
        net,
        block(CallRequest(from_=user.address, data=init), call),
        block(call, call),
    )
    assert first.calls[0].return_data == counter
    assert [c.return_data for c in first.calls[1:] + second.calls] == [word(1), word(2), word(3)]
    assert second.block.parent_hash == first.block.hash
    assert second.block.number == first.block.number + 1
    assert second.block.timestamp == first.block.timestamp + 1
    assert first.block.gas_used == sum(c.gas_used for c in first.calls)
    assert len(first.block.transactions) == 2
    assert all(isinstance(tx, bytes) for tx in first.block.transactions)


async def test_full_transactions_and_what_is_filled_in(net, user):
    (done,) = await simulate(
        net,
        block(
            CallRequest(from_=user.address, to=user.address),
            CallRequest(from_=user.address, to=user.address, gas=30_000),
        ),
        full_transactions=True,
    )
    first, second = done.block.transactions
    assert (first.nonce, second.nonce) == (0, 1)
    assert first.from_ == user.address
    assert first.type == 2
    assert first.gas == done.block.gas_limit
    assert second.gas == 30_000
    assert second.transaction_index == 1
    assert first.block_hash == done.block.hash


async def test_the_block_is_what_was_asked_for(net, user):
    code = bytes.fromhex("43" + RETURN)  # NUMBER
    blocks = await simulate(
        net,
        block(CallRequest(to=user.address), accounts={user.address: AccountOverride(code=code)}),
        block(
            CallRequest(to=user.address),
            number=10,
            time=4_000_000_000,
            gas_limit=1_000_000,
            fee_recipient=C,
            base_fee_per_gas=7,
            prev_randao=b"\5" * 32,
        ),
    )
    assert [b.block.number for b in blocks] == list(range(1, 11))  # those left out are empty
    assert blocks[0].calls[0].return_data == word(1)
    last = blocks[-1]
    assert last.calls[0].return_data == word(10)
    assert last.block.timestamp == 4_000_000_000
    assert (last.block.gas_limit, last.block.miner) == (1_000_000, C)
    assert (last.block.base_fee_per_gas, last.block.mix_hash) == (7, b"\5" * 32)
    for before, after in pairwise(blocks):
        assert after.block.parent_hash == before.block.hash


async def test_a_simulated_blocks_hash_is_found(net, user):
    code = bytes.fromhex("6001430340" + RETURN)  # BLOCKHASH of the one before
    accounts = {user.address: AccountOverride(code=code)}
    first, second = await simulate(
        net, block(accounts=accounts), block(CallRequest(to=user.address))
    )
    assert second.calls[0].return_data == first.block.hash


async def test_overrides_are_taken_to_be_at_home(net):
    """Whatever shard their addresses would be on, and the answer is that of every node."""
    answers = []
    for own in (0, 1):
        blocks = await simulate(
            net,
            block(CallRequest(from_=A, to=B, value=3), accounts=funded() | {B: AccountOverride()}),
            block(CallRequest(from_=B, to=A, value=3)),
            own=own,
        )
        assert [call.status for b in blocks for call in b.calls] == [1, 1]
        answers.append([b.block.hash for b in blocks])
    assert answers[0] == answers[1]


async def test_transfers_as_logs(net, user):
    """In their order among the others; those of a frame that failed are gone."""
    pays = bytes.fromhex("5f5f5f5f6001" + "73" + C.hex() + "5af1" + "5f5fa0")  # and an empty log
    reverts = pays + bytes.fromhex("5f5ffd")
    calls_both = b"".join(
        bytes.fromhex("5f5f5f5f6005" + "73" + who.hex() + "5af150") for who in (A, B)
    )
    accounts = {
        A: AccountOverride(code=pays),
        B: AccountOverride(code=reverts),
        C: AccountOverride(),
        user.address: AccountOverride(code=calls_both, balance=ETHER),
    }
    sender = b"\xd4" * 20
    accounts[sender] = AccountOverride(balance=ETHER)
    request = CallRequest(from_=sender, to=user.address, value=9)
    (done,) = await simulate(net, block(request, accounts=accounts), trace_transfers=True)
    logs = done.calls[0].logs
    moved = [
        (log.topics[1][12:], log.topics[2][12:], int.from_bytes(log.data, "big"))
        for log in logs
        if log.address == EMITTER and log.topics[0] == TRANSFER
    ]
    assert moved == [(sender, user.address, 9), (user.address, A, 5), (A, C, 1)]
    assert [log.address for log in logs] == [EMITTER, EMITTER, EMITTER, A]
    assert [log.log_index for log in logs] == [0, 1, 2, 3]
    assert all(log.block_hash == done.block.hash for log in logs)
    (silent,) = await simulate(net, block(request, accounts=accounts))
    assert [log.address for log in silent.calls[0].logs] == [A]
    assert silent.block.hash == done.block.hash  # they are not in the receipts


async def test_a_call_may_fail(net, user):
    fails = {
        A: AccountOverride(code=bytes.fromhex("fe")),
        B: AccountOverride(code=bytes.fromhex("602a5f5260205ffd")),
    }
    (done,) = await simulate(
        net,
        block(CallRequest(to=A, gas=50_000), CallRequest(to=B), accounts=fails),
    )
    invalid, reverted = done.calls
    assert (invalid.status, invalid.error.code) == (0, -32015)
    assert invalid.error.message == "vm execution error: invalid opcode: 0xfe"
    assert (reverted.status, reverted.error.code) == (0, 3)
    assert reverted.error.message == "execution reverted"
    assert (reverted.error.data, reverted.return_data) == (word(42), b"")  # as geth has it


FROM_A = CallRequest(from_=A, to=A)
VALIDATION = [
    (CallRequest(from_=A, to=A, nonce=5, max_fee_per_gas=10**11), -38011, "nonce too high"),
    (FROM_A, -38012, "max fee per gas less than block base fee"),
    (CallRequest(from_=A, to=A, max_fee_per_gas=ETHER), -38014, "insufficient funds"),
]
ALWAYS = [
    (CallRequest(from_=A, to=A, gas=20_999), -38013, "intrinsic gas too low"),
    (CallRequest(from_=A, to=A, value=11 * ETHER), -38014, "insufficient funds"),
    (CallRequest(from_=A, to=A, gas=30_000_001), -38015, "block gas limit reached"),
    (CallRequest(from_=A, data=b"\0" * 49_153), -38025, "max initcode size exceeded"),
]


@pytest.mark.parametrize("own", [0, 1], ids=["asked at 0", "asked at 1"])
async def test_calls_that_cannot_be_made(net, own):
    for validation, table in ((True, VALIDATION + ALWAYS), (False, ALWAYS)):
        for call, code, text in table:
            if validation and not call.max_fee_per_gas and code != -38012:
                continue
            with pytest.raises(RpcError, match=text) as caught:
                await simulate(net, block(call, accounts=funded()), own=own, validation=validation)
            assert caught.value.code == code
    accounts = {A: AccountOverride(balance=10 * ETHER, nonce=7)}
    low = CallRequest(from_=A, to=A, nonce=6, max_fee_per_gas=10**11)
    with pytest.raises(RpcError, match="nonce too low") as caught:
        await simulate(net, block(low, accounts=accounts), own=own, validation=True)
    assert caught.value.code == -38010
    (done,) = await simulate(net, block(low, accounts=accounts), own=own)
    assert done.calls[0].status == 1  # nobody minds without validation


async def test_fees_are_paid(net, user):
    code = bytes.fromhex("3231" + RETURN)  # the balance of the origin
    look = CallRequest(from_=user.address, to=A, gas=100_000)
    pay = CallRequest(
        from_=user.address,
        to=user.address,
        gas=21_000,
        max_fee_per_gas=10**11,
        max_priority_fee_per_gas=2,
    )
    accounts = {A: AccountOverride(code=code)}
    (free,) = await simulate(net, block(look, pay, look, accounts=accounts))
    assert free.block.base_fee_per_gas == 0
    before, _, after = (int.from_bytes(call.return_data, "big") for call in free.calls)
    assert before - after == 21_000 * 2
    (valid,) = await simulate(net, block(pay), validation=True, full_transactions=True)
    assert valid.block.base_fee_per_gas > 0
    assert valid.block.transactions[0].gas_price == valid.block.base_fee_per_gas + 2


@pytest.mark.parametrize(
    ("second", "code"),
    [
        ({"time": 1_700_000_000}, -38021),  # not even the same
        ({"number": 5}, -38020),
        ({"number": 4}, -38020),
        ({"time": 1}, -38021),
        ({"number": 262}, -38026),
    ],
)
async def test_blocks_out_of_order(net, second, code):
    with pytest.raises(RpcError) as caught:
        await simulate(net, block(number=5), block(**second))
    assert caught.value.code == code


@pytest.mark.parametrize("own", [0, 1], ids=["asked at 0", "asked at 1"])
async def test_accounts_of_other_shards_are_guests(net, own):
    """Their balance and nonce are what they have there, whoever is asked."""
    alice, carol = net.users[0][0], net.users[1][0]
    reads = bytes.fromhex("73" + carol.address.hex() + "31" + RETURN)
    there = CallRequest(from_=carol.address, to=alice.address, value=1)
    (done,) = await simulate(
        net,
        block(
            CallRequest(from_=alice.address, to=carol.address, value=5),
            CallRequest(from_=alice.address, to=A),
            there,
            CallRequest(from_=alice.address, to=A),
            there,
            accounts={A: AccountOverride(code=reads)},
        ),
        own=own,
        full_transactions=True,
    )
    assert [call.status for call in done.calls] == [1] * 5
    before = await net.views(own=own).backend.chain(None).balance(carol.address, "latest")
    assert [int.from_bytes(done.calls[n].return_data, "big") for n in (1, 3)] == [
        before + 5,
        before + 4,
    ]
    assert [done.block.transactions[n].nonce for n in (2, 4)] == [0, 1]


async def test_too_many_guests(net, monkeypatch):
    monkeypatch.setattr("node.view.simulated.MAX_GUESTS", 1)
    alice = net.users[0][0]
    away = [CallRequest(from_=alice.address, to=user.address) for user in net.users[1][:2]]
    assert len(await simulate(net, block(away[0]))) == 1
    with pytest.raises(RpcError, match="name 2 accounts of other shards than shard 0") as caught:
        await simulate(net, block(*away))
    assert caught.value.code == -32005


async def test_one_shard_is_simulated(net, code):
    """What would leave it is refused, not made up."""
    alice, carol = net.users[0][0], net.users[1][0]
    backend = net.views(own=1).backend
    sent = await backend.chain(None).send_raw_transaction(
        carol.sign(None, data=code[0], gas=500_000)
    )
    net.settle()
    contract = (await backend.chain(None).transaction_receipt(sent)).contract_address
    for own in (0, 1):
        for scope, call in ((None, (alice, contract)), (1, (alice, alice.address))):
            request = CallRequest(from_=call[0].address, to=call[1])
            with pytest.raises(RpcError, match="lives on shard") as caught:
                await simulate(net, block(request), own=own, scope=scope)
            assert caught.value.code == -32000
    recoded = {contract: AccountOverride(code=bytes.fromhex("602a" + RETURN))}
    call = CallRequest(from_=alice.address, to=contract)
    (done,) = await simulate(net, block(call, accounts=recoded))
    assert done.calls[0].return_data == word(42)
    # what a contract pays to another shard is on its way, as on the chain: nothing lies here for the next call
    looks = bytes.fromhex(
        "73" + carol.address.hex() + "3f"
    )  # EXTCODEHASH: zero where there is no account
    pays = bytes.fromhex("5f5f5f5f6001" + "73" + carol.address.hex() + "5af150" + RETURN)
    accounts = {A: AccountOverride(code=looks + pays, balance=5)}
    (done,) = await simulate(
        net,
        block(
            CallRequest(from_=alice.address, to=A),
            CallRequest(from_=alice.address, to=A),
            accounts=accounts,
        ),
    )
    assert [c.return_data for c in done.calls] == [word(0), word(0)]
    # and what code would have to know of it is refused, with the reason
    asks = bytes.fromhex("73" + carol.address.hex() + "31" + RETURN)
    request = CallRequest(from_=alice.address, to=A)
    (done,) = await simulate(net, block(request, accounts={A: AccountOverride(code=asks)}))
    assert "lives on shard 1; its balance cannot be read here" in done.calls[0].error.message


async def test_what_messenger_sends_is_gone(net):
    """As on the chain: the wei is on its way, the lane has moved on, and the log tells of it."""
    alice, carol = net.users[0][0], net.users[1][0]
    target = messenger.MESSENGER.hex()
    forward = bytes.fromhex("365f5f37" + "5f5f365f6007" + "73" + target + "5af1" + RETURN)
    accounts = {
        A: AccountOverride(code=forward, balance=100),
        B: AccountOverride(code=bytes.fromhex("73" + target + "31" + RETURN)),
    }
    signature = "send(address,bytes,uint256,uint256,bytes4)"
    data = keccak256(signature.encode())[:4] + abi.encode(
        ["address", "bytes", "uint256", "uint256", "bytes4"], [carol.address, b"", 0, 0, bytes(4)]
    )
    send = CallRequest(from_=alice.address, to=A, data=data)
    look = CallRequest(from_=alice.address, to=B)
    (done,) = await simulate(net, block(send, look, send, look, accounts=accounts))
    assert [call.return_data for call in done.calls] == [word(1), word(0)] * 2
    for seq, call in enumerate((done.calls[0], done.calls[2])):
        asked, told = call.logs
        assert asked.topics[0] == messenger.SEND_TOPIC
        message = messenger.decode_sent(told.data)
        assert (message.seq, message.value, message.to) == (seq, 7, carol.address)
        assert told.topics[1] == message.id
        assert message.origin_tx == told.transaction_hash


SQUARE = bytes.fromhex("5f3580025f5260205ff3")


async def test_a_precompile_is_moved(net, user):
    identity, sha2 = (bytes([0] * 19 + [n]) for n in (4, 2))
    accounts = {
        identity: AccountOverride(code=SQUARE, moved_to=C),
        sha2: AccountOverride(balance=1),
    }
    calls = [CallRequest(from_=user.address, to=to, data=word(3)) for to in (identity, C, sha2)]
    for trace in (False, True):
        first, second = await simulate(
            net, block(*calls, accounts=accounts), block(*calls), trace_transfers=trace
        )
        assert [c.return_data for c in first.calls] == [word(9), word(3), b""]
        # and for that block alone
        hashed = sha256(word(3)).digest()
        assert [c.return_data for c in second.calls] == [word(3), b"", hashed]
    backend = net.views(own=0).backend
    overrides = Overrides(accounts=accounts)
    found = [await backend.chain(None).call(call, "latest", overrides) for call in calls]
    assert found == [word(9), word(3), b""]


@pytest.mark.parametrize(
    ("accounts", "text"),
    [
        ({A: AccountOverride(moved_to=B)}, "account 0x.* is not a precompile"),
        (
            {bytes(19) + b"\1": AccountOverride(moved_to=B), B: AccountOverride(nonce=1)},
            "account 0x.* is already overridden",
        ),
    ],
)
async def test_a_precompile_that_cannot_be_moved(net, user, accounts, text):
    call = CallRequest(from_=user.address, to=user.address)
    backend = net.views(own=0).backend
    with pytest.raises(RpcError, match=text) as caught:
        await simulate(net, block(call, accounts=accounts))
    assert caught.value.code == -32000
    with pytest.raises(RpcError, match=text) as caught:
        await backend.chain(None).call(call, "latest", Overrides(accounts=accounts))
    assert caught.value.code == -32000


async def test_the_highest_nonce(net, user):
    """Nobody minds without validation; with it, nothing can come after."""
    accounts = {A: AccountOverride(nonce=2**64 - 1, balance=ETHER)}
    call = CallRequest(from_=A, to=A, gas=21_000, max_fee_per_gas=10**11)
    (done,) = await simulate(net, block(call, call, accounts=accounts))
    assert [c.status for c in done.calls] == [1, 1]
    with pytest.raises(RpcError, match="nonce has max value"):
        await simulate(net, block(call, accounts=accounts), validation=True)


async def test_gas_before_refunds(net, user):
    clears = {A: AccountOverride(code=bytes.fromhex("5f5f55"), state={0: 1})}
    (done,) = await simulate(net, block(CallRequest(from_=user.address, to=A), accounts=clears))
    (call,) = done.calls
    assert call.peak_gas - call.gas_used == 4800  # EIP-3529


async def test_it_has_an_end(net, user, monkeypatch):
    endless = {user.address: AccountOverride(code=bytes.fromhex("5b5f56"))}
    (done,) = await simulate(
        net, block(CallRequest(to=user.address, gas=100_000), accounts=endless)
    )
    assert done.calls[0].error.message == "vm execution error: out of gas"
    monkeypatch.setattr("node.query.simulator.SEARCH", 0.02)
    with pytest.raises(RpcError, match="the time is up") as caught:
        await simulate(net, block(CallRequest(to=user.address), accounts=endless))
    assert caught.value.code == -32016
    monkeypatch.setattr("node.query.simulator.SEARCH", 20)
    # all calls together use what one may use
    spends = CallRequest(to=user.address, gas=29_000_000)
    dear = {
        user.address: AccountOverride(code=bytes.fromhex("5b5a3b505f56"))
    }  # EXTCODESIZE of new ones
    with pytest.raises(RpcError) as caught:
        await simulate(net, *(block(spends, gas_limit=10**9, accounts=dear) for _ in range(3)))
    assert caught.value.code == -38013
