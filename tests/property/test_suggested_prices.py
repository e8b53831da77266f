"""Prices that clients make of what `/` says are right on every shard, whatever the base fees are."""

from hypothesis import given
from hypothesis import strategies as st

from node.execution.fees import base_fee_after
from node.runtime.view.fees import BlockFees, FeeRange

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
    return FeeRange((shown,), tuple(after(base_fee, used) for base_fee, used, _ in shards))


@given(SHARDS)
def test_defaults_of_clients_pay_on_every_shard(shards):
    """In the next block of each shard and in the one after it: a transaction departs for any other shard, runs
    on its own, and its contract may send to any other."""
    fees = told(shards)
    now = list(fees.next_base_fees)
    later = [after(base_fee, used) for base_fee, (_, _, used) in zip(now, shards, strict=True)]
    tip = fees.priority_fee
    for formula in CLIENTS.values():
        cap = formula(fees.blocks[-1].base_fee, tip)
        for here in now + later:
            for floor in now + later:
                assert cap >= floor  # a departure for there, or a transaction there, does not wait
                if len(shards) > 1:
                    assert min(cap, here + tip) >= floor  # GASPRICE in `MESSENGER.send`


@given(SHARDS)
def test_a_gas_price_is_no_less_than_what_such_a_transaction_pays(shards):
    """Whoever reckons the value for a message's gas by eth_gasPrice attaches enough."""
    fees = told(shards)
    for base_fee, (_, _, used) in zip(fees.next_base_fees, shards, strict=True):
        for here in (base_fee, after(base_fee, used)):
            assert (
                fees.gas_price >= here + fees.priority_fee - 1
            )  # a base fee rises by 1 wei at least


def test_a_tip_is_small_where_gas_costs_about_the_same():
    assert FeeRange((), (7, 7, 7)).priority_fee == 10**9
    assert FeeRange((), (10**11,)).priority_fee == 10**9
    assert FeeRange((), (8 * 10**9, 8 * 10**9)).priority_fee == 3 * 10**9
