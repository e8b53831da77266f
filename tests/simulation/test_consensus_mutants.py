"""Deliberate mistakes in the engine and its driver, each of which the simulation has to find.

See ``simnet/mutants.py``. The seeds are bounded: a change that blunts the adversary fails here. To
watch a mistake being found: ``python -m tests.simulation.run --mutant unlock-on-nil --shrink``.
"""

import itertools

import pytest

from tests.simulation.simnet.attack import run_attack
from tests.simulation.simnet.mutants import MUTANTS
from tests.simulation.simnet.run_schedule import Outcome, run_schedule
from tests.simulation.simnet.scenario import Behaviour, draw_schedule
from tests.simulation.simnet.shrink import Shrinker

ATTACKED = {
    "drop-the-lock-rule": (10, {"agreement"}),
    "unlock-on-nil": (10, {"agreement", "lock"}),
    "accept-an-old-polka": (120, {"agreement"}),
    "quorum-of-half": (60, {"agreement"}),
    "accept-a-third-as-proof-of-lock": (120, {"agreement"}),
    "forget-to-lock": (10, {"agreement"}),
}
"""Seeds within which an attack succeeds, and the invariants that it breaks."""

SIMULATED = {
    "skip-the-log": (range(10), {"lock", "round", "liveness"}),
    "sign-before-persist": (range(40), {"lock", "round", "double-sign"}),
    "forget-to-log-own-votes": (range(10), {"journal"}),
    "forget-to-log-timeouts": (range(10), {"round"}),
    "forget-values": (range(10), {"crash"}),
    "snapshot-without-lock": (range(60), {"lock"}),
    "no-rebroadcast": (range(10), {"liveness"}),
    "record-before-log": (range(10, 20), {"liveness", "rounds"}),
}
"""The same for networks with crashes and lost messages."""


def test_all_mistakes_are_tried():
    assert set(ATTACKED) | set(SIMULATED) == set(MUTANTS)


@pytest.mark.parametrize("name", ATTACKED)
def test_an_attack_finds(name: str):
    seeds, rules = ATTACKED[name]
    with MUTANTS[name]():
        violations = (run_attack(seed)[1] for seed in range(seeds))
        found = next((v for v in violations if v is not None), None)
    assert found is not None
    assert found.rule in rules


@pytest.mark.parametrize("name", SIMULATED)
def test_a_network_finds(name: str):
    seeds, rules = SIMULATED[name]
    with MUTANTS[name]() as host:
        outcomes = (run_schedule(draw_schedule(seed), host=host) for seed in seeds)
        found = next((o.violation for o in outcomes if o.violation is not None), None)
    assert found is not None
    assert found.rule in rules


def test_sending_before_persisting_makes_a_node_sign_twice():
    with MUTANTS["sign-before-persist"]() as host:
        outcomes = (run_schedule(draw_schedule(seed), host=host) for seed in itertools.count())
        outcomes = itertools.islice(outcomes, 120)
        rules = (o.violation.rule for o in outcomes if o.violation is not None)
        assert "double-sign" in rules


def loses_its_log(outcome: Outcome) -> bool:
    """Whether somebody does, and has only its record to keep it honest: that one is not shrunk away."""
    return any(Behaviour.LOSES_LOG in what for _, what in outcome.schedule.scenario.faulty)


def test_a_failing_schedule_is_shrunk_to_a_few_faults():
    with MUTANTS["sign-before-persist"]() as host:
        outcomes = (run_schedule(draw_schedule(seed), host=host) for seed in range(40))
        failed = next(
            o for o in outcomes if o.violation and len(o.happened) > 50 and not loses_its_log(o)
        )
        best = Shrinker(failed, host=host, budget=400_000).shrink()
        again = run_schedule(best.schedule, host=host)
    assert failed.violation is not None
    assert best.violation is not None
    assert best.violation.rule == failed.violation.rule
    assert len(best.happened) <= 20
    assert not best.schedule.scenario.faulty
    assert again.happened == best.happened
    assert str(again.violation) == str(best.violation)
