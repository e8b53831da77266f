"""Making a failing schedule short: first a simpler scenario, then fewer faults in it.

A candidate is kept if it breaks the same rule. Since faults are decided by name (see ``dice.py``)
the rest of a run stays as it was, as far as it can, when some of them are taken away.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tests.simulation.simnet.host import Host
from tests.simulation.simnet.run_schedule import Outcome, run_schedule
from tests.simulation.simnet.scenario import Scenario, Schedule

BUDGET = 3_000_000
"""Events simulated at most, over all runs."""


class Shrinker:
    """Shrinks one failing schedule; ``runs`` and ``events`` count what it took."""

    def __init__(self, outcome: Outcome, *, host: type[Host] = Host, budget: int = BUDGET) -> None:
        assert outcome.violation is not None
        self.best = outcome
        self.runs = 0
        self.events = 0
        self._rule = outcome.violation.rule
        self._host = host
        self._budget = budget

    def shrink(self) -> Outcome:
        """The shortest schedule found that still breaks the rule."""
        while self._simplify():
            pass
        self._remove_faults()
        while self._simplify():
            pass
        return self.best

    def _fails(self, schedule: Schedule) -> bool:
        if self.events >= self._budget:
            return False
        self.runs += 1
        outcome = run_schedule(schedule, host=self._host)
        self.events += outcome.events
        if outcome.violation is None or outcome.violation.rule != self._rule:
            return False
        self.best = outcome
        return True

    def _simplify(self) -> bool:
        """Whether some simpler scenario fails, too."""
        schedule = self.best.schedule
        return any(
            self._fails(replace(schedule, scenario=simpler))
            for simpler in simpler_scenarios(schedule.scenario)
        )

    def _remove_faults(self) -> None:
        """Take away as many faults as possible, in big parts first (Zeller's ddmin)."""
        self._keep(self.best.happened)
        for kind in sorted({fault.split()[0] for fault in self.best.happened}):
            self._keep(f for f in self.best.happened if not f.startswith(f"{kind} "))
        parts = 2
        while self.best.happened and self.events < self._budget:
            happened = self.best.happened
            size = -(-len(happened) // parts)
            starts = range(0, len(happened), size)
            if any(self._keep(happened[:i] + happened[i + size :]) for i in reversed(starts)):
                parts = max(2, parts - 1)
            elif size == 1:
                return
            else:
                parts = min(2 * parts, len(happened))

    def _keep(self, faults: Iterable[str]) -> bool:
        """Whether it fails with no other faults than these."""
        return self._fails(replace(self.best.schedule, only=frozenset(faults)))


def simpler_scenarios(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with one thing less, the greatest simplifications first."""

    def less(**plain: Any) -> Scenario:
        return replace(scenario, **plain)

    for name in ("partitions", "links", "outages", "faulty", "skew"):
        if getattr(scenario, name):
            yield less(**{name: ()})
    for name in ("loss", "duplication", "slow", "crash_rate"):
        if getattr(scenario, name):
            yield less(**{name: 0.0})
    if scenario.followers:
        n = len(scenario.powers)
        yield replace(
            scenario,
            followers=0,
            outages=tuple(o for o in scenario.outages if o.node < n),
            links=tuple(b for b in scenario.links if max(b.sender, b.receiver) < n),
        )
    if scenario.rotate_powers:
        yield less(rotate_powers=False)
    for name in ("partitions", "outages", "links"):
        items = getattr(scenario, name)
        if len(items) > 1:
            for i in range(len(items)):
                yield less(**{name: items[:i] + items[i + 1 :]})
    for i, (node, behaviours) in enumerate(scenario.faulty):
        rest = scenario.faulty[:i] + scenario.faulty[i + 1 :]
        if rest:
            yield replace(scenario, faulty=rest)
        if len(behaviours) > 1:
            for behaviour in sorted(behaviours, key=lambda b: b.name):
                milder = (node, behaviours - {behaviour})
                yield less(faulty=(*scenario.faulty[:i], milder, *scenario.faulty[i + 1 :]))
    if set(scenario.powers) != {1}:
        yield replace(scenario, powers=(1,) * len(scenario.powers))
    if scenario.heights > 1:
        yield replace(scenario, heights=scenario.heights - 1)
    if scenario.heal_at > 0.05:
        yield replace(scenario, heal_at=scenario.heal_at / 2)
