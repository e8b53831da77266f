"""Safety without any timing, against an adversary that schedules everything and holds f of the stake.

See ``simnet/attack.py``; ``python -m tests.simulation.run --kind attack`` runs many more.
"""

import os

from consensus.types import Address
from tests.simulation.simnet.attack import Attack, run_attack
from tests.simulation.simnet.observer import Violation

SEEDS = int(os.environ.get("ATOLL_SIM_SEEDS", "150"))


def test_no_schedule_makes_honest_nodes_disagree():
    decided = late = locks = reproposals = 0
    for seed in range(SEEDS):
        attack, violation = run_attack(seed)
        story = "\n".join(attack.trace)
        assert violation is None, f"{violation}; attack of seed {seed}:\n{story}"
        decided += bool(attack.decisions)
        late += any(d.round > 0 for d in attack.decisions.values())
        locks += any(engine.locked_round > 0 for engine in attack.nodes.values())
        reproposals += attack.reproposals > 0
    # The attacks have to come to something.
    assert decided > SEEDS * 0.8
    assert late > SEEDS * 0.3
    assert locks > SEEDS * 0.5
    assert reproposals > SEEDS * 0.5


def test_an_attack_replays_exactly():
    once, again = run_attack(7)[0], run_attack(7)[0]
    assert once.trace == again.trace
    assert once.signed == again.signed


class Beyond(Attack):
    """By more than a third of the stake, and no more than it takes."""

    def _pick_faulty(self, keys: list[Address]) -> frozenset[Address]:
        faulty: list[Address] = []
        while 3 * self.power(faulty) <= self.set.total_power:
            faulty.append(min(set(keys).difference(faulty), key=lambda k: (self.power([k]), k)))
        return frozenset(faulty)


def test_more_than_a_third_make_honest_nodes_disagree():
    """The bound is where the paper says: with that much an adversary has its way."""
    broken: list[str] = []
    for seed in range(20):
        try:
            Beyond(seed).run()
        except Violation as violation:
            broken.append(violation.rule)
    assert len(broken) > 5
    assert set(broken) == {"agreement"}
