"""The conditions that a test can wait for (`node.testing.until`): `net.wait_for(until.receipt(tx))`.

A condition looks at the network and gives its result, or the reason why it is not true yet. Wait for each
condition only once: some remember what they saw at the first look.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from node.cluster.client.reason import why_it_failed
from node.cluster.errors import RequestFailed, RpcRefused
from node.cluster.network_status import report_node, report_nodes
from node.cluster.readiness import Readiness
from node.testing.errors import TransactionFailed
from node.testing.members import ASK_SECONDS, Node, Shard

LOOK_SECONDS = 3.0
"""Seconds that one look waits for a node that does not answer."""
MAX_LOG_BYTES = 64 << 20
NOT_FOUND = -32001

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Pending:
    """The condition is not true yet, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Condition(Generic[T_co]):
    """`look` is given the `Network`, and gives the result, which may be anything, or Pending. `what` completes
    "waited 60 s for ..."."""

    what: str
    look: Callable[[Any], T_co | Pending]


class Seen(Protocol):
    """The parts of a `Network` that the conditions here look at."""

    @property
    def nodes(self) -> tuple[Node, ...]: ...

    def node(self, name: str) -> Node: ...

    def shard(self, number: int) -> Shard: ...

    def request(self, method: str, *params: object, timeout: float = ASK_SECONDS) -> Any: ...


# ---------------------------------------------------------------------- blocks


def height(number: int, *, shard: int | None = None) -> Condition[int]:
    """The network, or a shard, has a block of that number. Gives the number of the newest."""

    def look(net: Seen) -> int | Pending:
        head = _head(net, shard)
        return head if head >= number else Pending(f"the newest is {head}")

    return Condition(f"block {number} of {_chain(shard)}", look)


def blocks(count: int = 1, *, shard: int | None = None) -> Condition[int]:
    """So many more blocks than there were at the first look. Gives the number of the newest."""
    first: list[int] = []

    def look(net: Seen) -> int | Pending:
        head = _head(net, shard)
        first[:] = first or [head]
        made = head - first[0]
        return head if made >= count else Pending(f"there were {made}, up to {head}")

    return Condition(f"{count} more blocks of {_chain(shard)}", look)


def shard_stalled(shard: int, *, seconds: float = 3.0) -> Condition[int]:
    """The shard has made no block for so long. Gives its height."""
    seen: list[tuple[int, float]] = []

    def look(net: Seen) -> int | Pending:
        now = time.monotonic()
        head = _shard_head(net, shard)
        if not seen or head > seen[0][0]:
            seen[:] = [(head, now)]
        still = now - seen[0][1]
        return seen[0][0] if still >= seconds else Pending(f"block {head} came {still:.1f} s ago")

    return Condition(f"shard {shard} to make no block for {seconds:g} s", look)


# ---------------------------------------------------------------------- transactions and messages


def receipt(tx: str | bytes, *, success: bool = True) -> Condition[dict[str, Any]]:
    """The transaction has run. Gives its receipt (JSON). A receipt of status 0 raises TransactionFailed at
    once, unless `success` is False, when either is taken."""
    name = _hex(tx)

    def look(net: Seen) -> dict[str, Any] | Pending:
        found = net.request("eth_getTransactionReceipt", name, timeout=LOOK_SECONDS)
        if found is None:
            return Pending("there is no receipt")
        if success and int(found["status"], 16) != 1:
            why = why_it_failed(net.request, name)
            raise TransactionFailed(f"the transaction {name} failed: {why}\n{found}")
        return dict(found)

    return Condition(f"the receipt of {name}", look)


def settled(tx: str | bytes) -> Condition[dict[str, Any]]:
    """All that a transaction caused, on all shards, has happened and is final. Gives `atoll_trace`."""
    name = _hex(tx)

    def look(net: Seen) -> dict[str, Any] | Pending:
        trace = _found(net, "atoll_trace", name)
        if trace is None:
            return Pending("no shard knows it")
        if not trace["complete"]:
            return Pending(f"{trace['underWay']} of {trace['messages']} messages are under way")
        unseen = _without_network_block(trace["root"])
        return Pending(f"{unseen} parts are in no network block") if unseen else trace

    return Condition(f"all that {name} causes", look)


def delivered(message: str | bytes) -> Condition[dict[str, Any]]:
    """A message between shards has run at its destination. Gives `atoll_message`."""
    name = _hex(message)

    def look(net: Seen) -> dict[str, Any] | Pending:
        found = _found(net, "atoll_message", name)
        if found is None:
            return Pending("no shard knows it")
        status = found["legs"][-1]["status"]
        return found if status == "delivered" else Pending(f"it is {status}")

    return Condition(f"the delivery of the message {name}", look)


def lanes_empty(*, src: int | None = None, dst: int | None = None) -> Condition[None]:
    """No message is under way, from shard `src`, to shard `dst`, or at all. For once: others may follow."""

    def look(net: Seen) -> Pending | None:
        for shard in (src, dst):
            if shard is not None:
                net.shard(shard)  # there is one
        lanes = net.request("atoll_lanes", timeout=LOOK_SECONDS)
        waiting = {
            (lane["src"], lane["dst"]): lane["waiting"]["count"]
            for lane in lanes
            if src in (None, lane["src"]) and dst in (None, lane["dst"])
        }
        busy = [f"{count} from {a} to {b}" for (a, b), count in waiting.items() if count]
        return Pending(", ".join(busy)) if busy else None

    return Condition("lanes to be empty", look)


