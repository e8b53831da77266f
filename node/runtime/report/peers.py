"""This node and its peers, in the shapes of geth's admin_nodeInfo and admin_peers.

libp2p knows no enode: its multiaddress stands there.
"""

import ipaddress
from typing import TYPE_CHECKING, Any

from node.config.node_config import split_host_port
from node.version import client_version

if TYPE_CHECKING:
    from node.runtime.node import Node

PROTOCOL = "atoll"


def node_info(node: "Node") -> dict[str, Any]:
    """The node itself. It finds no peers by itself, so there is no port for that."""
    listen, me = node.config.p2p.listen, str(node.topology.me)
    host, port = split_host_port(listen, "p2p.listen")
    return {
        "id": me,
        "name": client_version(),
        "enode": _multiaddress(host, port, me),
        "ip": host,
        "ports": {"discovery": 0, "listener": port},
        "listenAddr": listen,
        "protocols": {
            PROTOCOL: {
                "network": node.genesis.chain_id,
                "genesis": "0x" + node.genesis.hash.hex(),
                "head": "0x" + node.beacon_chain.head.hash.hex(),
            }
        },
    }


def peers(node: "Node") -> list[dict[str, Any]]:
    """The peers that are connected now, in the order of the configuration."""
    connected = {str(peer) for peer in node.network.linked}
    out = []
    for peer in node.config.peers:
        if peer.peer_id in connected:
            host, port = split_host_port(peer.address, "peers.address")
            out.append(
                {
                    "id": peer.peer_id,
                    "name": peer.name,
                    "enode": _multiaddress(host, port, peer.peer_id),
                    "caps": [PROTOCOL],
                    "network": {"remoteAddress": peer.address, "static": True, "trusted": True},
                    "protocols": {PROTOCOL: {}},
                }
            )
    return out


def _multiaddress(host: str, port: int, peer_id: str) -> str:
    try:
        kind = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        kind = "dns"
    return f"/{kind}/{host}/tcp/{port}/p2p/{peer_id}"
