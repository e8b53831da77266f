"""Whole nodes in this process: what is swapped when the network is taken back, and what stays."""

import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from node.cluster.make import make_network
from node.cluster.manifest import Manifest, RpcSection
from node.config.node_config import NodeConfig, load_node_config
from node.primitives.errors import UserError
from node.runtime import node as node_module
from node.runtime.node import Node

PATIENCE = 60.0


def configs(folder: Path, shards: int) -> list[NodeConfig]:
    """Of a network with a node for each shard, all of which decide the beacon."""
    layout = make_network(
        Manifest(
            shards=shards,
            validators=1,
            beacon_size=shards,
            rpc=RpcSection(port=0),
            params={"heartbeat": 0.3, "dev_methods": True},
        ),
        folder / "net",
    )
    return [load_node_config(node.files.config) for node in layout.nodes]


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    """The nodes, until the block ends."""
    try:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    await nursery.start(node.run)
                yield
                nursery.cancel_scope.cancel()
    finally:
        for node in nodes:
            assert node.close()


async def ask(node: Node, path: str, *call: Any) -> str:
    """The answer of its HTTP server to a GET, or to a JSON-RPC call."""
    rpc = node.fixed.config.rpc
    body = None
    if call:
        method, *params = call
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(
        f"http://{rpc.host}:{rpc.port}{path}", data=body, headers={"Content-Type": "application/json"}
    )  # fmt: skip

    def answer() -> str:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return str(reply.read().decode())

    return await trio.to_thread.run_sync(answer)


async def result(node: Node, method: str, *params: Any) -> Any:
    answer = json.loads(await ask(node, "/", method, *params))
    assert "error" not in answer, answer
    return answer["result"]


async def network_block(node: Node, height: int) -> None:
    """Return when the node shows it."""
    while node.era().head.height() < height:
        await node.era().beacon.gate.wait_change()


async def test_an_era_is_swapped_whole_and_what_is_fixed_stays(tmp_path: Path) -> None:
    nodes = one, other = [Node(config) for config in configs(tmp_path, shards=2)]
    before = [node.era() for node in nodes]
    parts = {name: getattr(one.fixed, name) for name in type(one.fixed).__slots__}
    async with running(*nodes):
        await network_block(one, 2)
        snapshot = await result(one, "evm_snapshot")
        height = int(await result(one, "eth_blockNumber"), 16)
        await network_block(one, height + 2)
        counted = "atoll_chain_operations_total"
        assert counted in await ask(one, "/metrics")
        assert await result(one, "evm_revert", snapshot) is True
        await network_block(one, height + 2)
        await network_block(other, height + 2)

        for node, first in zip(nodes, before, strict=True):
            era = node.era()
            assert era.rewound
            assert not first.rewound
            assert era.beacon_chain.eras.current == first.beacon_chain.eras.current + 1
            shared = {"rewound"} | {
                name for name in type(era).__slots__ if getattr(era, name) is getattr(first, name)
            }
            assert shared == {"rewound"}, "parts of an era that went on"
        assert all(getattr(one.fixed, name) is part for name, part in parts.items())
        assert (await result(other, "atoll_status"))["era"] == 1
        assert json.loads(await ask(one, "/readyz"))["ready"] is True
        assert counted in await ask(one, "/metrics")
        assert await result(one, "evm_revert", snapshot) is False


async def test_a_node_whose_keys_do_not_fit_leaves_the_disk_alone(tmp_path: Path) -> None:
    one, other = configs(tmp_path, shards=2)
    with pytest.raises(UserError, match="expects validator"):
        Node(_with(one, validator_key=other.validator_key))
    with pytest.raises(UserError, match="a follower needs an identity of its own"):
        Node(_with(one, validator_key=None))
    assert not (one.data_dir / "chain").exists()


async def test_what_was_opened_is_closed_where_a_later_part_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = configs(tmp_path, shards=1)

    def refuse(*_: Any, **__: Any) -> None:
        raise UserError("no")

    with monkeypatch.context() as patch:
        patch.setattr(node_module, "RpcService", refuse)
        with pytest.raises(UserError, match="no"):
            Node(config)
    node = Node(config)  # database, journals and records are free again
    assert node.close()


def _with(config: NodeConfig, **changes: Any) -> NodeConfig:
    return msgspec.structs.replace(config, **changes)
