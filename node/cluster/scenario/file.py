"""Scenarios: a network, loads, faults at their times, and what is expected of it, in one TOML file.

    title = "a minority is cut off"
    seed = 7                          # of keys, loads and what is lost on links
    invariants_every = 5.0            # seconds; they are checked at the end in any case

    [network]
    shards = 2
    validators = 4                    # of each shard, or a list
    [network.params]
    heartbeat = 0.5

    [[load]]
    kind = "transfers"                # or "token": calls of a contract on every shard
    rate = 20.0                       # a second
    count = 400                       # at most
    cross = 0.5                       # the share that goes to another shard

    [[step]]                          # one after the other
    at = 2.0                          # not before so many seconds after the start
    name = "split"
    for = 10.0                        # healed so many seconds later
    fault = { kind = "partition", groups = [["s0v3"]], cut = true }

    [[step]]
    when = { is = "blocks", chain = "s0", more = 5 }
    heal = ["split"]

    [[expect]]                        # at the end, when all that can be is healed
    is = "receipts"
    within = 60.0

A step waits for `at` (seconds since the start), `after` (seconds since the step before) and `when` (a
condition, `within` so many seconds), in this order. Then it does one thing, or nothing: `fault`, `heal` (names
of steps, or "all"), `restart` (nodes), `start` (nodes; with `says`, they must fail to start with this text).
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from node.cluster.fault_model import Fault, Freeze, check_names
from node.cluster.manifest import Count, Manifest, RpcSection
from node.config.toml import load_toml
from node.primitives.errors import UserError
from node.primitives.genesis import MAX_SHARDS

LONGEST = 3600.0
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]
Invariant: TypeAlias = Literal["audit", "blocks", "network", "lanes", "once"]
ALL_INVARIANTS: tuple[Invariant, ...] = ("audit", "blocks", "network", "lanes", "once")
BEACON = "beacon"


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class NetworkTable(_Table, frozen=True, kw_only=True):
    """As in the manifest of a network."""

    shards: Annotated[int, msgspec.Meta(ge=1, le=MAX_SHARDS)] = 2
    validators: Count | tuple[Count, ...] = 4
    beacon_size: Count = 4
    params: dict[str, float | int | bool] = {}


class Load(_Table, frozen=True, kw_only=True):
    """Transactions that are sent while the steps run."""

    kind: Literal["transfers", "token"] = "transfers"
    rate: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 10.0
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100
    cross: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


ConditionKind: TypeAlias = Literal[
    "blocks", "stands", "level", "state", "quiet", "receipts", "frozen", "jailed"
]
_NEEDS: dict[str, tuple[str, ...]] = {
    "blocks": ("chain", "more"),
    "stands": ("chain", "seconds"),
    "level": ("nodes",),
    "state": ("nodes", "state"),
    "quiet": (),
    "receipts": (),
    "frozen": ("shard",),
    "jailed": ("nodes",),
}


class ScenarioCondition(_Table, frozen=True, kw_only=True):
    """A condition to wait for, at most `within` seconds; `is` names it and decides which other keys it takes:

    blocks: `chain` (beacon, or s0, s1, ...) has `more` blocks than when the wait began; stands: it has made
    none for `seconds`; level: `nodes` have what the most advanced node has now; state: `nodes` are down, up,
    jailed, syncing, or give "no answer"; quiet: pools and lanes are empty; receipts: every transaction of the
    loads that was not refused has one; frozen: `shard` is; jailed: `nodes` are.
    """

    is_: ConditionKind = msgspec.field(name="is")
    chain: str | None = None
    more: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seconds: Seconds | None = None
    nodes: tuple[str, ...] | None = None
    state: Literal["up", "down", "no answer", "jailed", "syncing"] | None = None
    shard: Annotated[int, msgspec.Meta(ge=0)] | None = None
    within: Seconds = 60.0

    def check(self, where: str, manifest: Manifest) -> None:
        """Raise UserError if a key is missing, has no use here, or names what the network lacks."""
        needs = _NEEDS[self.is_]
        for key in ("chain", "more", "seconds", "nodes", "state", "shard"):
            given = getattr(self, key) is not None
            if given != (key in needs):
                what = "is not looked at" if given else "is missing"
                raise UserError(f"{where}: is = {self.is_!r} takes {_all(needs)}; {key!r} {what}")
        chains = {BEACON, *(f"s{shard}" for shard in range(manifest.shards))}
        if self.chain is not None and self.chain not in chains:
            raise UserError(f"{where}.chain: {self.chain!r} is none of {_all(sorted(chains))}")
        if self.shard is not None and self.shard >= manifest.shards:
            raise UserError(f"{where}.shard: there are shards 0 to {manifest.shards - 1}")
        check_names(manifest, self.nodes or (), f"{where}.nodes")

    @property
    def words(self) -> str:
        """Such as "blocks chain s0 more 3"."""
        parts: list[str] = [self.is_]
        for key in _NEEDS[self.is_]:
            value = getattr(self, key)
            parts += [key, ", ".join(value) if isinstance(value, tuple) else f"{value}"]
        return " ".join(parts)


class ScenarioStep(_Table, frozen=True, kw_only=True):
    """One action, taken when its time has come."""

    name: str | None = None
    at: Seconds | None = None
    after: Seconds | None = None
    when: ScenarioCondition | None = None
    fault: Fault | None = None
    lasts: Seconds | None = msgspec.field(name="for", default=None)
    heal: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    says: str | None = None


class Scenario(_Table, frozen=True, kw_only=True):
    """The whole file."""

    title: str = ""
    seed: int = 1
    network: NetworkTable = NetworkTable()
    load: tuple[Load, ...] = ()
    step: tuple[ScenarioStep, ...] = ()
    expect: tuple[ScenarioCondition, ...] = ()
    invariants: tuple[Invariant, ...] = ALL_INVARIANTS
    invariants_every: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)] | None = None

    def manifest(self) -> Manifest:
        """Of the network, with free ports and keys that follow from the seed. Raises UserError."""
        return Manifest(
            shards=self.network.shards,
            validators=self.network.validators,
            beacon_size=self.network.beacon_size,
            params={"dev_methods": True, **self.network.params},
            seed=f"scenario {self.seed}",
            rpc=RpcSection(port=0),
        ).check()

    def check(self) -> "Scenario":
        """Raise UserError, naming the key, for what the types do not catch."""
        manifest = self.manifest()
        named: set[str] = set()
        for index, step in enumerate(self.step):
            where = f"step[{index}]"
            self._check_step(where, step, manifest, named)
            if step.name is not None:
                named.add(step.name)
        for index, condition in enumerate(self.expect):
            condition.check(f"expect[{index}]", manifest)
        if any(c.is_ == "receipts" for c in self.expect) and not self.load:
            raise UserError("expect: there are no receipts without a load")
        return self

    def _check_step(
        self, where: str, step: ScenarioStep, manifest: Manifest, named: set[str]
    ) -> None:
        actions = [key for key in ("fault", "heal", "restart", "start") if getattr(step, key)]
        if len(actions) > 1:
            raise UserError(f"{where}: {_all(actions)} in one step; make it several")
        if not actions and step.when is None and step.at is None and step.after is None:
            raise UserError(f"{where}: the step has no condition and no action")
        if step.when is not None:
            step.when.check(f"{where}.when", manifest)
        if step.fault is not None:
            check_names(manifest, _names_in(step.fault), f"{where}.fault")
            _check_shards(step.fault, manifest, f"{where}.fault")
        if step.lasts is not None and (step.fault is None or isinstance(step.fault, Freeze)):
            raise UserError(f"{where}.for: there is no fault here that could be healed")
        if step.says is not None and not step.start:
            raise UserError(f"{where}.says: only a step with start waits for a line of the log")
        if step.name is not None and step.name in named:
            raise UserError(f"{where}.name: {step.name!r} is another step already")
        for name in step.heal:
            if name != "all" and name not in named:
                raise UserError(f"{where}.heal: no step before it has the name {name!r}")
        for key in ("restart", "start"):
            check_names(manifest, getattr(step, key), f"{where}.{key}")


def _names_in(fault: Fault) -> list[str]:
    found: list[str] = []
    for value in msgspec.to_builtins(fault).values():
        for item in value if isinstance(value, list | tuple) else ():
            found += item if isinstance(item, list | tuple) else [item]
    return found


def _check_shards(fault: Fault, manifest: Manifest, where: str) -> None:
    document: dict[str, Any] = msgspec.to_builtins(fault)
    for key in ("shard", "src", "dst"):
        shard = document.get(key)
        if isinstance(shard, int) and shard >= manifest.shards:
            raise UserError(f"{where}.{key}: there are shards 0 to {manifest.shards - 1}")


def _all(words: Any) -> str:
    return ", ".join(words) or "nothing"


def load_scenario(path: Path) -> Scenario:
    """Read and check `path`. Raises UserError with the file and the key."""
    scenario = load_toml(path, Scenario, what="a scenario")
    try:
        return scenario.check()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
