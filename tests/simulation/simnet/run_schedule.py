"""Running one schedule from its faults to the end, and what is expected of it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.simnet.disk import FileDisk
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.observer import Violation
from tests.simulation.simnet.scenario import Schedule
from tests.simulation.simnet.world import World
from tests.support.forgetful import mounted

PATIENCE = 800.0
"""Virtual seconds, times the scale of the timeouts, within which a healed network finishes. That is
dozens of the longest rounds; how many it may take is bounded more tightly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a schedule: its faults, and the violation if there was one."""

    schedule: Schedule
    violation: Violation | None
    happened: tuple[str, ...]
    events: int
    decided: int
    status: str


def run_schedule(schedule: Schedule, *, host: type[Host] = Host) -> Outcome:
    """Run through the faults, heal, and see every honest node get to the end in time."""
    if not schedule.scenario.real_disk:
        return _run(World(schedule, host=host), schedule)
    with tempfile.TemporaryDirectory(prefix="atoll-simulation-") as directory:
        world = World(schedule, directory=Path(directory), host=host)
        disks = (node.disk for node in world.hosts.values())
        try:
            with mounted(*(disk.forgetful for disk in disks if isinstance(disk, FileDisk))):
                return _run(world, schedule)
        finally:
            world.close()


def _run(world: World, schedule: Schedule) -> Outcome:
    violation = None
    try:
        live_through(world)
    except Violation as caught:
        violation = caught
    except Exception as error:  # noqa: BLE001 - whatever breaks is a finding, with its schedule
        violation = Violation("crash", f"{type(error).__name__}: {error}")
        violation.__cause__ = error
    return Outcome(
        schedule=schedule,
        violation=violation,
        happened=tuple(world.dice.happened),
        events=world.events,
        decided=len(world.observer.blocks),
        status=world.status(),
    )


def live_through(world: World) -> None:
    """From the start to two heights after the faults.

    Raises:
        Violation: an invariant does not hold; of the rules ``liveness`` and ``rounds`` if the
            network does not get on once it has healed.
    """
    scenario, observer = world.scenario, world.observer
    patience = PATIENCE * scenario.timeout_scale
    world.run_until(lambda: False, scenario.heal_at + 2 * scenario.slow_delay)
    world.run_until(lambda: all(host.alive for host in world.hosts.values()), world.now + patience)
    healed_height = max(observer.blocks, default=0)
    highest = observer.top_round
    goal = max(scenario.heights, healed_height) + 1
    world.allow(goal)
    world.run_until(lambda: world.all_reached(goal), world.now + patience)
    if not world.all_reached(goal):
        raise Violation("liveness", f"height {goal} not decided {patience:.0f} s after healing")
    # After healing every round with an honest proposer decides, once all are in it together. Turns
    # of faulty proposers are spread over the rotation, so a few rounds must do.
    spare = len(scenario.powers) + 4
    for height, round in observer.rounds.items():
        if height > healed_height + 1 and round > spare:
            raise Violation("rounds", f"height {height} took {round} rounds")
        if height == healed_height + 1 and round > highest + spare:
            raise Violation("rounds", f"height {height} took {round} rounds after {highest}")
