"""The port answered from a real shard chain."""

import pytest

from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.message import message_id
from node.primitives.messenger import MESSENGER, messenger_code
from node.query.port import CallSpec, Departure, Refused, ShardUnavailable

ETHER = 10**18


def spec(sender: bytes, to: bytes | None, **fields) -> CallSpec:
    value = rlp.int_to_bytes(fields.pop("value", 0))
    return CallSpec(
        **{"sender": sender, "to": to, "value": value, "data": b"", "gas": 10**9, **fields}
    )


@pytest.fixture
async def deployed(net, code):
    """A source of shard 0, a user of it, and the test contract that lives there."""
    alice = net.users[0][0]
    source = net.source(0)
    contract = keccak256(rlp.encode([alice.address, b""]))[12:]
    await source.submit(alice.sign(None, data=code[0], gas=300_000))
    net.step(0)
    return source, alice, contract


async def test_accounts_and_storage_at_heights(net, deployed, code):
    source, alice, contract = deployed
    await source.submit(alice.sign(contract, data=(5).to_bytes(32, "big"), gas=90_000))
    net.step(0)
    assert await source.head() == 2
    assert (await source.account(1, contract, True)).code == code[1]
    assert (await source.account(1, contract, False)).code == b""
    assert (await source.account(0, contract, True)).code == b""
    assert await source.storage(1, contract, bytes(32)) == bytes(32)
    assert await source.storage(2, contract, bytes(32)) == (5).to_bytes(32, "big")
    assert [(await source.account(h, alice.address, False)).nonce for h in range(3)] == [0, 1, 2]


async def test_a_height_that_is_not_here_yet_is_waited_for_a_little(net):
    asked = []

    async def grows(height):
        asked.append(height)
        net.step(0)

    alice = net.users[0][0]
    assert (await net.source(0, wait_height=grows).account(1, alice.address, False)).nonce == 0
    assert asked == [1]
    behind = "shard 0 is at block 1 here, block 2 is wanted"
    for question in (
        lambda s: s.account(2, alice.address, False),
        lambda s: s.block(2),
        lambda s: s.call(2, spec(alice.address, alice.address)),
        lambda s: s.supply(2),
    ):
        with pytest.raises(ShardUnavailable, match=behind):
            await question(net.source(0))
    with pytest.raises(ShardUnavailable, match="block 1000000 is wanted"):
        await net.source(0, wait_height=grows).block(1_000_000)
    assert asked == [1]  # nobody waits for what is that far away


async def test_calls_run_on_the_state_and_header_of_their_height(net, deployed):
    source, alice, contract = deployed
    await source.submit(alice.sign(contract, data=(5).to_bytes(32, "big"), gas=90_000))
    net.step(0)
    assert (await source.call(1, spec(alice.address, contract))).output == bytes(32)
    assert (await source.call(2, spec(alice.address, contract))).output == (5).to_bytes(32, "big")
    number = spec(alice.address, None, data=bytes.fromhex("435f5260205ff3"))
    assert (await source.call(1, number)).output == (1).to_bytes(32, "big")
    reverted = await source.call(2, spec(alice.address, contract, data=bytes(32)))
    assert reverted.error == "execution reverted"
    assert reverted.output.startswith(bytes.fromhex("08c379a0"))
    starved = await source.call(2, spec(alice.address, contract, data=b"\1" * 32, gas=27_000))
    assert starved.error == "out of gas"
    with pytest.raises(Refused, match="intrinsic gas too low"):
        await source.call(2, spec(alice.address, contract, gas=20_000))
    with pytest.raises(Refused, match="insufficient funds"):
        await source.call(2, spec(alice.address, contract, value=5000 * ETHER))


async def test_arrivals_bring_their_value_and_pay_no_intrinsic_gas(net, deployed):
    source, _, contract = deployed
    stranger = b"\x55" * 20
    outcome = await source.call(1, spec(stranger, contract, credit=True, gas=3_000))
    assert (outcome.error, outcome.output) == (None, bytes(32))
    data = (5).to_bytes(32, "big")
    arrival = spec(stranger, contract, value=ETHER, credit=True, data=data)
    outcome = await source.estimate(1, arrival)
    assert outcome.error is None
    gas = outcome.gas_used
    assert 20_000 < gas < 30_000
    exact = spec(stranger, contract, value=ETHER, credit=True, data=data, gas=gas)
    assert (await source.call(1, exact)).error is None
    short = spec(stranger, contract, value=ETHER, credit=True, data=data, gas=gas - 1)
    assert (await source.call(1, short)).error == "out of gas"
    nothing = await source.estimate(1, spec(stranger, b"\x66" * 20, value=ETHER, credit=True))
    assert (nothing.error, nothing.gas_used) == (None, 0)
    bad = await source.estimate(1, spec(stranger, contract, credit=True, data=bytes(32)))
    assert bad.error == "execution reverted"
    with pytest.raises(Refused, match="does not leave"):
        await source.call(1, spec(stranger, None, credit=True))


