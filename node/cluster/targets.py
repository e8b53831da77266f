"""`targets.json`: where Prometheus finds the metrics of every node (its `file_sd_configs`)."""

import msgspec

from node.cluster.client.client import WILDCARDS
from node.cluster.layout import TARGETS, NetworkLayout, NodeLayout
from node.config.node_config import join_host_port, split_host_port
from node.storage.files import write_atomically


def write_targets(layout: NetworkLayout) -> None:
    """Raises OSError."""
    rows = [
        {"targets": [_address(layout, node)], "labels": {"node": node.name}}
        for node in layout.nodes
        if node.config.rpc.enabled
    ]
    text = msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n"
    write_atomically(layout.directory / TARGETS, text)


def _address(layout: NetworkLayout, node: NodeLayout) -> str:
    host = node.config.rpc.host
    if host in WILDCARDS:
        host = _name(layout, node) or WILDCARDS[host]
    return join_host_port(host, node.config.rpc.port)


def _name(layout: NetworkLayout, node: NodeLayout) -> str | None:
    """The host under which the other nodes find one that listens everywhere."""
    for other in layout.nodes:
        for peer in other.config.peers:
            if peer.name == node.name:
                return split_host_port(peer.address, "peers.address")[0]
    return None
