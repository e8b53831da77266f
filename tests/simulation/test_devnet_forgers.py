"""Faulty nodes that show others what nobody has decided: nothing of it is believed, and it ends nobody.

What they make stands in ``devnet/forger.py``, what is asserted of what honest nodes believe in
``devnet/net.py`` and ``simnet/observer.py``.
"""

import os
from collections import Counter
from itertools import count, islice

from tests.simulation.devnet.plan import Slyness, draw_plan
from tests.simulation.devnet.run_plan import run_plan

SEEDS = int(os.environ.get("ATOLL_SIM_SEEDS", "8"))
RARE = 8  # times as many until a body is refused, which one plan in ten brings


def test_nothing_forged_is_believed() -> None:
    plans = (draw_plan(seed) for seed in count())
    forging = (p for p in plans if any(Slyness.FORGES in sly for sly in p.sly.values()))
    seen: Counter[str] = Counter()
    heavy = 0
    for number, plan in enumerate(islice(forging, RARE * SEEDS)):
        if number >= SEEDS and seen["bodies refused"]:
            break
        outcome = run_plan(plan)
        assert outcome.violation is None, f"{outcome.violation}; seed {plan.seed}\n{outcome.status}"
        seen += outcome.stats
        heavy += any(3 * max(row) > 2 * sum(row) and len(row) > 3 for row in plan.shards)
    assert heavy > 0
    for name in ("forged blocks", "forged crosslinks", "forged evidence"):
        assert seen[name] > 2 * number, seen
    assert seen["bodies refused"] > 0, seen
