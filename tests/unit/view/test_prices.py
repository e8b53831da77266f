"""Prices that `/` suggests, where gas costs much more on one shard than on another."""

import pytest
from eth_abi.abi import encode

from node.beacon.state import BeaconState, FrozenShard
from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.messenger import MESSENGER
from rpc.errors import ExecutionReverted
from rpc.wire import CallRequest

GWEI = 10**9
BURNER = bytes.fromhex("60fe5f5360015ff3")  # creates a contract that uses all gas that it is given
GAS = 100_000
SEND = keccak256(b"send(address,bytes,uint256,uint256,bytes4)")[:4]

CLIENTS = {  # maxFeePerGas of the base fee of the newest block and the suggested tip
    "ethers and web3.py": lambda base_fee, tip: 2 * base_fee + tip,
    "viem": lambda base_fee, tip: base_fee * 12 // 10 + tip,
}


def sending(to: bytes) -> bytes:
    types = ["address", "bytes", "uint256", "uint256", "bytes4"]
    return SEND + encode(types, [to, b"", GAS, 0, bytes(4)])


@pytest.fixture
async def dear(net):
    """The network, with a base fee on shard 1 of ten times that of shard 0 and more."""
    view, carol = net.views().network, net.users[1][1]
    burner = keccak256(rlp.encode([carol.address, b""]))[12:]
    await view.send_raw_transaction(carol.sign(None, data=BURNER, gas=100_000))
    for _ in range(16):
        net.round()
        await view.send_raw_transaction(carol.sign(burner, gas=29_000_000, fee=10**4 * GWEI, tip=1))
    net.round()
    cheap, high = (net.beacon.state.base_fee(shard) for shard in net.ids)
    assert high > 10 * cheap
    assert high > 2 * GWEI
    return net


@pytest.mark.parametrize("client", CLIENTS)
async def test_defaults_of_clients_are_enough_from_the_cheap_shard(dear, client):
    """A call to the dear shard, and a contract of the cheap one that sends there: nobody was told."""
    view, alice, far = dear.views().network, dear.users[0][0], dear.users[1][0].address
    tip = await view.max_priority_fee()
    head = await view.block("latest", False)
    fees = {"tip": tip, "fee": CLIENTS[client](head.base_fee_per_gas, tip)}
    value = GAS * await view.gas_price()
    call = CallRequest(from_=alice.address, to=MESSENGER, value=value, data=sending(far))
    gas = await view.estimate_gas(call, "latest")
    hashes = [
        await view.send_raw_transaction(alice.sign(far, 1, gas=50_000, **fees)),
        await view.send_raw_transaction(alice.sign(MESSENGER, value, sending(far), gas, **fees)),
        await view.send_raw_transaction(
            alice.sign(dear.users[0][1].address, 1, gas=21_000, **fees)
        ),
    ]
    dear.settle()
    prices = []
    for tx_hash in hashes:
        receipt = await view.transaction_receipt(tx_hash)
        assert receipt is not None, "it waits in the pool"
        assert receipt.status == 1
        prices.append(receipt.effective_gas_price)
    departed, *local = prices
    assert departed > 2 * GWEI
    assert max(local) < 2 * GWEI  # what stays on the cheap shard, and what a contract does there
    assert dear.pools[0].counts() == (0, 0)
    lane = dear.beacon.state.lane(0, 1)
    assert lane.consumed == lane.last == 2


@pytest.mark.parametrize("told", ["price", "cap and tip", "tip"])
async def test_a_value_that_is_too_low_for_a_send_is_named_by_the_estimate(dear, told):
    view, alice, far = dear.views().network, dear.users[0][0], dear.users[1][0].address
    head = dear.chains[0].head
    newest = await view.block_number()  # what the next block will be anchored to
    price, there = head.base_fee_per_gas + GWEI, dear.beacon.state_at(newest).base_fee(1)
    assert price < there
    fees = {
        "price": {"gas_price": price},
        "cap and tip": {"max_fee_per_gas": 100 * GWEI, "max_priority_fee_per_gas": GWEI},
        "tip": {"max_priority_fee_per_gas": GWEI},
    }[told]
    request = CallRequest(
        from_=alice.address, to=MESSENGER, value=GAS * there - 1, data=sending(far), **fees
    )
    for ask in (view.call, view.estimate_gas):
        with pytest.raises(ExecutionReverted) as caught:
            await ask(request, "latest")
        assert caught.value.message == (
            f"execution reverted: Underpaid({GAS * there}): the gas of the message costs "
            f"{GAS * there} wei where it goes: call `send` with that value at least "
            "(MESSENGER.priceTo says what a unit of gas costs)"
        )


async def test_each_shard_has_its_own_price_below_it(dear):
    backend = dear.views().backend
    assert (
        await backend.chain(0).max_priority_fee()
        == await backend.chain(1).max_priority_fee()
        == GWEI
    )
    assert (
        await backend.chain(0).gas_price()
        < await backend.chain(1).gas_price()
        == await backend.chain(None).gas_price()
    )


async def test_what_a_frozen_shard_charged_is_no_price(dear, monkeypatch):
    """Nothing can be sent there: its last base fee would be the network's for good."""
    block, frozen_at = bytes(32), dear.beacon.head.height
    freeze = FrozenShard(frozen_at=frozen_at, height=1, blocks=(block, block))
    monkeypatch.setattr(BeaconState, "frozen", lambda _, shard: freeze if shard == 1 else None)
    view = dear.views().network
    cheap = dear.beacon.state.base_fee(0)
    history = await view.fee_history(2, "latest", ())
    assert history.base_fee_per_gas[0] > 2 * GWEI > history.base_fee_per_gas[1]
    assert history.base_fee_per_gas[2] == cheap
    assert (await view.block("latest", False)).base_fee_per_gas < GWEI
    assert await view.max_priority_fee() == GWEI
