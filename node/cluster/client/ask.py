"""Asking a network: the first of its nodes that answers speaks for all of them."""

from typing import Any

from node.cluster.client.client import call, endpoint
from node.cluster.errors import RpcUnreachable
from node.cluster.layout import NetworkLayout, NodeLayout

TIMEOUT = 30.0


def rpc_url(node: NodeLayout) -> str:
    return endpoint(node.config.rpc.host, node.config.rpc.port)


def ask_network(
    layout: NetworkLayout, method: str, *params: object, timeout: float = TIMEOUT
) -> Any:
    """The result of a method. Raises RpcRefused, or RpcUnreachable if no node answers."""
    for node in layout.nodes:
        if not node.config.rpc.enabled:
            continue
        try:
            return call(rpc_url(node), method, *params, timeout=timeout)
        except RpcUnreachable:
            continue
    raise RpcUnreachable(f"no node of {layout.directory} answers; `atoll up` starts the network")
