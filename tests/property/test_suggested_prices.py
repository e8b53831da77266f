"""Prices that clients make of what `/` says are right on every shard, whatever the base fees are."""

from hypothesis import given
from hypothesis import strategies as st

from node.execution.evm.fees import base_fee_after
from node.view.fees import PRIORITY_FEE, BlockFees, FeeRange

LIMIT = 30_000_000
WEI = st.one_of(st.integers(0, 100), st.integers(0, 10**12), st.integers(0, 10**30))
USED = st.one_of(st.sampled_from([0, LIMIT]), st.integers(0, LIMIT))
SHARDS = st.lists(st.tuples(WEI, USED, USED), min_size=1, max_size=8)
"""Of each shard: the base fee of its tip, the gas that its tip used, and that of the block after it."""

CLIENTS = {
    "ethers": lambda base_fee, tip: 2 * base_fee + tip,
    "web3.py": lambda base_fee, tip: tip + 2 * base_fee,
    "viem": lambda base_fee, tip: base_fee * 12 // 10 + tip,
}
"""maxFeePerGas, of the base fee of the newest block and eth_maxPriorityFeePerGas."""


def after(base_fee, used):
    return base_fee_after(base_fee=base_fee, gas_used=used, gas_limit=LIMIT)


def told(shards):
    """What `/` shows of these tips (`NetworkView._fees`)."""
    shown = BlockFees(base_fee=max(base_fee for base_fee, _, _ in shards))
    return FeeRange((shown,), max(after(base_fee, used) for base_fee, used, _ in shards))


def soon(shards):
    """Base fees of the next block of each shard and of the one after it."""
    now = [after(base_fee, used) for base_fee, used, _ in shards]
    return now + [after(base_fee, used) for base_fee, (_, _, used) in zip(now, shards, strict=True)]


@given(SHARDS)
def test_defaults_of_clients_offer_enough_on_every_shard(shards):
    """A transaction departs for any other shard, or runs on its own, and does not wait."""
    fees = told(shards)
    for formula in CLIENTS.values():
        cap = formula(fees.blocks[-1].base_fee, PRIORITY_FEE)
        # viem allows for one full block in between, as on Ethereum, the others for five
        blocks = soon(shards)[: len(shards)] if formula is CLIENTS["viem"] else soon(shards)
        assert all(cap >= floor for floor in blocks)


@given(SHARDS)
def test_a_gas_price_is_no_less_than_what_gas_comes_to(shards):
    """Whoever reckons the value for a message's gas by eth_gasPrice attaches enough, wherever that is."""
    fees = told(shards)
    for here in soon(shards):
        for there in soon(shards):
            price = max(here + PRIORITY_FEE, there)  # `priceTo` of MESSENGER
            assert fees.gas_price >= price - 1  # a base fee rises by 1 wei at least
