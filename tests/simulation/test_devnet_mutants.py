"""Deliberate mistakes in shards, lanes, beacon and node, each of which the simulation has to find.

See ``devnet/mutants.py``. The seeds are bounded: a change that blunts the schedules fails here.
"""

import pytest

from tests.simulation.devnet.mutants import MUTANTS
from tests.simulation.devnet.plan import draw_plan
from tests.simulation.devnet.run_plan import run_plan

PATIENCE = 40.0
"""Virtual seconds; the networks drain in some 5."""

FOUND = {
    "skip-a-message": (range(4), {"prefix"}),
    "deliver-again-what-failed": (range(4, 9), {"exactly once"}),
    "forget-a-checkpoint": (range(4), {"checkpoint"}),
    "lose-refunds": (range(4), {"audit"}),
    "refund-the-recipient": (range(4), {"owner"}),
    "trust-whoever-serves-a-lane": (range(5, 11), {"liveness", "exactly once", "prefix"}),
    "say-crosslinks-once": (range(12, 20), {"liveness"}),
    "leave-out-the-proof": (range(4), {"liveness"}),
    "commit-without-sync": (range(9, 16), {"lost"}),
}
"""The seeds of which one finds it, and the invariants that it breaks."""


def test_all_mistakes_are_tried() -> None:
    assert set(FOUND) == set(MUTANTS)


@pytest.mark.parametrize("name", FOUND)
def test_a_network_finds(name: str) -> None:
    seeds, rules = FOUND[name]
    with MUTANTS[name]() as node:
        outcomes = (run_plan(draw_plan(seed), node=node, patience=PATIENCE) for seed in seeds)
        found = next((o.violation for o in outcomes if o.violation is not None), None)
    assert found is not None
    assert found.rule in rules
