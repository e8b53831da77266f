"""Agreement, validity and liveness of whole networks, over many seeds.

What is asserted at every step stands in ``simnet/observer.py``, what is expected of a network that
has healed in ``simnet/run_schedule.py``. ``ATOLL_SIM_SEEDS=5000`` runs more seeds; for many more,
and to replay and shrink one that fails, there is ``python -m tests.simulation.run``.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.params import TimeoutParams
from consensus.types import Height, Round, Timeout, TimeoutKind
from consensus.votes import VoteKeeper
from node.engine.height_driver import HeightDriver
from tests.simulation.simnet.attack import run_attack
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.mutants import replaced
from tests.simulation.simnet.run_schedule import run_schedule
from tests.simulation.simnet.scenario import (
    Behaviour,
    Outage,
    Partition,
    Scenario,
    Schedule,
    draw_schedule,
)
from tests.simulation.simnet.world import World

SEEDS = int(os.environ.get("ATOLL_SIM_SEEDS", "150"))
CHUNK = 25
PATIENCE = 400.0


class BuildsAnew(Host):
    """Proposes another block in each of its turns, as somebody does who knows of none."""

    class Forgetful(HeightDriver):
        """Knows of none."""

        def _again(self) -> None:
            """None."""

    driver_type = Forgetful


def check(schedule: Schedule, host: type[Host] = Host):
    outcome = run_schedule(schedule, host=host)
    assert outcome.violation is None, (
        f"{outcome.violation}; replay with"
        f" python -m tests.simulation.run --schedules 1 --seed {schedule.seed} --shrink"
        f"\n{schedule.scenario}\n{outcome.status}"
    )
    return outcome


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_random_faults_that_end(first: int):
    for seed in range(first, min(first + CHUNK, SEEDS)):
        check(draw_schedule(seed))


def test_a_seed_replays_exactly():
    once, again = run_schedule(draw_schedule(3)), run_schedule(draw_schedule(3))
    assert once == again
    assert once.happened


def test_a_schedule_is_the_same_when_its_faults_are_named():
    """What shrinking rests on: the faults that happened, and no others, make the same run."""
    once = run_schedule(draw_schedule(3))
    named = Schedule(seed=3, scenario=once.schedule.scenario, only=frozenset(once.happened))
    assert run_schedule(named).happened == once.happened
    assert run_schedule(named).events == once.events


def test_a_vote_that_goes_over_no_threshold_enables_no_rule():
    """The engine looks for a rule to fire only after a decisive vote; after each it would find no more."""
    real = VoteKeeper.add
    networks, attacks = (1, 2, 3, 5, 6, 7), range(0, 80, 4)
    some = [run_schedule(draw_schedule(seed)) for seed in networks]
    stories = [run_attack(seed)[0].trace for seed in attacks]
    with replaced(VoteKeeper, "add", lambda self, vote: replace(real(self, vote), decisive=True)):
        assert [run_schedule(draw_schedule(seed)) for seed in networks] == some
        assert [run_attack(seed)[0].trace for seed in attacks] == stories


def test_a_lock_of_little_stake_does_not_hold_up_the_others():
    """Seed 485, shrunk: few have seen a polka, and without the rule of ADR 26 height 1 takes 20 rounds."""
    lost = """
        1>3 #1 proposal 1/0 ec69cc00 pol -1 of 1, 2>3 #1 proposal 1/0 ec69cc00 pol -1 of 1,
        1>0 #1 prevote 1/0 ec69cc00 of 1, 1>0 #2 prevote 1/0 ec69cc00 of 1,
        1>0 #3 prevote 1/0 ec69cc00 of 1, 2>0 #1 prevote 1/0 ec69cc00 of 1,
        0>1 #1 prevote 1/0 ec69cc00 of 0, 0>1 #2 prevote 1/0 ec69cc00 of 0,
        0>1 #3 prevote 1/0 ec69cc00 of 0, 2>1 #1 prevote 1/0 ec69cc00 of 0,
        0>3 #1 prevote 1/0 ec69cc00 of 0
    """
    scenario = Scenario(
        powers=(50, 50, 50, 2),
        heights=1,
        heal_at=0.06328551600162463,
        loss=0.5,
        slow_delay=0.2,
        delay=0.001,
        faulty=((2, frozenset({Behaviour.INVALID_PROPOSER})),),
        timeout_scale=0.02,
    )
    only = frozenset(f"lose {message.strip()}" for message in lost.split(","))
    outcome = check(Schedule(seed=485, scenario=scenario, only=only), BuildsAnew)
    with replaced(VoteKeeper, "polkas_between", lambda self, after, before: iter(())):
        stuck = run_schedule(outcome.schedule, host=BuildsAnew)
    assert stuck.violation is not None
    assert stuck.violation.rule == "rounds"
    assert len(outcome.happened) >= 10


def test_a_quiet_network_decides_in_round_0():
    for n in (1, 2, 3, 4, 7, 16):
        world = World(Schedule(seed=n, scenario=Scenario(powers=(1,) * n, heights=4)))
        world.run_until(lambda world=world: world.all_reached(4), PATIENCE)
        assert world.observer.rounds == dict.fromkeys(range(1, 5), 0)


@pytest.mark.parametrize("n", [1, 4, 7, 16])
def test_blocks_that_take_longer_than_rounds_are_decided_once_everybody_has_executed_one(n: int):
    """However long they take: the rounds that pass meanwhile are as many as fit in, and a few more."""
    for times in (3.0, 30.0):
        scenario = Scenario(powers=(1,) * n, heights=2, execution=times)
        world = World(Schedule(seed=n, scenario=scenario))
        world.run_until(lambda world=world: world.all_reached(2), 40 * times)
        assert world.all_reached(2), world.status()
        timeouts, passed, fit = TimeoutParams(), 0.0, 0
        while passed < 3 * times:
            timeout = Timeout(kind=TimeoutKind.PROPOSE, height=Height(1), round=Round(fit))
            passed += timeouts.duration(timeout)
            fit += 1
        assert max(world.observer.rounds.values()) <= fit + 3, world.observer.rounds


@pytest.mark.parametrize("behaviour", Behaviour)
def test_a_network_gets_along_with(behaviour: Behaviour):
    for seed in range(3):
        faulty = ((1, frozenset({behaviour})), (4, frozenset({behaviour})))
        scenario = Scenario(powers=(1,) * 7, heights=3, faulty=faulty, heal_at=4.0, loss=0.05)
        check(Schedule(seed=seed, scenario=scenario))


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour.DOUBLE_VOTER, Behaviour.EQUIVOCATING_PROPOSER, Behaviour.TWIN],
)
def test_equivocators_are_found(behaviour: Behaviour):
    found = set()
    for seed in range(4):
        faulty = ((1, frozenset({behaviour})), (4, frozenset({behaviour})))
        scenario = Scenario(powers=(1,) * 7, heights=5, faulty=faulty)
        world = World(Schedule(seed=seed, scenario=scenario))
        world.run_until(lambda world=world: world.all_reached(5), PATIENCE)
        found |= world.observer.accused
    assert found == {1, 4}


def test_contradictions_after_the_decision_are_found():
    """Which the engines do not hear: what they had accused is compared with what all had."""
    found, late = set(), 0
    for seed in range(4):
        what = frozenset({Behaviour.LATECOMER})
        scenario = Scenario(powers=(1,) * 7, heights=9, faulty=((1, what), (4, what)))
        world = World(Schedule(seed=seed, scenario=scenario))
        world.run_until(lambda world=world: world.all_reached(9), PATIENCE)
        assert world.all_reached(9), world.status()
        found |= world.observer.accused
        late += sum(len(host.evidence) for host in world.honest)
    assert found == {1, 4}
    assert late >= 4 * 5 * 2, "by everybody, in every run"


def test_who_loses_its_log_but_not_its_record_never_equivocates():
    faulty = ((2, frozenset({Behaviour.LOSES_LOG})),)
    for seed in range(20):
        scenario = Scenario(powers=(1,) * 4, heights=6, faulty=faulty, heal_at=10.0, loss=0.2)
        check(Schedule(seed=seed, scenario=scenario))


@pytest.mark.parametrize("seed", range(12))
def test_the_real_journal_and_record(seed: int):
    """The node's own write-ahead log and last-signed record, in files, on a disk that forgets."""
    faulty = ((1, frozenset({Behaviour.LOSES_LOG})),) if seed % 2 else ()
    scenario = Scenario(
        powers=(1, 1, 1, 1),
        heights=3,
        heal_at=4.0,
        loss=0.1,
        crash_rate=0.03,
        outages=tuple(Outage(start=2.0, end=2.5, node=i) for i in range(4)),
        faulty=faulty,
        real_disk=True,
    )
    check(Schedule(seed=seed, scenario=scenario))


