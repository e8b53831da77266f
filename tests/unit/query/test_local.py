"""The port answered from a real shard chain."""

import pytest

from node.execution.evm.simulate import Credit, SimulatedCall
from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.fields import U256
from node.primitives.message import message_id
from node.primitives.messenger import MESSENGER, messenger_code
from node.query.port import Departure, Refused, ShardUnavailable
from node.query.questions import (
    AccountQuestion,
    BlockQuestion,
    CallQuestion,
    DeliveryQuestion,
    EstimateQuestion,
    FindMessageQuestion,
    HeadQuestion,
    HeightOfQuestion,
    InFlightQuestion,
    LegsQuestion,
    PoolCountsQuestion,
    PooledQuestion,
    PoolNonceQuestion,
    SentQuestion,
    StorageQuestion,
    SubmitQuestion,
    SupplyQuestion,
)

ETHER = 10**18


def spec(sender: bytes, to: bytes | None, **fields) -> SimulatedCall:
    return SimulatedCall(**{"sender": sender, "to": to, "gas": 10**9, **fields})


@pytest.fixture
async def deployed(net, code):
    """A source of shard 0, a user of it, and the test contract that lives there."""
    alice = net.users[0][0]
    source = net.source(0)
    contract = keccak256(rlp.encode([alice.address, b""]))[12:]
    await source.ask(SubmitQuestion(raw=alice.sign(None, data=code[0], gas=300_000)))
    net.step(0)
    return source, alice, contract


async def test_accounts_and_storage_at_heights(net, deployed, code):
    source, alice, contract = deployed
    await source.ask(
        SubmitQuestion(raw=alice.sign(contract, data=(5).to_bytes(32, "big"), gas=90_000))
    )
    net.step(0)
    assert await source.ask(HeadQuestion()) == 2
    assert (await source.ask(AccountQuestion(height=1, address=contract, code=True))).code == code[
        1
    ]
    assert (await source.ask(AccountQuestion(height=1, address=contract, code=False))).code == b""
    assert (await source.ask(AccountQuestion(height=0, address=contract, code=True))).code == b""
    assert await source.ask(StorageQuestion(height=1, address=contract, slot=bytes(32))) == bytes(
        32
    )
    assert await source.ask(StorageQuestion(height=2, address=contract, slot=bytes(32))) == (
        5
    ).to_bytes(32, "big")
    assert [
        (await source.ask(AccountQuestion(height=h, address=alice.address, code=False))).nonce
        for h in range(3)
    ] == [0, 1, 2]


async def test_a_height_that_is_not_here_yet_is_waited_for_a_little(net):
    asked = []

    async def grows(height):
        asked.append(height)
        net.step(0)

    alice = net.users[0][0]
    assert (
        await net.source(0, wait_height=grows).ask(
            AccountQuestion(height=1, address=alice.address, code=False)
        )
    ).nonce == 0
    assert asked == [1]
    behind = "shard 0 is at block 1 here, block 2 is wanted"
    for question in (
        lambda s: s.ask(AccountQuestion(height=2, address=alice.address, code=False)),
        lambda s: s.ask(BlockQuestion(height=2)),
        lambda s: s.ask(CallQuestion(height=2, spec=spec(alice.address, alice.address))),
        lambda s: s.ask(SupplyQuestion(height=2)),
    ):
        with pytest.raises(ShardUnavailable, match=behind):
            await question(net.source(0))
    with pytest.raises(ShardUnavailable, match="block 1000000 is wanted"):
        await net.source(0, wait_height=grows).ask(BlockQuestion(height=1_000_000))
    assert asked == [1]  # nobody waits for what is that far away


