"""`atoll fault`: a setting of one node, which its own file shows and nothing else changes."""

from pathlib import Path
from typing import get_args

import pytest

from node.cluster.faults import Fault, set_fault
from node.cluster.layout import NetworkLayout, load_layout
from node.cluster.make import make_network
from node.cluster.manifest import Manifest, RpcSection
from node.config import FaultsConfig, load_node_config
from node.primitives.errors import UserError


@pytest.fixture
def layout(tmp_path: Path) -> NetworkLayout:
    manifest = Manifest(shards=1, validators=2, seed="faults", rpc=RpcSection(port=0))
    return make_network(manifest, tmp_path / "network")


@pytest.mark.parametrize("fault", get_args(Fault))
def test_it_is_set_and_taken_back(layout: NetworkLayout, fault: Fault) -> None:
    files = {node.name: node.files.config for node in layout.nodes}
    before = {name: path.read_text() for name, path in files.items()}

    assert not set_fault(layout.directory, "s0v1", fault, on=True)  # it did not run
    assert load_node_config(files["s0v1"]).faults == FaultsConfig(**{fault: True})
    assert files["s0v0"].read_text() == before["s0v0"]
    assert load_layout(layout.directory).nodes[0] == layout.nodes[0]

    set_fault(layout.directory, "s0v1", fault, on=False)
    assert {name: path.read_text() for name, path in files.items()} == before


def test_an_unknown_node_is_the_users_mistake(layout: NetworkLayout) -> None:
    with pytest.raises(UserError, match="there is no node 'nobody'"):
        set_fault(layout.directory, "nobody", "equivocate", on=True)


def test_a_follower_has_nothing_to_contradict(layout: NetworkLayout) -> None:
    config = layout.nodes[1].files.config
    text = "\n".join(
        line for line in config.read_text().splitlines() if "validator_key" not in line
    )
    config.write_text(text)
    with pytest.raises(UserError, match="s0v1 is no validator"):
        set_fault(layout.directory, "s0v1", "equivocate", on=True)
    config.write_text(text.replace("equivocate = false", "equivocate = true"))
    with pytest.raises(UserError, match=r"faults\.equivocate"):
        load_node_config(config)