def test_a_node_with_files_dies_wherever_one_in_memory_does(tmp_path: Path):
    """Between the log and the record, too: each is a write of its own."""
    counts = []
    for real_disk in (False, True):
        scenario = Scenario(powers=(1, 1, 1, 1), heights=4, real_disk=real_disk)
        world = World(Schedule(seed=0, scenario=scenario), directory=tmp_path)
        world.run_until(lambda world=world: world.all_reached(4), PATIENCE)
        counts.append([host.boundaries for host in world.hosts.values()])
        world.close()
    assert counts[0] == counts[1]


BOUNDARIES, ALONE = 120, 60
"""Effects of four heights, in a quiet network and of a single validator, before which a node dies."""


@pytest.mark.parametrize(("powers", "tried"), [((1, 1, 1, 1), BOUNDARIES), ((7,), ALONE)])
def test_nearly_all_boundaries_are_tried(powers: tuple[int, ...], tried: int):
    world = World(Schedule(seed=0, scenario=Scenario(powers=powers, heights=4)))
    world.run_until(lambda: world.all_reached(4), PATIENCE)
    most = max(host.boundaries for host in world.hosts.values())
    assert tried <= most < 1.25 * tried


@pytest.mark.parametrize("first", range(0, BOUNDARIES, 15))
def test_death_at_every_boundary(first: int):
    """Whichever effect it dies before, a restarted node never contradicts itself and goes on."""
    for point in range(first, first + 15):
        points = frozenset({(2, point + 1), (2, point + 12)})
        scenario = Scenario(powers=(1, 1, 1, 1), heights=4, crash_points=points)
        world = World(Schedule(seed=point, scenario=scenario))
        world.run_until(lambda world=world: world.all_reached(4), PATIENCE)
        assert world.all_reached(4), world.status()
        assert world.hosts[2].lives > 1, "it died"


