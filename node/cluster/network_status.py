"""The status of a network from the reports of its nodes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec

from node.cluster.client.ask import ask_network, rpc_url
from node.cluster.client.client import call
from node.cluster.errors import RequestFailed, RpcUnreachable
from node.cluster.fault_book import FaultBook
from node.cluster.fault_model import fault_row
from node.cluster.layout import NetworkLayout, NodeLayout
from node.cluster.processes.pidfile import running_process
from node.primitives.node_status import BEACON, ChainStatus, NodeStatus

PARALLEL_CALLS = 16
AUDIT_TIMEOUT = 60.0


msgspec.json.Decoder(NodeStatus)  # before there are threads: see node.cluster.client.client


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """One node from outside: its process and its answer, or why there is none."""

    node: NodeLayout
    pid: int | None
    status: NodeStatus | None
    problem: str | None = None

    @property
    def state(self) -> str:
        """`up` (or `syncing`, `jailed`); `no answer`: a process that does not answer; `down`: neither."""
        if self.status is not None:
            if self.status.syncing:
                return "syncing"
            return "jailed" if self.status.jailed else "up"
        return "down" if self.pid is None else "no answer"


def ask_node(node: NodeLayout, *, timeout: float = 3.0) -> NodeStatus:
    """`atoll_status` of a node. Raises RequestFailed."""
    answer = call(rpc_url(node), "atoll_status", timeout=timeout)
    try:
        return msgspec.convert(answer, NodeStatus)
    except msgspec.ValidationError as error:
        raise RpcUnreachable(
            f"{rpc_url(node)} answers atoll_status with something else: {error}"
        ) from None


def report_node(node: NodeLayout, *, timeout: float = 3.0) -> NodeReport:
    """Ask one node; never raises for a node that does not answer."""
    process = running_process(node.files.pid)
    pid = None if process is None else process.pid
    try:
        status = ask_node(node, timeout=timeout)
    except RequestFailed as error:
        problem = None if pid is None and isinstance(error, RpcUnreachable) else str(error)
        return NodeReport(node=node, pid=pid, status=None, problem=problem)
    if status.name != node.name:
        problem = f"{rpc_url(node)} is the node {status.name!r} of another network"
        return NodeReport(node=node, pid=pid, status=None, problem=problem)
    return NodeReport(node=node, pid=pid, status=status)


def report_nodes(nodes: Sequence[NodeLayout], *, timeout: float = 3.0) -> list[NodeReport]:
    """Ask all nodes at the same time; in the order of `nodes`."""
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        return list(pool.map(lambda node: report_node(node, timeout=timeout), nodes))


def network_status(layout: NetworkLayout, *, timeout: float = 3.0) -> dict[str, Any]:
    """The document of `atoll status --json`.

    {"chainId", "devMethods", "running", "beacon": CHAIN,
     "shards": [{"id", **CHAIN, "frozen", "pool", "nodesUp", "nodes"}],
     "lanes": [{"src", "dst", "sent", "delivered"}],
     "nodes": [{"name", "shard", "state", "pid", "rpc", "beacon", "height", "lag", "peers",
                "peersExpected", "problem"}],
     "faults": [{"name", "what", "fault"}]}
    with CHAIN = {"height", "hash", "round"} of the most advanced node, or nulls. `lag` is in blocks of
    the node's shard, behind the most advanced node that answers. `faults`: those that `atoll fault`
    has caused and not healed.
    """
    reports = report_nodes(layout.nodes, timeout=timeout)
    heads = {
        shard: _most_advanced((r for r in reports if r.node.shard == shard), f"{shard}")
        for shard in layout.genesis.shard_ids()
    }
    beacon = _most_advanced(reports, BEACON)
    return {
        "chainId": layout.genesis.chain_id,
        "devMethods": layout.genesis.params.dev_methods,
        "running": any(report.status is not None for report in reports),
        "beacon": _chain(beacon.chains.beacon if beacon else None),
        "shards": [
            {
                "id": shard,
                **_chain(head.chains.shard if head else None),
                "frozen": any(
                    r.status.frozen for r in reports if r.node.shard == shard and r.status
                ),
                "pool": {
                    "pending": head.pool.pending if head else None,
                    "queued": head.pool.queued if head else None,
                },
                "nodesUp": sum(r.status is not None for r in reports if r.node.shard == shard),
                "nodes": len(layout.of_shard(shard)),
            }
            for shard, head in heads.items()
        ],
        "lanes": _lanes(reports),
        "nodes": [_node_row(report, heads[report.node.shard]) for report in reports],
        "faults": [fault_row(item) for item in FaultBook(layout).read()],
    }


def audit_network(layout: NetworkLayout, block: int | None) -> dict[str, Any]:
    """`atoll_audit` at a network block (None: the latest), from the first node that answers.

    Raises RpcRefused for a block that is not there, RpcUnreachable if no node answers.
    """
    wanted = "latest" if block is None else hex(block)
    answer = ask_network(layout, "atoll_audit", wanted, timeout=AUDIT_TIMEOUT)
    if not isinstance(answer, dict):
        raise RpcUnreachable(f"{layout.directory}: atoll_audit is answered with something else")
    return answer


def audits(
    layout: NetworkLayout, first: int | None, *, wait: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """`atoll_audit` of every network block from `first` (None: the latest) on, without an end. `wait` is
    called while there is no next one. Raises as `audit_network` does."""
    number = first
    if number is None:
        number = int(ask_network(layout, "eth_blockNumber"), 16)
    while True:
        while int(ask_network(layout, "eth_blockNumber"), 16) < number:
            wait()
        yield audit_network(layout, number)
        number += 1


def _most_advanced(reports: Iterable[NodeReport], chain: str) -> NodeStatus | None:
    answers = [report.status for report in reports if report.status is not None]
    return max(answers, key=lambda status: status.height(chain), default=None)


def _chain(head: ChainStatus | None) -> dict[str, int | str | None]:
    return {
        "height": head.height if head else None,
        "hash": head.hash if head else None,
        "round": head.round if head else None,
    }


def _lanes(reports: Sequence[NodeReport]) -> list[dict[str, int]]:
    """Every lane as its best informed node has it: the counts never fall."""
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for report in reports:
        for lane in report.status.lanes if report.status else ():
            sent, delivered = best.get((lane.src, lane.dst), (0, 0))
            best[lane.src, lane.dst] = (max(sent, lane.sent), max(delivered, lane.delivered))
    return [
        {"src": src, "dst": dst, "sent": sent, "delivered": delivered}
        for (src, dst), (sent, delivered) in sorted(best.items())
    ]


def _node_row(report: NodeReport, head: NodeStatus | None) -> dict[str, Any]:
    status = report.status
    height = status.chains.shard.height if status else None
    return {
        "name": report.node.name,
        "shard": report.node.shard,
        "state": report.state,
        "pid": report.pid,
        "rpc": rpc_url(report.node),
        "beacon": status.chains.beacon.height if status else None,
        "height": height,
        "lag": head.chains.shard.height - height if head and height is not None else None,
        "peers": status.peers if status else None,
        "peersExpected": status.peers_expected if status else None,
        "problem": report.problem,
    }
