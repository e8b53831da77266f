"""Shards whose whole committee lies: the others go on and lose nothing, and the audit says where wei are wrong.

What they lie about stands in ``devnet/corrupt.py``, what holds for the others in ``devnet/honest.py``.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import count, islice
from typing import Any

import msgspec
import pytest

from node.beacon import crosslinks
from node.shard import delivery
from node.shard.block_frame import BlockFrame
from node.shard.run import BlockRun
from tests.simulation.devnet.corrupt import Lie
from tests.simulation.devnet.plan import Plan, draw_plan
from tests.simulation.devnet.run_plan import run_plan
from tests.simulation.simnet.mutants import replaced

SEEDS = int(os.environ.get("ATOLL_SIM_SEEDS", "12"))


def corrupt_plans(*lies: Lie) -> Iterable[Plan]:
    """All that have a corrupt shard; it tells these lies, if any are given."""
    for plan in map(draw_plan, count()):
        if plan.corrupt is not None:
            yield replace(plan, lies=frozenset(lies) or plan.lies)


def test_the_others_go_on_and_lose_nothing() -> None:
    seen: Counter[str] = Counter()
    lies: Counter[Lie] = Counter()
    for plan in islice(corrupt_plans(), SEEDS):
        outcome = run_plan(plan)
        assert outcome.violation is None, f"{outcome.violation}; seed {plan.seed}\n{outcome.status}"
        seen += outcome.stats
        lies.update(plan.lies)
    assert set(lies) == set(Lie)
    for name in ("corrupt messages", "blocks of a corrupt shard", "crosslinked lies"):
        assert seen[name] > SEEDS, seen
    assert seen["audits that name the liar"] > 0, seen


def _any_supply(rules: Any, state: Any, shard: Any, requests: Any, where: str) -> Any:
    return state.supply(shard)


@pytest.mark.parametrize(
    ("owner", "name", "mistake", "lie", "rules"),
    [
        (delivery, "may_speak", lambda frame, message: True, Lie.SPEAKS_FOR_OTHERS, {"owner"}),
        (
            BlockRun,
            "_counts",
            lambda self, position, message: True,
            Lie.SPEAKS_FOR_OTHERS,
            {"owner", "supply", "liveness"},
        ),
        (crosslinks, "_supply", _any_supply, Lie.SPEAKS_FOR_OTHERS, {"supply"}),
    ],
)
def test_without_a_rule_they_lose(
    owner: Any, name: str, mistake: Any, lie: Lie, rules: set[str]
) -> None:
    """The lies are such that each wall between the shards is needed."""
    with replaced(owner, name, mistake):
        outcomes = (run_plan(plan) for plan in islice(corrupt_plans(lie), 40))
        found = next((o.violation for o in outcomes if o.violation is not None), None)
    assert found is not None
    assert found.rule in rules, found


def floods() -> Iterable[Plan]:
    """With a third shard, and lanes that two messages fill."""
    for plan in corrupt_plans(Lie.FLOODS):
        if len(plan.shards) > 2:
            gas_window = 2 * plan.params.message_gas_limit
            params = msgspec.structs.replace(
                plan.params, lane_gas_window=gas_window, base_fee=7, max_arrivals=20
            )
            yield replace(plan, params=params)


def test_what_others_pass_on_has_little_room() -> None:
    seen: Counter[str] = Counter()
    for plan in islice(floods(), 3):
        outcome = run_plan(plan)
        assert outcome.violation is None, f"{outcome.violation}; seed {plan.seed}\n{outcome.status}"
        seen += outcome.stats
    assert seen["passed on for the liar"] > 3, seen


def test_without_a_share_they_fill_the_lanes_between_others() -> None:
    with replaced(BlockFrame, "passes_on", lambda self, src, dst, gas: True):
        outcomes = map(run_plan, islice(floods(), 8))
        found = next((o.violation for o in outcomes if o.violation is not None), None)
    assert found is not None
    assert found.rule == "room", found