def balance(address: str, at_least: int) -> Condition[int]:
    """An account has so many wei. Gives how many it has."""

    def look(net: Seen) -> int | Pending:
        wei = int(net.request("eth_getBalance", address, "latest", timeout=LOOK_SECONDS), 16)
        return wei if wei >= at_least else Pending(f"it has {wei}")

    return Condition(f"{address} to have {at_least} wei", look)


# ---------------------------------------------------------------------- nodes


def ready() -> Condition[None]:
    """Every node answers, and every chain goes beyond the blocks that its nodes had when they first answered:
    the rule by which `atoll up` takes a network as up."""
    seen: list[Readiness] = []

    def look(net: Seen) -> Pending | None:
        nodes = [node.layout for node in net.nodes]
        seen[:] = seen or [Readiness(dict.fromkeys(node.shard for node in nodes), new=False)]
        seen[0].observe(report_nodes(nodes, timeout=LOOK_SECONDS))
        missing = seen[0].missing()
        return Pending("; ".join(missing)) if missing else None

    return Condition("the network to be up", look)


def shown_everywhere(block: int) -> Condition[None]:
    """Every node shows the network block of that number, as one in which a receipt was seen."""

    def look(net: Seen) -> Pending | None:
        heads = {
            node.name: int(node.request("eth_blockNumber", timeout=LOOK_SECONDS), 16)
            for node in net.nodes
        }
        behind = [f"{name} is at {head}" for name, head in heads.items() if head < block]
        return Pending(", ".join(behind)) if behind else None

    return Condition(f"network block {block} at every node", look)


def node_up(*names: str) -> Condition[None]:
    """These nodes (without names: all) answer and are not behind."""

    def look(net: Seen) -> Pending | None:
        nodes = [net.node(name) for name in names] or net.nodes
        reports = [report_node(node.layout, timeout=LOOK_SECONDS) for node in nodes]
        away = [f"{r.node.name}: {r.problem or r.state}" for r in reports if r.state != "up"]
        return Pending("; ".join(away)) if away else None

    return Condition(f"{', '.join(names) or 'all nodes'} to be up", look)


def node_down(name: str, *others: str) -> Condition[None]:
    """These nodes have no process."""
    names = (name, *others)

    def look(net: Seen) -> Pending | None:
        running = [name for name in names if net.node(name).is_running]
        return Pending(f"running: {', '.join(running)}") if running else None

    return Condition(f"{', '.join(names)} to be down", look)


def log_line(node: str, pattern: str, *, since: int = 0) -> Condition[re.Match[str]]:
    """A line of a node's log in which the regular expression is found. Gives the match.

    `since` is an offset in bytes (`net.node(name).log.stat().st_size`) before which nothing is looked at.
    """
    expression = re.compile(pattern)

    def look(net: Seen) -> re.Match[str] | Pending:
        log = net.node(node).log
        if not log.exists():
            return Pending("there is no log")
        with log.open("rb") as file:
            file.seek(since)
            for line in file.read(MAX_LOG_BYTES).decode(errors="replace").splitlines():
                if match := expression.search(line):
                    return match
        return Pending(f"no line of {log} has it")

    return Condition(f"{pattern!r} in the log of {node}", look)


# ---------------------------------------------------------------------- how they look


def _head(net: Seen, shard: int | None) -> int:
    if shard is None:
        return int(net.request("eth_blockNumber", timeout=LOOK_SECONDS), 16)
    return _shard_head(net, shard)


def _shard_head(net: Seen, shard: int) -> int:
    """The height of a shard, as its nodes say; if none of them answers, as far as the network has it."""
    heights = [_height(node) for node in net.shard(shard).nodes]
    known = [height for height in heights if height is not None]
    return max(known) if known else _crosslinked(net, shard)


def _height(node: Node) -> int | None:
    try:
        return node.status(timeout=LOOK_SECONDS).chains.shard.height
    except RequestFailed:
        return None


def _crosslinked(net: Seen, shard: int) -> int:
    """The height of the shard's tip in the network block. Raises RpcUnreachable if no node answers."""
    tips = net.request("atoll_networkBlock", timeout=LOOK_SECONDS)["shards"]
    return int(next(tip["tip"]["height"] for tip in tips if tip["id"] == shard))


def _found(net: Seen, method: str, name: str) -> dict[str, Any] | None:
    try:
        found = net.request(method, name, timeout=LOOK_SECONDS)
    except RpcRefused as error:
        if error.code == NOT_FOUND:
            return None
        raise
    return None if found is None else dict(found)


def _without_network_block(node: dict[str, Any]) -> int:
    return (node["networkBlock"] is None) + sum(map(_without_network_block, node["children"]))


def _chain(shard: int | None) -> str:
    return "the network" if shard is None else f"shard {shard}"


def _hex(name: str | bytes) -> str:
    return name if isinstance(name, str) else f"0x{bytes(name).hex()}"
