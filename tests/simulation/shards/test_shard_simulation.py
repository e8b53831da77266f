"""Many small networks of shards, each drawn from a seed, and what must hold in all of them.

``ATOLL_SIM_SEEDS=5000`` runs more seeds, ``ATOLL_SIM_SEED=17`` only that one. What is asserted at every
step is in support/network.py.
"""

import os
from collections import Counter

import pytest

SEEDS = int(os.environ.get("ATOLL_SIM_SEEDS", "48"))
ONLY = os.environ.get("ATOLL_SIM_SEED")
STEPS = 90


def simulate(make_net, seed: int) -> Counter[str]:
    net = make_net(seed)
    try:
        net.run(STEPS)
    except Exception as failure:
        raise AssertionError(
            f"{type(failure).__name__}: {failure}\nreplay with ATOLL_SIM_SEED={seed}; "
            f"{net.count} shards, {net.genesis.params}, {dict(net.stats)}"
        ) from failure
    return sum((ledger.stats for ledger in net.owners.ledgers.values()), net.stats)


def test_shards_keep_every_promise(make_net):
    """Exactly once, in order, not a wei lost or made, the same on every replica, and all arrives."""
    seeds = [int(ONLY)] if ONLY else range(SEEDS)
    seen: Counter[str] = Counter()
    for seed in seeds:
        seen += simulate(make_net, seed)
    if len(seeds) >= 20:  # the schedules reach what they are meant to reach
        for name in (
            "births",
            "moves",
            "forwarded",
            "credits",
            "failed",
            "rejected",
            "deferred",
            "replies",
            "operations",
            "impersonated",
        ):
            assert seen[name] > 5, seen
        # by the factory of every shard, before either hears of the other
        assert seen["made twice"] > 0, seen
        assert seen["transactions"] > 20 * len(seeds), seen


def test_a_seed_is_a_schedule(make_net):
    """The same seed makes the same blocks, whatever the order of sets and dicts."""
    heads = []
    for _ in range(2):
        net = make_net(int(ONLY or "7"))
        net.run(STEPS)
        heads.append((net.beacon.head.hash, [here.chain.head.hash for here in net.shards]))
    assert heads[0] == heads[1]


@pytest.mark.slow
@pytest.mark.skipif("ATOLL_SIM_SEEDS" not in os.environ, reason="set ATOLL_SIM_SEEDS for it")
def test_long_schedules(make_net):
    for seed in range(1_000_000, 1_000_000 + max(1, SEEDS // 200)):
        net = make_net(seed)
        try:
            net.run(20 * STEPS)
        except Exception as failure:
            raise AssertionError(f"make_net({seed}).run({20 * STEPS})") from failure
