"""The listening addresses of a network's nodes: from a manifest, with ports that are free."""

from dataclasses import dataclass

from node.cluster.manifest import Manifest, NodeSection, fill_template
from node.cluster.ports import PortChooser
from node.config.node_config import join_host_port


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAddresses:
    """The addresses of a node: where it listens and where the others find it, as "host:port", and host and port
    of the RPC.
    """

    name: str
    shard: int
    listen: str
    dial: str
    rpc_host: str
    rpc_port: int
    allowed_hosts: tuple[str, ...]


def plan_addresses(manifest: Manifest, *, any_rpc_port: bool = False) -> list[NodeAddresses]:
    """The addresses of every node, shard by shard; ports that are to be free ones are found free here.

    `any_rpc_port`: where the first node's RPC port is in use, the next free one will do. Raises UserError.
    """
    ports = PortChooser()
    planned: list[NodeAddresses] = []
    base = first_rpc_port = manifest.rpc.port
    for name, shard, index in manifest.node_names():
        own = manifest.nodes.get(name, NodeSection())

        def host(
            template: str, key: str, name: str = name, shard: int = shard, index: int = index
        ) -> str:
            return fill_template(template, key, name=name, shard=shard, index=index)

        listen_host = host(own.listen_host or manifest.p2p.listen_host, "p2p.listen_host")
        dial_host = host(own.dial_host or manifest.p2p.dial_host or listen_host, "p2p.dial_host")
        rpc_host = host(own.rpc_host or manifest.rpc.host, "rpc.host")
        allowed_hosts = [
            host(allowed, "rpc.allowed_hosts") for allowed in manifest.rpc.allowed_hosts
        ]
        p2p_port = own.p2p_port if own.p2p_port is not None else manifest.p2p.port
        if p2p_port == 0:
            p2p_port = ports.random_free(listen_host)
        if own.rpc_port:
            rpc_port = own.rpc_port
        elif manifest.rpc.same_port and manifest.rpc.port:
            rpc_port = manifest.rpc.port
        elif own.rpc_port == 0 or manifest.rpc.port == 0:
            rpc_port = ports.random_free(rpc_host)
        elif not planned and not any_rpc_port:
            rpc_port = base = ports.fixed(rpc_host, first_rpc_port, key="--rpc-port or rpc.port")
        else:
            rpc_port = base = ports.next_free(rpc_host, base if planned else base - 1)
        planned.append(
            NodeAddresses(
                name=name,
                shard=shard,
                listen=join_host_port(listen_host, p2p_port),
                dial=join_host_port(dial_host, p2p_port),
                rpc_host=rpc_host,
                rpc_port=rpc_port,
                allowed_hosts=tuple(allowed_hosts),
            )
        )
    return planned
