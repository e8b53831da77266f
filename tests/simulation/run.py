"""Simulate many schedules: networks with faults, and attacks on safety without any timing.

    python -m tests.simulation.run --schedules 100000 --seed 1
    python -m tests.simulation.run --schedules 1 --seed 4711 --shrink     replay one, make it short
    python -m tests.simulation.run --mutant unlock-on-nil --shrink        see a mistake be found
    python -m tests.simulation.run --mutants --schedules 2000             see every mistake be found

Of every four seeds one is an attack and three are networks. A seed is the same schedule everywhere
and always; ``--kind`` restricts the run to one sort. Prints the rate, what was covered, and each
violation with the way to replay it; the exit code is 1 if there was one.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice

from tests.simulation.simnet.attack import run_attack
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.mutants import MUTANTS
from tests.simulation.simnet.run_schedule import Outcome, run_schedule
from tests.simulation.simnet.scenario import Schedule, draw_schedule
from tests.simulation.simnet.shrink import Shrinker

BATCH = 40
SHOWN = 10
"""Violations described."""
SHRUNK = 2
"""Violations shrunk."""


@dataclass(slots=True)
class Tally:
    """What a batch of schedules came to."""

    schedules: int = 0
    networks: int = 0
    attacks: int = 0
    events: int = 0
    decided: int = 0
    covered: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another batch in."""
        self.schedules += other.schedules
        self.networks += other.networks
        self.attacks += other.attacks
        self.events += other.events
        self.decided += other.decided
        self.covered += other.covered
        self.violations += other.violations


@dataclass(frozen=True, slots=True)
class Batch:
    """Seeds to run, and on which engine."""

    seeds: tuple[int, ...]
    mutant: str | None


def is_attack(seed: int) -> bool:
    """Which sort of schedule a seed is."""
    return seed % 4 == 0


def features(schedule: Schedule) -> Iterator[str]:
    """What a schedule contains, for the account of what was covered."""
    scenario = schedule.scenario
    yield f"{len(scenario.powers)} validators"
    if len(set(scenario.powers)) > 1:
        yield "weighted stakes"
    for name in ("partitions", "links", "outages", "skew", "followers", "loss", "duplication"):
        if getattr(scenario, name):
            yield name
    if scenario.crash_rate:
        yield "crashes"
    for behaviour in {b for _, behaviours in scenario.faulty for b in behaviours}:
        yield behaviour.name.lower().replace("_", " ")


def run_batch(batch: Batch) -> Tally:
    """Run some seeds, in this process."""
    tally = Tally()
    if batch.mutant is None:
        for seed in batch.seeds:
            _run_seed(seed, Host, tally)
    else:
        with MUTANTS[batch.mutant]() as host:
            for seed in batch.seeds:
                _run_seed(seed, host, tally)
    return tally


def _run_seed(seed: int, host: type[Host], tally: Tally) -> None:
    tally.schedules += 1
    if is_attack(seed):
        attack, violation = run_attack(seed)
        tally.attacks += 1
        tally.decided += bool(attack.decisions)
        if violation is not None:
            tally.violations.append((seed, str(violation)))
        return
    outcome = _network(seed, host)
    tally.networks += 1
    tally.events += outcome.events
    tally.decided += outcome.decided
    tally.covered.update(features(outcome.schedule))
    if outcome.violation is not None:
        tally.violations.append((seed, str(outcome.violation)))


def _network(seed: int, host: type[Host]) -> Outcome:
    return run_schedule(draw_schedule(seed), host=host)


def batches(options: argparse.Namespace) -> Iterator[Batch]:
    """The seeds of a run, from the first on."""
    wanted = {"all": (True, False), "attack": (True,), "network": (False,)}[options.kind]
    fitting = (seed for seed in count(options.seed) if is_attack(seed) in wanted)
    seeds = islice(fitting, options.schedules)
    while chunk := tuple(islice(seeds, BATCH)):
        yield Batch(chunk, options.mutant)


