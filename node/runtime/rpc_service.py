"""The JSON-RPC endpoint of a node: sources of all shards, the views over them, the server."""

from functools import partial
from typing import TYPE_CHECKING

from node.primitives.genesis import parse_address
from node.runtime.local_source import LocalSource
from node.runtime.queries import ShardSource
from node.runtime.remote_source import RemoteSource
from node.runtime.source_codec import serve
from node.runtime.view.atoll import AtollView
from node.runtime.view.backend import NodeBackend
from node.runtime.view.network import NetworkView
from node.runtime.view.shard import ShardView
from node.runtime.view.shards import Shards
from node.runtime.waiting import Started
from node.version import client_version
from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.server import Server

if TYPE_CHECKING:
    from node.runtime.node import Node

HEIGHT_PATIENCE = 3.0  # seconds a question may wait for a height this node does not have yet


class RpcService:
    """What users and other nodes may ask this node."""

    def __init__(self, node: "Node") -> None:
        genesis, beacon, status = node.genesis, node.beacon_chain, node.status
        gate = node.shard_service.gate
        config, limits = node.config.rpc, Limits()
        self._local = LocalSource(
            node.shard_chain,
            node.gossip,
            wait_height=lambda height: gate.reach(height, patience=HEIGHT_PATIENCE),
            run_call=node.worker.call,
        )
        sources: dict[int, ShardSource] = {
            shard: RemoteSource(shard, partial(node.ask_shard, shard))
            for shard in genesis.shard_ids()
            if shard != node.shard
        }
        sources[node.shard] = self._local
        shards = Shards(sources, own=node.shard)
        backend = NodeBackend(
            network=NetworkView(
                beacon, shards, chain_id=genesis.chain_id, head_height=status.view_head
            ),
            shards={
                shard: ShardView(shard, beacon, shards, chain_id=genesis.chain_id)
                for shard in genesis.shard_ids()
            },
            atoll=AtollView(
                beacon,
                shards,
                head_height=status.view_head,
                committees={
                    shard: [v.name for v in genesis.committee(shard)]
                    for shard in genesis.shard_ids()
                },
                genesis_supply=sum(genesis.balances().values()),
            ),
            beacon=beacon,
            status=status,
            chain_id=genesis.chain_id,
            version=client_version(),
            accounts=tuple(parse_address(a) for a in node.config.dev_accounts)
            if config.expose_accounts
            else (),
        )
        self._server = Server(
            Dispatcher(backend, limits),
            host=config.host,
            port=config.port,
            limits=limits,
            cors_origins=config.cors_origins,
            allowed_hosts=config.allowed_hosts,
        )

    async def serve_query(self, payload: bytes) -> bytes:
        """Answer another node's question about our shard."""
        return await serve(self._local, payload)

    async def run(self, *, task_status: Started) -> None:
        await self._server.run(task_status=task_status)
