"""What it costs to flood a shard, and what the shard's own users then pay: from another shard and from itself.

`pytest -s tests/unit/shard/test_floods.py` prints the table.
"""

import pytest

from node.execution.evm.fees import next_base_fee
from node.primitives.basics import ShardId

pytestmark = pytest.mark.slow

GWEI = 10**9
DELAY = 3
"""Blocks of the flooded shard until its price is known on the other one, and until a message arrives."""
LAG = 2 * DELAY - 1  # blocks between the price and the delivery, in all
BLOCKS = 16
LOCAL = 14_000_000  # what users of the shard use of each block besides, less than the target
FLOOD = 14_000_000


def flooded(make_world, kit, *, from_another):
    """The base fee of each block, and what the flood burned and paid in each, in wei."""
    here = make_world(shards=2, base_fee=GWEI, message_gas_limit=500_000)
    there = make_world(shards=2, here=1, base_fee=7, message_gas_limit=500_000)
    burner = here.deploy(kit.invalid)  # uses all gas that it is given
    there.beacon.homes[burner] = ShardId(0)
    local, flooder, far = here.users[0][1], here.users[0][2], there.users[1][2]
    fees, paid = [], []
    on_the_way = []
    seen = [next_base_fee(here.chain.head)] * DELAY
    for number in range(BLOCKS + DELAY):
        txs = [local.tx(burner, gas=LOCAL, fee=10**3 * GWEI)]
        cost = 0
        if from_another:
            if len(on_the_way) >= DELAY:
                here.inbox.setdefault(1, []).extend(batch := on_the_way.pop(0))
                cost = sum(m.all_gas * m.gas_price for m in batch)
            there.beacon.base_fees[0] = seen.pop(0)
            there.beacon.lanes[1, 0] = kit.lane(10**6, 10**12)
            calls = [
                far.tx(burner, gas=521_000, tip=0, fee=10**3 * GWEI)
                for _ in range(FLOOD // 500_000)
            ]
            on_the_way.append([sent.message for sent in there.make(*calls).sent])
        elif number >= DELAY:
            txs.append(flooder.tx(burner, gas=FLOOD, tip=0, fee=10**3 * GWEI))
        before = here.balance(flooder.address)
        executed = here.make(*txs)
        cost += before - here.balance(flooder.address)
        seen.append(next_base_fee(executed.header))
        if number >= DELAY:
            assert executed.header.gas_used == LOCAL + FLOOD
            fees.append(executed.header.base_fee_per_gas)
            paid.append(cost)
    return fees, paid


def test_a_shard_that_is_flooded_from_another_is_as_dear_as_from_itself(make_world, kit):
    own_fees, own_paid = flooded(make_world, kit, from_another=False)
    fees, paid = flooded(make_world, kit, from_another=True)
    print("\nblock   base fee, gwei: own   other    the flood paid, gwei: own        other   ratio")
    for number, row in enumerate(zip(own_fees, fees, own_paid, paid, strict=True)):
        a, b, c, d = (wei / GWEI for wei in row)
        print(f"{number:5}{a:22.3f}{b:8.3f}{c:27,.0f}{d:13,.0f}{d / c:8.2f}")
    assert fees == own_fees  # who lives there pays the same
    assert fees[-1] > 4 * fees[0]
    for own, other in zip(own_paid, paid, strict=True):  # the price of some blocks before
        assert own * (8 / 9) ** LAG < other < own * 9 / 8
    for block in range(LAG, BLOCKS):
        assert own_paid[block - LAG] <= paid[block]