async def test_calls_run_on_the_state_and_header_of_their_height(net, deployed):
    source, alice, contract = deployed
    await source.ask(
        SubmitQuestion(raw=alice.sign(contract, data=(5).to_bytes(32, "big"), gas=90_000))
    )
    net.step(0)
    assert (
        await source.ask(CallQuestion(height=1, spec=spec(alice.address, contract)))
    ).output == bytes(32)
    assert (
        await source.ask(CallQuestion(height=2, spec=spec(alice.address, contract)))
    ).output == (5).to_bytes(32, "big")
    number = spec(alice.address, None, data=bytes.fromhex("435f5260205ff3"))
    assert (await source.ask(CallQuestion(height=1, spec=number))).output == (1).to_bytes(32, "big")
    reverted = await source.ask(
        CallQuestion(height=2, spec=spec(alice.address, contract, data=bytes(32)))
    )
    assert reverted.error == "execution reverted"
    assert reverted.output.startswith(bytes.fromhex("08c379a0"))
    starved = await source.ask(
        CallQuestion(height=2, spec=spec(alice.address, contract, data=b"\1" * 32, gas=27_000))
    )
    assert starved.error == "out of gas"
    with pytest.raises(Refused, match="intrinsic gas too low"):
        await source.ask(CallQuestion(height=2, spec=spec(alice.address, contract, gas=20_000)))
    with pytest.raises(Refused, match="insufficient funds"):
        await source.ask(
            CallQuestion(height=2, spec=spec(alice.address, contract, value=5000 * ETHER))
        )


async def test_arrivals_bring_their_value_and_have_paid_the_intrinsic_gas(net, deployed):
    source, _, contract = deployed
    stranger, purse = b"\x55" * 20, Credit(balance=U256(ETHER))
    outcome = await source.ask(
        CallQuestion(height=1, spec=spec(stranger, contract, credit=purse, gas=24_000))
    )
    assert (outcome.error, outcome.output) == (None, bytes(32))
    data = (5).to_bytes(32, "big")
    arrival = spec(stranger, contract, value=ETHER, credit=purse, data=data)
    outcome = await source.ask(EstimateQuestion(height=1, spec=arrival))
    assert outcome.error is None
    gas = outcome.gas_used
    assert 41_000 < gas < 51_000
    exact = spec(stranger, contract, value=ETHER, credit=purse, data=data, gas=gas)
    assert (await source.ask(CallQuestion(height=1, spec=exact))).error is None
    short = spec(stranger, contract, value=ETHER, credit=purse, data=data, gas=gas - 1)
    assert (await source.ask(CallQuestion(height=1, spec=short))).error == "out of gas"
    nothing = await source.ask(
        EstimateQuestion(height=1, spec=spec(stranger, b"\x66" * 20, value=ETHER, credit=purse))
    )
    assert (nothing.error, nothing.gas_used) == (None, 21_000)
    bad = await source.ask(
        EstimateQuestion(height=1, spec=spec(stranger, contract, credit=purse, data=bytes(32)))
    )
    assert bad.error == "execution reverted"
    with pytest.raises(Refused, match="does not leave"):
        await source.ask(CallQuestion(height=1, spec=spec(stranger, None, credit=purse)))


async def test_an_estimate_covers_the_gas_that_calls_withhold(net, deployed):
    """A call within a call gets 63/64 of what is left: more is needed than is used."""
    source, alice, contract = deployed
    # calls `contract` with 32 bytes of ones and reverts where that fails
    inner = bytes.fromhex("5f195f525f5f60205f5f73") + contract + bytes.fromhex("5af1")
    outer = inner + bytes.fromhex("60%02x575f5ffd5b00" % (len(inner) + 6))
    init = bytes.fromhex(f"60{len(outer):02x}80600b5f395ff3").ljust(11, b"\0") + outer
    await source.ask(SubmitQuestion(raw=alice.sign(None, data=init, gas=300_000)))
    net.step(0)
    address = keccak256(rlp.encode([alice.address, b"\1"]))[12:]
    for credit in (None, Credit()):
        outcome = await source.ask(
            EstimateQuestion(height=2, spec=spec(alice.address, address, credit=credit))
        )
        assert outcome.error is None
        for gas, error in ((outcome.gas_used, None), (outcome.gas_used - 1, "execution reverted")):
            tried = await source.ask(
                CallQuestion(height=2, spec=spec(alice.address, address, credit=credit, gas=gas))
            )
            assert tried.error == error


