"""Whole networks over many seeds: shards, lanes and beacon through the engine and its lossy network.

What is asserted at every block stands in ``shards/support/books.py`` and ``simnet/observer.py``, what is
expected of a network that has healed in ``devnet/run_plan.py``. ``ATOLL_SIM_SEEDS=5000`` runs more seeds,
``ATOLL_SIM_SEED=17`` only that one; ``python -m tests.simulation.run --kind devnet`` uses all cores.
"""

import os
from collections import Counter

import pytest

from tests.simulation.devnet.plan import Plan, draw_plan
from tests.simulation.devnet.run_plan import Outcome, run_plan

SEEDS = int(os.environ.get("ATOLL_SIM_SEEDS", "16"))
ONLY = os.environ.get("ATOLL_SIM_SEED")
CHUNK = 8


def check(plan: Plan) -> Outcome:
    outcome = run_plan(plan)
    assert outcome.violation is None, (
        f"{outcome.violation}; replay with ATOLL_SIM_SEED={plan.seed}, or with"
        f" python -m tests.simulation.run --kind devnet --schedules 1 --seed {plan.seed} --shrink"
        f"\n{plan}\n{outcome.status}"
    )
    return outcome


@pytest.mark.parametrize("first", [0] if ONLY else range(0, SEEDS, CHUNK))
def test_every_message_arrives_once_whatever_happens(first: int) -> None:
    seeds = [int(ONLY)] if ONLY else range(first, min(first + CHUNK, SEEDS))
    seen: Counter[str] = Counter()
    for seed in seeds:
        seen += check(draw_plan(seed)).stats
    if len(seeds) == CHUNK:  # the schedules reach what they are meant to reach
        assert seen["transactions"] > 10 * CHUNK, seen
        for name in ("calls", "credits", "moves", "births", "failed"):
            assert seen[name] > CHUNK / 2, seen


def test_a_seed_is_a_schedule() -> None:
    """The same seed makes the same blocks on every chain, whatever the order of sets and dicts."""
    once, again = (run_plan(draw_plan(int(ONLY or "7"))) for _ in range(2))
    assert once.heads == again.heads
    assert (once.events, once.happened) == (again.events, again.happened)
