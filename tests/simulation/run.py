"""Simulate many schedules: of consensus alone, and of whole networks of shards and a beacon.

    python -m tests.simulation.run --schedules 100000 --seed 1
    python -m tests.simulation.run --schedules 1 --seed 4711 --shrink     replay one, make it short
    python -m tests.simulation.run --mutant unlock-on-nil --shrink        see a mistake be found
    python -m tests.simulation.run --mutants --schedules 2000             see every mistake be found
    python -m tests.simulation.run --kind devnet --schedules 3000         shards, lanes and beacon

Consensus alone has opaque values; of every four seeds one is an attack without any timing and three are
networks with faults. Kind ``devnet`` is whole networks whose values are real blocks. A seed is the same
schedule everywhere and always. Prints the rate, what was covered, and each violation with the way to
replay it; the exit code is 1 if there was one.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count, islice

from tests.simulation.devnet import mutants as devnet_mutants
from tests.simulation.devnet.node import Node
from tests.simulation.devnet.plan import Plan, draw_plan
from tests.simulation.devnet.run_plan import run_plan
from tests.simulation.simnet.attack import run_attack
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.mutants import MUTANTS
from tests.simulation.simnet.run_schedule import Outcome, run_schedule
from tests.simulation.simnet.scenario import Schedule, draw_schedule
from tests.simulation.simnet.shrink import Shrinker

KINDS = ("all", "network", "attack", "devnet")
BATCH = 40
BATCH_OF_DEVNETS = 4
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
    devnets: int = 0
    events: int = 0
    decided: int = 0
    covered: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another batch in."""
        self.schedules += other.schedules
        self.networks += other.networks
        self.attacks += other.attacks
        self.devnets += other.devnets
        self.events += other.events
        self.decided += other.decided
        self.covered += other.covered
        self.violations += other.violations


@dataclass(frozen=True, slots=True)
class Batch:
    """Seeds to run, and on which engine."""

    seeds: tuple[int, ...]
    mutant: str | None
    devnet: bool


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


def features_of_plan(plan: Plan) -> Iterator[str]:
    """The same for a whole network."""
    scenario = plan.scenario
    yield f"{len(plan.shards)} shards"
    yield f"{len(plan.beacon)} beacon validators"
    for name in ("partitions", "links", "outages", "skew", "loss", "duplication"):
        if getattr(scenario, name):
            yield name
    if scenario.crash_rate:
        yield "crashes"
    if plan.params.dev_methods:
        yield "development methods"
    if plan.corrupt is not None:
        yield "a corrupt committee"
    for lie in plan.lies:
        yield f"a committee that {lie.name.lower().replace('_', ' ')}"
    for behaviour in {b for _, behaviours in scenario.faulty for b in behaviours}:
        yield behaviour.name.lower().replace("_", " ")
    for slyness in {s for row in plan.sly.values() for s in row}:
        yield slyness.name.lower().replace("_", " ")


def run_batch(batch: Batch) -> Tally:
    """Run some seeds, in this process."""
    tally = Tally()
    if batch.devnet:
        with devnet_mutants.MUTANTS[batch.mutant]() if batch.mutant else nullcontext(Node) as node:
            for seed in batch.seeds:
                _run_devnet(seed, node, tally)
    elif batch.mutant is None:
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


def _run_devnet(seed: int, node: type[Node], tally: Tally) -> None:
    outcome = run_plan(draw_plan(seed), node=node)
    tally.schedules += 1
    tally.devnets += 1
    tally.events += outcome.events
    tally.decided += len(outcome.heads)
    tally.covered += outcome.stats
    tally.covered.update(f"with {name}" for name in features_of_plan(outcome.plan))
    if outcome.violation is not None:
        tally.violations.append((seed, str(outcome.violation)))


def _network(seed: int, host: type[Host]) -> Outcome:
    return run_schedule(draw_schedule(seed), host=host)


def batches(options: argparse.Namespace) -> Iterator[Batch]:
    """The seeds of a run, from the first on."""
    both = (True, False)
    wanted = {"attack": (True,), "network": (False,)}.get(options.kind, both)
    fitting = (seed for seed in count(options.seed) if is_attack(seed) in wanted)
    seeds = islice(fitting, options.schedules)
    devnet = options.kind == "devnet"
    while chunk := tuple(islice(seeds, BATCH_OF_DEVNETS if devnet else BATCH)):
        yield Batch(chunk, options.mutant, devnet)


