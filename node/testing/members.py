"""The parts of a network as a test sees them: its nodes, its shards, its clock."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.cluster.client.ask import rpc_url
from node.cluster.client.client import call, endpoint
from node.cluster.layout import NodeLayout
from node.cluster.network_status import ask_node
from node.cluster.processes.pidfile import running_process
from node.cluster.processes.processes import last_lines
from node.primitives.node_status import NodeStatus

ASK_SECONDS = 30.0

Request = Callable[..., Any]
"""(method, *params) to a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: a process of its own. It serves the whole network at `rpc` and `ws`."""

    name: str
    shard: int
    rpc: str
    ws: str
    log: Path
    layout: NodeLayout

    @classmethod
    def of(cls, layout: NodeLayout) -> "Node":
        rpc = layout.config.rpc
        return cls(
            name=layout.name,
            shard=layout.shard,
            rpc=rpc_url(layout),
            ws=endpoint(rpc.host, rpc.port, "ws"),
            log=layout.files.log,
            layout=layout,
        )

    @property
    def pid(self) -> int | None:
        """Of the process that runs it now; None while it is down."""
        process = running_process(self.layout.files.pid)
        return None if process is None else process.pid

    @property
    def is_running(self) -> bool:
        """True if it has a process, which may still be starting, or be held by SIGSTOP."""
        return self.pid is not None

    def request(self, method: str, *params: object, timeout: float = ASK_SECONDS) -> Any:
        """The result of a JSON-RPC method, from this node. Raises RpcRefused or RpcUnreachable."""
        return call(self.rpc, method, *params, timeout=timeout)

    def status(self, *, timeout: float = ASK_SECONDS) -> NodeStatus:
        """The answer of `atoll_status`: heights, peers, pool, lanes. Raises as `request`."""
        return ask_node(self.layout, timeout=timeout)

    def logs(self, lines: int = 100) -> list[str]:
        """The last lines of its log, 64 KiB at most."""
        return last_lines(self.log, lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard. Its own chain is served at `rpc` and `ws`, by one of its nodes."""

    id: int
    nodes: tuple[Node, ...]

    @property
    def rpc(self) -> str:
        return f"{self.nodes[0].rpc}/shard/{self.id}"

    @property
    def ws(self) -> str:
        return f"{self.nodes[0].ws}/shard/{self.id}"

    def request(self, method: str, *params: object, timeout: float = ASK_SECONDS) -> Any:
        """The result of a JSON-RPC method on the chain of this shard. Raises RpcRefused or RpcUnreachable."""
        return call(self.rpc, method, *params, timeout=timeout)


class Clock:
    """The time of the chains. It never goes back, but by `Network.revert`."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def now(self) -> int:
        """Of the newest block of the network: seconds since 1970."""
        return int(self._request("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def increase(self, seconds: int) -> None:
        """All later blocks of all shards are `seconds` later. Returns when every shard has agreed."""
        self._request("evm_increaseTime", seconds)

    def set_next(self, timestamp: int) -> None:
        """The next block with a transaction is of that second. Raises RpcRefused if that is over."""
        self._request("evm_setNextBlockTimestamp", timestamp)

    def mine(self, blocks: int = 1) -> None:
        """So many more blocks of the network and of every shard."""
        self._request("anvil_mine", blocks)
