"""What a network for tests can be asked to be."""

from typing import Any

import pytest

from node.cluster.manifest import Manifest
from node.config.toml import parse_toml, render_toml
from node.primitives.errors import UserError
from node.testing.network import Network
from node.testing.options import manifest_of


def test_a_small_network_unless_more_is_wanted() -> None:
    manifest = manifest_of({})
    assert (manifest.shards, manifest.validators, manifest.rpc.port) == (2, 1, 0)
    assert manifest.protocol_params().dev_methods
    assert manifest.accounts == Manifest().accounts  # those of `atoll up`


def test_every_option() -> None:
    manifest = manifest_of(
        {
            "shards": 2,
            "validators": [1, 3],
            "beacon_size": 2,
            "chain_id": 7,
            "accounts_per_shard": 5,
            "balance_ether": 3,
            "params": {"heartbeat": 2.5, "dev_methods": False},
            "seed": "again",
            "log_level": "debug",
            "manifest": {
                "stake_ether": 40,
                "nodes": {"s1v2": {"stake_ether": 320}},
                "accounts": {"count": 12},
                "log": {"format": "json"},
                "rpc": {"cors_origins": ["*"]},
                "params": {"lane_window": 24},
            },
        }
    )
    assert manifest.committee_sizes() == (1, 3)
    assert (manifest.beacon_size, manifest.chain_id, manifest.seed) == (2, 7, "again")
    assert (manifest.accounts.per_shard, manifest.accounts.balance_ether) == (5, 3)
    assert manifest.protocol_params().heartbeat == 2.5
    assert not manifest.protocol_params().dev_methods
    assert (manifest.log.level, manifest.log.format) == ("debug", "json")
    assert (manifest.stake_ether, manifest.nodes["s1v2"].stake_ether) == (40, 320)
    assert (manifest.accounts.count, manifest.protocol_params().lane_window) == (12, 24)
    assert (manifest.rpc.cors_origins, manifest.rpc.port) == (("*",), 0)
    assert parse_toml(render_toml(manifest), Manifest) == manifest


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shard": 2}, "no such option of a network: shard; they are shards, "),
        ({"shards": 0}, r"shards"),
        ({"shards": "two"}, "Expected `int`"),
        ({"shards": 2, "validators": [1]}, "1 numbers for 2 shards"),
        ({"params": {"hartbeat": 1}}, "hartbeat"),
        ({"log_level": "loud"}, "loud"),
        ({"manifest": {"genesis": {}}}, "genesis"),
        ({"manifest": {"shards": {"count": 2}}}, r"Expected `int`, got `object` - at `\$.shards`"),
        ({"manifest": {"accounts": 3}, "accounts_per_shard": 5}, r"at `\$.accounts`"),
        ({"manifest": 3}, "Expected `object`, got `int`"),
        ({"shards": {"count": 2}}, r"at `\$.shards`"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(options: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Network(**options)
