"""The JSON-RPC endpoint of a node: sources of all shards, the views over them, the server."""

from typing import TYPE_CHECKING

import trio

from node.primitives.basics import ShardId
from node.runtime import wire
from node.runtime.local_source import LocalSource
from node.runtime.queries import ShardSource
from node.runtime.remote_source import RemoteSource
from node.runtime.source_codec import serve
from node.runtime.view.backend import NodeBackend
from node.runtime.waiting import Started
from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.server import Server

if TYPE_CHECKING:
    from node.runtime.node import Node

HEIGHT_PATIENCE = 3.0  # seconds a question may wait for a height this node does not have yet


class RpcService:
    """What users and other nodes may ask this node."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._local = LocalSource(
            chain=node.shard_chain,
            pool=node.gossip,
            wait_height=lambda h: node.shard_service.gate.reach(h, patience=HEIGHT_PATIENCE),
            run_call=node.worker.call,
        )
