"""Agreement, validity and liveness of whole networks, over many seeds.

``ATOLL_SIM_SEEDS=5000`` runs more seeds, ``ATOLL_SIM_SEED=17`` only that one. What is asserted at
every step stands in ``conftest.py``; here are the faults, and that consensus gets over them.
"""

import os
import random
from collections.abc import Callable

import pytest

SEEDS = int(os.environ.get("ATOLL_SIM_SEEDS", "200"))
ONLY = os.environ.get("ATOLL_SIM_SEED")
CHUNK = 20
CHUNKS = (
    [[int(ONLY)]]
    if ONLY is not None
    else [list(range(first, min(first + CHUNK, SEEDS))) for first in range(0, SEEDS, CHUNK)]
)

PATIENCE = 400.0
"""Virtual seconds within which a healed network finishes its heights; rounds are bounded tighter."""


def draw_powers(draw: random.Random) -> list[int]:
    n = draw.choice([1, 2, 3, 4, 4, 4, 5, 6, 7, 7, 8, 10, 13, 16])
    match draw.randrange(3):
        case 0:
            return [1] * n
        case 1:
            return [draw.randint(1, 10) for _ in range(n)]
        case _:
            return [draw.choice([1, 2, 50, 32_000_000_000]) for _ in range(n)]


def draw_faulty(draw: random.Random, powers: list[int]) -> frozenset[int]:
    """Some nodes with less than a third of the stake between them."""
    chosen: set[int] = set()
    for node in draw.sample(range(len(powers)), len(powers)):
        if 3 * sum(powers[i] for i in (*chosen, node)) < sum(powers):
            chosen.add(node)
    return frozenset(draw.sample(sorted(chosen), draw.randint(0, len(chosen))))


def draw_side(draw: random.Random, nodes: int) -> frozenset[int]:
    return frozenset(i for i in range(nodes) if draw.random() < 0.5)


def draw_scenario(seed: int, make_scenario):
    """Faults of every kind, by chance, until the network heals."""
    draw = random.Random(f"scenario {seed}")
    storm = draw.random() < 0.5  # rounds end long before their messages arrive
    powers = draw_powers(draw)
    if storm and len(powers) > 7:
        powers = powers[:4]
    followers = draw.choice([0, 0, 1])
    nodes = len(powers) + followers
    scale = 0.02 if storm else draw.choice([1.0, 0.3])
    heal_at = draw.uniform(0.0, 4.0 if storm else 20.0)
    byzantine = draw_faulty(draw, powers) if draw.random() < 0.6 else frozenset()
    partitions = []
    if byzantine and draw.random() < 0.5:  # only they reach both sides
        partitions.append((0.0, heal_at, draw_side(draw, nodes)))
    for _ in range(draw.choice([0, 0, 1, 4])):
        start = draw.uniform(0, heal_at)
        partitions.append((start, draw.uniform(start, heal_at), draw_side(draw, nodes)))
    return make_scenario(
        powers=powers,
        heights=draw.randint(2, 12),
        loss=draw.choice([0.0, 0.05, 0.2, 0.4, 0.6]),
        duplication=draw.choice([0.0, 0.2]),
        min_delay=0.01 * scale,
        max_delay=draw.choice([0.05, 0.2, 0.5] if storm else [0.05, 0.5, 2.0]),
        heal_at=heal_at,
        partitions=partitions,
        crash_rate=draw.choice([0.0, 0.01, 0.05]),
        max_crashes=draw.choice([3, 30]),
        byzantine=byzantine,
        followers=followers,
        timeout_scale=scale,
        changing_powers=draw.random() < 0.3,
    )


def run_seed(seed: int, scenario, make_world):
    """Run through the faults, heal, and check that every honest node gets to the end in time."""
    world = make_world(seed, scenario)
    world.allow(scenario.heights)
    try:
        world.run_until(lambda: False, deadline=scenario.heal_at)
        healed_height = max(len(host.chain) for host in world.hosts)
        rounds_at_heal = max([0, *world.top_round.values()])
        goal = scenario.heights + 2
        world.allow(goal)
        world.run_until(lambda: world.all_reached(goal), scenario.heal_at + PATIENCE)
        assert world.all_reached(goal), "no decision after the network healed"
        # After healing every round with an honest proposer decides, once all are in it together.
        # Turns of faulty proposers are spread over the rotation, so a few rounds must do.
        spare = len(scenario.powers) + 4
        for height, round in world.decision_rounds.items():
            if height > healed_height:
                assert round <= rounds_at_heal + spare, f"height {height} took {round} rounds"
            if height > healed_height + 1:
                assert round <= spare, f"height {height} took {round} rounds"
    except AssertionError as failure:
        raise AssertionError(
            f"{failure}\nreplay with ATOLL_SIM_SEED={seed}\n{scenario}\n{world.status()}"
        ) from failure
    return world