async def test_an_estimate_covers_the_gas_that_calls_withhold(net, deployed):
    """A call within a call gets 63/64 of what is left: more is needed than is used."""
    source, alice, contract = deployed
    # calls `contract` with 32 bytes of ones and reverts where that fails
    inner = bytes.fromhex("5f195f525f5f60205f5f73") + contract + bytes.fromhex("5af1")
    outer = inner + bytes.fromhex("60%02x575f5ffd5b00" % (len(inner) + 6))
    init = bytes.fromhex(f"60{len(outer):02x}80600b5f395ff3").ljust(11, b"\0") + outer
    await source.submit(alice.sign(None, data=init, gas=300_000))
    net.step(0)
    address = keccak256(rlp.encode([alice.address, b"\1"]))[12:]
    for credit in (False, True):
        outcome = await source.estimate(2, spec(alice.address, address, credit=credit))
        assert outcome.error is None
        for gas, error in ((outcome.gas_used, None), (outcome.gas_used - 1, "execution reverted")):
            tried = await source.call(2, spec(alice.address, address, credit=credit, gas=gas))
            assert tried.error == error


async def test_legs_and_deliveries(net, deployed):
    source, alice, _ = deployed
    carol = net.users[1][0]
    stayed, departed = alice.sign(net.users[0][1].address, 1), alice.sign(carol.address, 2)
    for raw in (stayed, departed):
        await source.submit(raw)
    net.round()
    net.round()
    here, away, none = await source.legs([keccak256(stayed), keccak256(departed), bytes(32)])
    assert (here.height, here.index, here.raw, here.gas_used) == (2, 0, stayed, 21_000)
    assert here.departure is None
    assert away.departure == Departure(dst=1, seq=0)
    assert (away.index, away.gas_used) == (1, 21_000)
    assert none is None
    delivery = await net.source(1).delivery(0, 0)
    assert (delivery.success, delivery.gas_used, delivery.forwarded) == (True, 0, None)
    assert await net.source(1).delivery(0, 1) is None
    message = await source.sent(1, 0)
    assert (message.height, message.index) == (2, 1)
    lane = await net.source(1).find_message(message_id(0, 1, 0))
    assert (lane.src, lane.dst, lane.seq) == (0, 1, 0)
    assert await source.in_flight(1, 0, 1) == b"\2"
    with pytest.raises(ShardUnavailable, match="has not sent message 1"):
        await source.in_flight(1, 0, 3)


async def test_the_pool_refuses_as_a_shard_does(net):
    source, alice = net.source(0), net.users[0][0]
    raw = alice.sign(alice.address, 1)
    assert await source.submit(raw) == keccak256(raw)
    assert await source.pooled(keccak256(raw)) == raw
    assert await source.pooled(bytes(32)) is None
    assert await source.pool_nonce(alice.address) == 1
    counts = await source.pool_counts()
    assert (counts.pending, counts.queued) == (1, 0)
    with pytest.raises(Refused, match="already known"):
        await source.submit(raw)
    with pytest.raises(Refused, match="RLP"):
        await source.submit(b"\x02\x80\x80")


async def test_blocks_come_as_they_are_stored(net):
    source, alice = net.source(0), net.users[0][0]
    await source.submit(alice.sign(alice.address, 1))
    net.step(0)
    block = await source.block(1)
    assert block.block == net.chains[0].block(1).encoded
    assert block.receipts == [r.encoded for r in net.chains[0].receipts(1)]
    assert (await source.block(0)).receipts == []
    assert await source.height_of(net.chains[0].head.hash) == 1
    assert await source.height_of(bytes(32)) is None


async def test_supply_is_all_balances_and_what_was_burned(net):
    source, alice = net.source(0), net.users[0][0]
    supply = await source.supply(0)
    assert int.from_bytes(supply.balances, "big") == 3000 * ETHER
    assert supply.burned == b""
    await source.submit(alice.sign(alice.address, 1))
    net.step(0)
    after = await source.supply(1)
    burned = 21_000 * net.chains[0].head.base_fee_per_gas
    assert int.from_bytes(after.burned, "big") == burned
    assert int.from_bytes(after.balances, "big") == 3000 * ETHER - burned
    code = messenger_code(0, net.genesis.shards, net.genesis.params)
    assert (await source.account(1, MESSENGER, True)).code == code