def run(options: argparse.Namespace) -> Tally:
    """Run everything, with a line of progress now and then."""
    total, begin = Tally(), time.monotonic()
    shown = begin
    jobs = min(options.jobs, -(-options.schedules // BATCH))
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for tally in pool.imap_unordered(run_batch, batches(options)):
            total.add(tally)
            now = time.monotonic()
            enough = options.mutant is not None and total.violations
            if now - shown > 10 or enough or total.schedules == options.schedules:
                shown = now
                rate = total.schedules / (now - begin)
                print(
                    f"{total.schedules} schedules ({total.networks} networks, {total.attacks}"
                    f" attacks), {rate:.0f}/s, {total.events} events, {total.decided} decisions,"
                    f" {len(total.violations)} violations",
                    flush=True,
                )
            if enough:
                break
    total.violations.sort()
    return total


def run_mutants(options: argparse.Namespace) -> list[str]:
    """Every deliberate mistake, each until it is found; those that were not."""
    missed = []
    for name in sorted(MUTANTS):
        print(f"{name}:", flush=True)
        total = run(argparse.Namespace(**{**vars(options), "mutant": name}))
        if total.violations:
            seed, reason = total.violations[0]
            print(f"  found by seed {seed}: {reason}")
        else:
            missed.append(name)
    print(f"{len(MUTANTS) - len(missed)} of {len(MUTANTS)} deliberate mistakes found")
    return missed


def explain(seed: int, reason: str, options: argparse.Namespace, *, shrink: bool) -> None:
    """A violation, and how to see it again."""
    mutant = "" if options.mutant is None else f" --mutant {options.mutant}"
    print(f"\nviolation of {reason}")
    print(f"  replay: python -m tests.simulation.run --schedules 1 --seed {seed} --shrink{mutant}")
    if not shrink:
        return
    if options.mutant is None:
        _shrink(seed, Host)
    else:
        with MUTANTS[options.mutant]() as host:
            _shrink(seed, host)


def _shrink(seed: int, host: type[Host]) -> None:
    if is_attack(seed):
        attack, _ = run_attack(seed)
        print(f"  {attack.set!r}, {len(attack.faulty)} faulty, height {attack.height}")
        print("\n".join(f"  {line}" for line in attack.trace))
        return
    outcome = _network(seed, host)
    shrinker = Shrinker(outcome, host=host)
    best = shrinker.shrink()
    before, after = len(outcome.happened), len(best.happened)
    print(f"  shrunk from {before} faults to {after} in {shrinker.runs} runs: {best.violation}")
    print(f"  {best.schedule.scenario}")
    print("\n".join(f"    {fault}" for fault in best.happened))
    print("\n".join(f"  {line}" for line in best.status.splitlines()))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--schedules", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--kind", choices=("all", "network", "attack"), default="all")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="run a deliberate mistake")
    parser.add_argument(
        "--mutants", action="store_true", help="run every mistake until it is found"
    )
    parser.add_argument("--shrink", action="store_true", help="make failing schedules short")
    options = parser.parse_args()
    if options.schedules < 1 or options.jobs < 1 or options.seed < 0:
        parser.error("--schedules and --jobs are at least 1, --seed at least 0")
    if options.mutants:
        missed = run_mutants(options)
        print(f"not found: {', '.join(missed)}" if missed else "", end="\n" if missed else "")
        return 1 if missed else 0
    total = run(options)
    if options.schedules >= 100:
        covered = ", ".join(f"{name} {n}" for name, n in sorted(total.covered.items()))
        print(f"networks with {covered}")
    for number, (seed, reason) in enumerate(total.violations[:SHOWN]):
        explain(seed, reason, options, shrink=options.shrink and number < SHRUNK)
    if len(total.violations) > SHOWN:
        more = [seed for seed, _ in total.violations[SHOWN:]]
        print(f"\n{len(more)} more violations at seeds {more[:50]}")
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
