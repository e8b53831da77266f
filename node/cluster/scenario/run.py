"""Running a scenario: its network, its loads, its steps, and its expectations at the end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.cluster.client.ask import rpc_url
from node.cluster.errors import NetworkFailed, RequestFailed
from node.cluster.fault_model import Freeze, describe, names_of
from node.cluster.faults.injection import CausedFault, Faults
from node.cluster.launch import Launch
from node.cluster.layout import NetworkLayout
from node.cluster.make import make_network
from node.cluster.processes.processes import RunNode
from node.cluster.processes.signals import StopSignals
from node.cluster.scenario.file import Invariant, Scenario, ScenarioCondition, ScenarioStep
from node.cluster.scenario.invariants import Invariants
from node.cluster.scenario.load import LoadRun
from node.cluster.scenario.watch import ConditionWatch
from node.primitives.errors import AtollError, UserError

TICK_SECONDS = 0.2
QUIET_SECONDS = 180.0
LOAD_SECONDS = 180.0

Say = Callable[[str], None]


class ScenarioFailed(AtollError):
    """Something expected did not come; the text names the step or expectation, and the actual state."""


class ScenarioInterrupted(AtollError):
    """The user did not want to wait for the end."""


@dataclass(slots=True, kw_only=True)
class Report:
    """The result of a run, ready for JSON by `document`."""

    title: str
    seed: int
    directory: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    expected: list[dict[str, Any]] = field(default_factory=list)
    invariants: dict[str, int] = field(default_factory=dict)
    load: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str | None = None

    def document(self) -> dict[str, Any]:
        """{"title", "seed", "ok", "seconds", "directory", "failure", "steps": [{"step", "at", "did"}],
        "expected": [{"what", "seconds"}], "invariants": {name: how many things were compared}, "load"}"""
        return {
            "title": self.title,
            "seed": self.seed,
            "ok": self.failure is None,
            "seconds": round(self.seconds, 2),
            "directory": self.directory,
            "failure": self.failure,
            "steps": self.steps,
            "expected": self.expected,
            "invariants": self.invariants,
            "load": self.load,
        }


def run_scenario(
    scenario: Scenario, directory: Path, *, say: Say, run: RunNode | None, signals: StopSignals
) -> Report:
    """Make the network in `directory`, run, stop it. The report says whether all went as expected.

    Raises UserError where the network cannot be made, ScenarioInterrupted at a signal; the nodes are stopped
    in any case, and their files stay.
    """
    layout = make_network(scenario.manifest(), directory)
    report = Report(title=scenario.title, seed=scenario.seed, directory=str(layout.directory))
    launch = Launch(layout, run, say, stays=True)
    try:
        if launch.up(signals) is None:
            raise ScenarioInterrupted("stopped before the network was up")
        say(f"{len(layout.nodes)} nodes are up in {layout.directory}")
        runner = ScenarioRunner(scenario, layout, report, say=say, signals=signals)
        try:
            runner.run()
        except ScenarioInterrupted:
            raise
        except AtollError as error:
            report.failure = str(error)
        finally:
            runner.load.stop()
            report.load = runner.load.document()
            report.seconds = runner.elapsed
    finally:
        launch.stop(signals)
    return report


class ScenarioRunner:
    """One run of a scenario on a network that is up; the caller stops the network."""

    def __init__(
        self,
        scenario: Scenario,
        layout: NetworkLayout,
        report: Report,
        *,
        say: Say,
        signals: StopSignals,
    ) -> None:
        self._scenario = scenario
        self._layout = layout
        self._report = report
        self._say = say
        self._signals = signals
        self._faults = Faults(layout.directory, seed=scenario.seed)
        self._caused: dict[str, CausedFault] = {}
        self._to_heal: list[tuple[float, str, CausedFault]] = []
        self._invariants = Invariants(self._endpoints)
        self._frozen: set[int] = set()
        self._began = time.monotonic()
        self._step_done = 0.0
        self._checked_at = 0.0
        self.load = LoadRun(layout, scenario.load, seed=scenario.seed)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def run(self) -> None:
        """Raises ScenarioFailed, InvariantBroken, NetworkFailed, RequestFailed; ScenarioInterrupted."""
        if self._scenario.load:
            self.load.begin()
        self._began = time.monotonic()
        for index, step in enumerate(self._scenario.step):
            self._take(index, step)
        while self._to_heal:
            self._tick()
        for item in self._faults.heal():
            self._say(f"{self.elapsed:6.1f} s  {item.name} healed")
        self._finish_load()
        for condition in self._scenario.expect:
            began = self.elapsed
            self._wait(condition, f"expected: {condition.words}")
            self._report.expected.append(
                {"what": condition.words, "seconds": round(self.elapsed - began, 2)}
            )
            self._say(f"{self.elapsed:6.1f} s  {condition.words}, as expected")
        self.load.stop()
        self._check_at_the_end()

    # ------------------------------------------------------------------ steps

    def _take(self, index: int, step: ScenarioStep) -> None:
        name = step.name or f"step[{index}]"
        if step.at is not None:
            self._sleep_until(step.at)
        if step.after is not None:
            self._sleep_until(self._step_done + step.after)
        if step.when is not None:
            self._wait(step.when, name)
        try:
            did = self._do(name, step)
        except UserError as error:
            raise ScenarioFailed(f"{name}: {error}") from None
        self._step_done = self.elapsed
        self._report.steps.append({"step": name, "at": round(self._step_done, 2), "did": did})
        self._say(f"{self._step_done:6.1f} s  {name}: {did}")

    def _do(self, name: str, step: ScenarioStep) -> str:
        if step.fault is not None:
            caused = self._caused[name] = self._faults.cause(step.fault)
            if isinstance(step.fault, Freeze):
                self._frozen.add(step.fault.shard)
            if step.lasts is not None:
                self._to_heal.append((self.elapsed + step.lasts, name, caused))
            return describe(step.fault)
        if step.heal:
            if "all" in step.heal:
                healed = [item.name for item in self._faults.heal()]
                self._to_heal.clear()
                return f"healed {', '.join(healed) or 'nothing'}"
            for other in step.heal:
                self._caused[other].heal()
            return f"healed {', '.join(step.heal)}"
        if step.restart:
            self._faults.restart(*step.restart)
            return f"{', '.join(step.restart)} started again"
        if step.start:
            return self._start(name, step)
        return "" if step.when is None else step.when.words

    def _start(self, name: str, step: ScenarioStep) -> str:
        nodes = names_of(self._layout, step.start)
        if step.says is None:
            self._faults.nodes.start(nodes)
            return f"{', '.join(nodes)} started"
        for node in nodes:
            try:
                self._faults.nodes.start([node])
            except NetworkFailed as error:
                if step.says in str(error):
                    continue
                raise ScenarioFailed(
                    f"{name}: {node} does not say {step.says!r}: {error}"
                ) from None
            raise ScenarioFailed(f"{name}: {node} has started; it was to say {step.says!r}")
        return f"{', '.join(nodes)} does not start: {step.says!r}"

    # ------------------------------------------------------------------ time

    def _sleep_until(self, moment: float) -> None:
        while self.elapsed < moment:
            self._tick(moment - self.elapsed)

    def _tick(self, seconds: float = TICK_SECONDS) -> None:
        """Let a moment pass; heal faults that are due, and check invariants."""
        self._signals.wait(min(seconds, TICK_SECONDS))
        if self._signals.count:
            raise ScenarioInterrupted(f"stopped after {self.elapsed:.0f} s")
        if self.load.failure is not None:
            raise ScenarioFailed(f"the load: {self.load.failure}") from self.load.failure
        for due in sorted(self._to_heal, key=lambda item: item[0]):
            if due[0] <= self.elapsed:
                self._to_heal.remove(due)
                due[2].heal()
                self._report.steps.append(
                    {"step": due[1], "at": round(self.elapsed, 2), "did": "healed"}
                )
                self._say(f"{self.elapsed:6.1f} s  {due[1]}: healed")
        every = self._scenario.invariants_every
        if every is not None and self.elapsed - self._checked_at >= every:
            self._check_meanwhile()
            self._checked_at = self.elapsed

    def _wait(self, condition: ScenarioCondition, what: str) -> None:
        watch = ConditionWatch(condition, self._layout, self._faults, self.load)
        deadline = self.elapsed + condition.within
        while (missing := watch.missing()) is not None:
            if self.elapsed > deadline:
                raise ScenarioFailed(f"{what}: after {condition.within:g} s {missing}")
            self._tick()

    def _finish_load(self) -> None:
        """Everything that is to be sent is, before anything is expected of it."""
        deadline = (
            self.elapsed
            + LOAD_SECONDS
            + sum(load.count / load.rate for load in self._scenario.load)
        )
        while not self.load.all_drawn:
            if self.elapsed > deadline:
                raise ScenarioFailed(f"the load was not sent: {self.load.document()}")
            self._tick()

    # ------------------------------------------------------------------ invariants

    def _endpoints(self) -> dict[int, list[str]]:
        """Of those that can answer."""
        return {
            shard: nodes
            for shard in self._layout.genesis.shard_ids()
            if (
                nodes := [
                    rpc_url(node)
                    for node in self._layout.of_shard(shard)
                    if self._faults.nodes.is_running(node.name)
                    and not self._faults.nodes.is_held(node.name)
                ]
            )
        }

    def _check_meanwhile(self) -> None:
        """Check the invariants that hold at every moment. Nodes come and go, so a node that does not answer is
        no failure.
        """
        checks: dict[Invariant, Callable[[], int]] = {
            "blocks": self._invariants.check_blocks,
            "audit": self._invariants.check_audit,
        }
        for name, check in checks.items():
            if name in self._scenario.invariants:
                try:
                    self._count(name, check())
                except RequestFailed:
                    continue

    def _check_at_the_end(self) -> None:
        """From the genesis on. On a frozen shard nothing drains any more."""
        wanted: Sequence[Invariant] = self._scenario.invariants
        self._invariants.start_over()
        self._report.invariants.clear()
        if not self._frozen:
            self._invariants.wait_until_quiet(QUIET_SECONDS)
        checks: dict[Invariant, Callable[[], int]] = {
            "blocks": self._invariants.check_blocks,
            "network": self._invariants.check_network_blocks,
            "audit": self._invariants.check_audit,
        }
        if not self._frozen:
            checks["lanes"] = self._invariants.check_lanes
            checks["once"] = self.load.check_once
        for name, check in checks.items():
            if name in wanted:
                self._count(name, check())
        counts = ", ".join(f"{name} {count}" for name, count in self._report.invariants.items())
        self._say(f"{self.elapsed:6.1f} s  invariants hold: {counts}")

    def _count(self, name: str, checked: int) -> None:
        self._report.invariants[name] = self._report.invariants.get(name, 0) + checked
