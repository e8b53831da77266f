"""Safety without any timing, against an adversary that schedules everything and holds f of the stake.

See ``simnet/attack.py``; ``python -m tests.simulation.run --kind attack`` runs many more.
"""

import os

from tests.simulation.simnet.attack import run_attack

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
