"""Conditions of a scenario, looked at again and again."""

import time

from node.cluster.client.ask import ask_network, rpc_url
from node.cluster.errors import NetworkFailed, RequestFailed
from node.cluster.fault_model import names_of
from node.cluster.faults.fork_evidence import is_frozen
from node.cluster.faults.injection import Faults
from node.cluster.layout import NetworkLayout
from node.cluster.network_status import NodeReport, report_nodes
from node.cluster.scenario.file import BEACON, ScenarioCondition
from node.cluster.scenario.invariants import Invariants
from node.cluster.scenario.load import LoadRun

ASK_TIMEOUT = 2.0


class ConditionWatch:
    """One condition, from the moment it was made."""

    def __init__(
        self, condition: ScenarioCondition, layout: NetworkLayout, faults: Faults, load: LoadRun
    ) -> None:
        self._condition = condition
        self._layout = layout
        self._faults = faults
        self._load = load
        self._nodes = set(names_of(layout, condition.nodes or ()))
        self._first: int | None = None
        self._since = time.monotonic()
        self._goals: dict[str, int] | None = None

    def missing(self) -> str | None:
        """The actual state in words; None once the condition holds."""
        try:
            match self._condition.is_:
                case "blocks":
                    return self._blocks()
                case "stands":
                    return self._stands()
                case "level":
                    return self._level()
                case "state":
                    return self._state()
                case "quiet":
                    return self._quiet()
                case "receipts":
                    done = self._load.is_done
                    return None if done else f"the load is at {self._load.document()}"
                case "frozen":
                    shard = self._condition.shard
                    assert shard is not None
                    frozen = is_frozen(self._layout, shard)
                    return None if frozen else f"shard {shard} is not frozen"
                case "jailed":
                    return self._jailed()
        except RequestFailed as error:
            return str(error)

    # ------------------------------------------------------------------ kinds

    def _blocks(self) -> str | None:
        height, more = self._height(), self._condition.more
        assert more is not None
        if height is None:
            return f"no node answers for {self._condition.chain}"
        if self._first is None:
            self._first = height
        if height >= self._first + more:
            return None
        return f"{self._condition.chain} has made {height - self._first} blocks, from {self._first}"

    def _stands(self) -> str | None:
        height, seconds = self._height(), self._condition.seconds
        assert seconds is not None
        if height != self._first:
            self._first, self._since = height, time.monotonic()
        stood = time.monotonic() - self._since
        if stood >= seconds:
            return None
        return f"{self._condition.chain} has made block {height} {stood:.0f} s ago"

    def _level(self) -> str | None:
        reports = self._reports()
        if self._goals is None:
            heights = [r.status for r in reports if r.status is not None]
            self._goals = {
                _chain(shard): max((s.height("") for s in heights if s.shard == shard), default=0)
                for shard in self._layout.genesis.shard_ids()
            }
            self._goals[BEACON] = max((s.height(BEACON) for s in heights), default=0)
        behind = []
        for report in reports:
            if report.node.name not in self._nodes:
                continue
            status, chain = report.status, _chain(report.node.shard)
            if status is None:
                behind.append(f"{report.node.name} does not answer")
            elif status.height(chain) < self._goals[chain]:
                behind.append(
                    f"{report.node.name} is at {status.height(chain)} of {self._goals[chain]}"
                )
            elif status.height(BEACON) < self._goals[BEACON]:
                behind.append(f"{report.node.name} is behind on the beacon")
        return ", ".join(behind) or None

    def _state(self) -> str | None:
        states = {r.node.name: r.state for r in self._reports() if r.node.name in self._nodes}
        wrong = [f"{name} is {s}" for name, s in states.items() if s != self._condition.state]
        return ", ".join(wrong) or None

    def _jailed(self) -> str | None:
        rows = ask_network(self._layout, "atoll_validators")
        free = [r["name"] for r in rows if r["name"] in self._nodes and r["jailedAt"] is None]
        return f"{', '.join(free)} is not jailed" if free else None

    def _quiet(self) -> str | None:
        endpoints = {0: [rpc_url(node) for node in self._layout.nodes]}
        try:
            Invariants(lambda: endpoints).wait_until_quiet(0.0)
        except NetworkFailed as error:
            return str(error)
        return None

    # ------------------------------------------------------------------ what nodes say

    def _reports(self) -> list[NodeReport]:
        return report_nodes(self._layout.nodes, timeout=ASK_TIMEOUT)

    def _height(self) -> int | None:
        """Of the chain, by its most advanced node."""
        chain = self._condition.chain
        assert chain is not None
        heights = [
            r.status.height(chain)
            for r in self._reports()
            if r.status is not None and chain in (BEACON, _chain(r.node.shard))
        ]
        return max(heights, default=None)


def _chain(shard: int) -> str:
    return f"s{shard}"