async def test_legs_and_deliveries(net, deployed):
    source, alice, _ = deployed
    carol = net.users[1][0]
    stayed, departed = alice.sign(net.users[0][1].address, 1), alice.sign(carol.address, 2)
    for raw in (stayed, departed):
        await source.ask(SubmitQuestion(raw=raw))
    net.round()
    net.round()
    here, away, none = await source.ask(
        LegsQuestion(tx_hashes=[keccak256(stayed), keccak256(departed), bytes(32)])
    )
    assert (here.height, here.index, here.raw, here.gas_used) == (2, 0, stayed, 21_000)
    assert here.departure is None
    assert away.departure == Departure(dst=1, seq=0)
    assert (away.index, away.gas_used) == (1, 21_000)
    assert none is None
    delivery = await net.source(1).ask(DeliveryQuestion(src=0, seq=0))
    assert (delivery.success, delivery.gas_used, delivery.forwarded) == (True, 0, None)
    assert await net.source(1).ask(DeliveryQuestion(src=0, seq=1)) is None
    message = await source.ask(SentQuestion(dst=1, seq=0))
    assert (message.height, message.index) == (2, 1)
    lane = await net.source(1).ask(FindMessageQuestion(message_id=message_id(0, 1, 0)))
    assert (lane.src, lane.dst, lane.seq) == (0, 1, 0)
    assert await source.ask(InFlightQuestion(dst=1, start=0, stop=1)) == b"\2"
    with pytest.raises(ShardUnavailable, match="has not sent message 1"):
        await source.ask(InFlightQuestion(dst=1, start=0, stop=3))


async def test_the_pool_refuses_as_a_shard_does(net):
    source, alice = net.source(0), net.users[0][0]
    raw = alice.sign(alice.address, 1)
    assert await source.ask(SubmitQuestion(raw=raw)) == keccak256(raw)
    assert await source.ask(PooledQuestion(tx_hash=keccak256(raw))) == raw
    assert await source.ask(PooledQuestion(tx_hash=bytes(32))) is None
    assert await source.ask(PoolNonceQuestion(address=alice.address)) == 1
    counts = await source.ask(PoolCountsQuestion())
    assert (counts.pending, counts.queued) == (1, 0)
    with pytest.raises(Refused, match="already known"):
        await source.ask(SubmitQuestion(raw=raw))
    with pytest.raises(Refused, match="RLP"):
        await source.ask(SubmitQuestion(raw=b"\x02\x80\x80"))


async def test_blocks_come_as_they_are_stored(net):
    source, alice = net.source(0), net.users[0][0]
    await source.ask(SubmitQuestion(raw=alice.sign(alice.address, 1)))
    net.step(0)
    block = await source.ask(BlockQuestion(height=1))
    assert block.block == net.chains[0].block(1).encoded
    assert block.receipts == [r.encoded for r in net.chains[0].receipts(1)]
    assert (await source.ask(BlockQuestion(height=0))).receipts == []
    assert await source.ask(HeightOfQuestion(block_hash=net.chains[0].head.hash)) == 1
    assert await source.ask(HeightOfQuestion(block_hash=bytes(32))) is None


async def test_supply_is_all_balances_and_what_was_burned(net):
    source, alice = net.source(0), net.users[0][0]
    supply = await source.ask(SupplyQuestion(height=0))
    assert int.from_bytes(supply.balances, "big") == 3000 * ETHER
    assert supply.burned == b""
    await source.ask(SubmitQuestion(raw=alice.sign(alice.address, 1)))
    net.step(0)
    after = await source.ask(SupplyQuestion(height=1))
    burned = 21_000 * net.chains[0].head.base_fee_per_gas
    assert int.from_bytes(after.burned, "big") == burned
    assert int.from_bytes(after.balances, "big") == 3000 * ETHER - burned
    code = messenger_code(0, net.genesis.shards, net.genesis.params)
    assert (await source.ask(AccountQuestion(height=1, address=MESSENGER, code=True))).code == code