def test_a_single_validator_survives_death_at_every_boundary():
    for point in range(ALONE):
        points = frozenset({(0, point + 1)})
        scenario = Scenario(powers=(7,), heights=4, crash_points=points)
        world = World(Schedule(seed=point, scenario=scenario))
        world.run_until(lambda world=world: world.all_reached(4), PATIENCE)
        assert world.all_reached(4), world.status()
        assert world.hosts[0].lives == 3


@pytest.mark.parametrize("point", range(4, 60, 4))
def test_a_full_restart_at_any_moment(point: int):
    """All nodes die at the same time; a few rounds later they decide again."""
    at = point * 0.02
    outages = tuple(Outage(start=at, end=at + 1.0 + 0.1 * i, node=i) for i in range(4))
    scenario = Scenario(powers=(1, 1, 1, 1), heights=20, outages=outages)
    world = World(Schedule(seed=point, scenario=scenario))
    world.run_until(lambda: False, at + 1.4)
    goal = max(world.observer.blocks, default=0) + 2
    world.run_until(lambda: world.all_reached(goal), at + 1.4 + 30.0)
    assert world.all_reached(goal), world.status()
    assert max(world.observer.rounds.values()) <= 3


@pytest.mark.parametrize("powers", [(1, 1, 1), (1, 1, 1, 1), (5, 1, 1, 1, 1), (3, 3, 2, 2, 1, 1)])
def test_no_progress_with_more_than_f_down_and_recovery_after(powers: tuple[int, ...]):
    down: list[int] = []
    while 3 * sum(powers[i] for i in down) < sum(powers):
        down.append(len(down))
    outages = tuple(Outage(start=3.0, end=43.0, node=node) for node in down)
    world = World(Schedule(seed=1, scenario=Scenario(powers=powers, heights=99, outages=outages)))
    world.run_until(lambda: False, 4.0)
    before = len(world.observer.blocks)
    assert before > 0
    world.run_until(lambda: False, 42.0)
    assert len(world.observer.blocks) == before
    world.run_until(lambda: world.all_reached(before + 3), 42.0 + PATIENCE)
    assert world.all_reached(before + 3), world.status()


def test_a_minority_partition_stops_and_catches_up():
    parts = (Partition(start=2.0, end=15.0, side=frozenset({3})),)
    scenario = Scenario(powers=(1,) * 4, heights=99, heal_at=15.0, partitions=parts)
    world = World(Schedule(seed=9, scenario=scenario))
    world.run_until(lambda: False, 14.0)
    tallest, cut_off = len(world.hosts[0].chain), len(world.hosts[3].chain)
    assert tallest > cut_off + 5
    world.run_until(lambda: world.all_reached(tallest + 2), 15.0 + PATIENCE)
    assert world.all_reached(tallest + 2), world.status()
