"""js-libp2p against a node: identify, ping, and the streams of our own protocols."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.testing import Network
from p2p.identity import Identity
from p2p.session import Protocols
from tests.cluster.support.client import call
from tests.cluster.support.network import names_of
from tests.conformance.npm import install, run_tests

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A node whose one peer is away; js-libp2p has that peer's key."""
    root = tmp_path_factory.mktemp("scene")
    with Network.start(directory=root / "network", shards=1, validators=2) as network:
        node, away = names_of(network)
        network.faults.kill(away)
        home = network.directory / "nodes"
        config = tomllib.loads((home / node / "node.toml").read_text())
        host, _, port = config["p2p"]["listen"].rpartition(":")
        info = call(network.node(node).rpc, "admin_nodeInfo")
        genesis = bytes.fromhex(info["protocols"]["atoll"]["genesis"][2:])
        facts = {
            "host": host,
            "port": int(port),
            "peerId": info["id"],
            "agent": info["name"],
            "protocols": Protocols.of(genesis).both,
            "seed": Identity.load(home / away / "identity.key").to_bytes().hex(),
        }
        file = root / "scene.json"
        file.write_text(json.dumps(facts))
        yield file


def test_js_libp2p(tmp_path: Path, scene: Path) -> None:
    directory = install(HERE, tmp_path / "js", "js-libp2p")
    run_tests(directory, "libp2p", scene, least=10)
