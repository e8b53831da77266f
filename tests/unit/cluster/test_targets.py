"""Where Prometheus is told to find the nodes."""

import json
from pathlib import Path

from node.cluster.layout import clear_directory
from node.cluster.make import ensure_network, make_network
from node.cluster.manifest import Manifest, P2pSection, RpcSection


def targets(directory: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((directory / "targets.json").read_text())
    return found


def test_nodes_of_this_machine(tmp_path: Path) -> None:
    layout = make_network(Manifest(shards=2, validators=1, rpc=RpcSection(port=0)), tmp_path / "n")
    assert targets(layout.directory) == [
        {"targets": [f"127.0.0.1:{node.config.rpc.port}"], "labels": {"node": node.name}}
        for node in layout.nodes
    ]
    clear_directory(layout.directory)
    assert not (layout.directory / "targets.json").exists()


def test_nodes_in_containers_are_found_by_their_names(tmp_path: Path) -> None:
    manifest = Manifest(
        shards=2,
        validators=1,
        p2p=P2pSection(listen_host="::", dial_host="{name}", port=30300),
        rpc=RpcSection(host="::", port=8545, same_port=True),
    )
    layout = ensure_network(manifest, tmp_path / "net")
    assert [row["targets"] for row in targets(layout.directory)] == [["s0v0:8545"], ["s1v0:8545"]]


def test_a_node_without_others_that_listens_everywhere(tmp_path: Path) -> None:
    manifest = Manifest(shards=1, validators=1, rpc=RpcSection(host="::", port=0))
    layout = make_network(manifest, tmp_path / "net")
    port = layout.nodes[0].config.rpc.port
    assert [row["targets"] for row in targets(layout.directory)] == [[f"[::1]:{port}"]]
