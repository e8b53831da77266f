"""This node and its peers, in the shapes of geth's admin_nodeInfo and admin_peers.

libp2p knows no enode: its multiaddress stands there.
"""

import ipaddress
from collections.abc import Container
from typing import Any

from node.config.node_config import NodeConfig, split_host_port
from node.primitives.genesis import Genesis
from node.version import client_version

PROTOCOL = "atoll"


def node_info(config: NodeConfig, genesis: Genesis, me: str, head: bytes) -> dict[str, Any]:
    """The node itself, with the peer id `me` and the beacon block `head`. It finds no peers by itself, so there
    is no port for that."""
    listen = config.p2p.listen
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
                "network": genesis.chain_id,
                "genesis": "0x" + genesis.hash.hex(),
                "head": "0x" + head.hex(),
            }
        },
    }


def peers(config: NodeConfig, connected: Container[str]) -> list[dict[str, Any]]:
    """The peers that are connected, in the order of the configuration."""
    out = []
    for peer in config.peers:
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