def run(options: argparse.Namespace) -> Tally:
    """Run everything, with a line of progress now and then."""
    total, begin = Tally(), time.monotonic()
    shown = begin
    size = BATCH_OF_DEVNETS if options.kind == "devnet" else BATCH
    jobs = min(options.jobs, -(-options.schedules // size))
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
                    f" attacks, {total.devnets} devnets), {rate:.2g}/s, {total.events} events,"
                    f" {total.decided} decisions,"
                    f" {len(total.violations)} violations",
                    flush=True,
                )
            if enough:
                break
    total.violations.sort()
    return total


def mutants_of(kind: str) -> list[str]:
    """The mistakes that a kind of schedules can find."""
    return sorted(devnet_mutants.MUTANTS if kind == "devnet" else MUTANTS)


def run_mutants(options: argparse.Namespace) -> list[str]:
    """Every deliberate mistake, each until it is found; those that were not."""
    missed = []
    names = mutants_of(options.kind)
    for name in names:
        print(f"{name}:", flush=True)
        total = run(argparse.Namespace(**{**vars(options), "mutant": name}))
        if total.violations:
            seed, reason = total.violations[0]
            print(f"  found by seed {seed}: {reason}")
        else:
            missed.append(name)
    print(f"{len(names) - len(missed)} of {len(names)} deliberate mistakes found")
    return missed


def explain(seed: int, reason: str, options: argparse.Namespace, *, shrink: bool) -> None:
    """A violation, and how to see it again."""
    mutant = "" if options.mutant is None else f" --mutant {options.mutant}"
    print(f"\nviolation of {reason}")
    if options.kind == "devnet":
        mutant += " --kind devnet"
    print(f"  replay: python -m tests.simulation.run --schedules 1 --seed {seed} --shrink{mutant}")
    if not shrink:
        return
    if options.kind == "devnet":
        _tell(seed, options.mutant)
        return
    if options.mutant is None:
        _shrink(seed, Host)
    else:
        with MUTANTS[options.mutant]() as host:
            _shrink(seed, host)


def _tell(seed: int, mutant: str | None) -> None:
    """A whole network is not shrunk, only told: its traffic follows from all that happens."""
    with devnet_mutants.MUTANTS[mutant]() if mutant else nullcontext(Node) as node:
        outcome = run_plan(draw_plan(seed), node=node)
    print(f"  {outcome.plan}\n  {len(outcome.happened)} faults happened; {dict(outcome.stats)}")
    print("\n".join(f"  {line}" for line in outcome.status.splitlines()))


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
    parser.add_argument("--kind", choices=KINDS, default="all", help="default all of consensus")
    parser.add_argument("--mutant", metavar="NAME", help="run a deliberate mistake")
    parser.add_argument(
        "--mutants", action="store_true", help="run every mistake until it is found"
    )
    parser.add_argument("--shrink", action="store_true", help="make failing schedules short")
    options = parser.parse_args()
    if options.schedules < 1 or options.jobs < 1 or options.seed < 0:
        parser.error("--schedules and --jobs are at least 1, --seed at least 0")
    if options.mutant is not None and options.mutant not in mutants_of(options.kind):
        names = ", ".join(mutants_of(options.kind))
        parser.error(f"of kind {options.kind} there are the mistakes {names}")
    if options.mutants:
        missed = run_mutants(options)
        print(f"not found: {', '.join(missed)}" if missed else "", end="\n" if missed else "")
        return 1 if missed else 0
    total = run(options)
    if options.schedules >= 100:
        covered = ", ".join(f"{name} {n}" for name, n in sorted(total.covered.items()))
        print(f"covered: {covered}")
    for number, (seed, reason) in enumerate(total.violations[:SHOWN]):
        explain(seed, reason, options, shrink=options.shrink and number < SHRUNK)
    if len(total.violations) > SHOWN:
        more = [seed for seed, _ in total.violations[SHOWN:]]
        print(f"\n{len(more)} more violations at seeds {more[:50]}")
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