@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_random_faults_that_end(seeds: list[int], make_scenario, make_world: Callable):
    for seed in seeds:
        run_seed(seed, draw_scenario(seed, make_scenario), make_world)


def test_a_seed_replays_exactly(make_scenario, make_world):
    runs = []
    for _ in range(2):
        world = run_seed(3, draw_scenario(3, make_scenario), make_world)
        runs.append((world.events, world.now, world.decisions, world.signed))
    assert runs[0] == runs[1]


def test_a_quiet_network_decides_in_round_0(make_scenario, make_world):
    for n in (1, 2, 3, 4, 7, 16):
        world = run_seed(n, make_scenario(powers=[1] * n, heights=5), make_world)
        assert set(world.decision_rounds.values()) == {0}


@pytest.mark.parametrize("point", range(60))
def test_death_at_every_boundary(point: int, make_scenario, make_world):
    """Whichever effect it dies before, a restarted node never contradicts itself and goes on."""
    scenario = make_scenario(powers=[1, 1, 1, 1], heal_at=1e9)
    world = make_world(point, scenario)
    boundaries = 0

    def dies_here(index: int) -> bool:
        nonlocal boundaries
        boundaries += index == 2
        return index == 2 and boundaries in (point + 1, point + 12)

    world.may_crash = dies_here
    world.run_until(lambda: world.hosts[2].lives == 3, PATIENCE)
    goal = len(world.decisions) + 2
    world.run_until(lambda: world.all_reached(goal), world.now + PATIENCE)
    assert world.all_reached(goal), world.status()
    assert world.hosts[2].lives == 3


@pytest.mark.parametrize("point", range(40))
def test_a_single_validator_survives_death_at_every_boundary(point: int, make_scenario, make_world):
    world = make_world(point, make_scenario(powers=[7], heal_at=1e9))
    boundaries = 0

    def dies_here(index: int) -> bool:
        nonlocal boundaries
        boundaries += 1
        return boundaries == point + 1

    world.may_crash = dies_here
    world.run_until(lambda: world.all_reached(3), PATIENCE)
    assert world.all_reached(3), world.status()
    assert world.hosts[0].lives == 2


@pytest.mark.parametrize("powers", [[1, 1, 1], [1, 1, 1, 1], [5, 1, 1, 1, 1], [3, 3, 2, 2, 1, 1]])
def test_no_progress_with_more_than_f_down_and_recovery_after(
    powers: list[int], make_scenario, make_world
):
    down: list[int] = []
    while 3 * sum(powers[i] for i in down) < sum(powers):
        down.append(len(down))
    outages = [(3.0, 63.0, node) for node in down]
    world = make_world(1, make_scenario(powers=powers, down=outages))
    world.run_until(lambda: False, deadline=4.0)
    before = len(world.decisions)
    assert before > 0
    world.run_until(lambda: False, deadline=62.0)
    assert len(world.decisions) == before
    world.run_until(lambda: world.all_reached(before + 3), deadline=62.0 + PATIENCE)
    assert world.all_reached(before + 3), world.status()


def test_equivocators_are_found(make_scenario, make_world):
    found = 0
    for seed in range(5):
        scenario = make_scenario(powers=[1] * 7, heights=4, byzantine=frozenset({1, 4}))
        world = run_seed(seed, scenario, make_world)
        found += world.accused == {1, 4}
    assert found == 5


def test_a_minority_partition_stops_and_catches_up(make_scenario, make_world):
    scenario = make_scenario(powers=[1] * 4, heal_at=30.0, partitions=[(2.0, 30.0, frozenset({3}))])
    world = make_world(9, scenario)
    world.run_until(lambda: False, deadline=29.0)
    tallest, cut_off = len(world.hosts[0].chain), len(world.hosts[3].chain)
    assert tallest > cut_off + 5
    world.run_until(lambda: world.all_reached(tallest + 2), deadline=30.0 + PATIENCE)
    assert world.all_reached(tallest + 2), world.status()
