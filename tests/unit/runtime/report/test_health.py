"""The checks of /readyz, one by one."""

from types import SimpleNamespace

import pytest
import trio
from msgspec.structs import replace

from consensus.types import Validator, ValidatorSet
from node.config.node_config import NodeConfig, PeerConfig
from node.network.topology import Topology
from node.runtime.parts import Era, Fixed, Hosts, Keys
from node.runtime.report import health as health_module
from node.runtime.report.health import Health
from tests.support.parts import genesis, partly

MEMBERS = ME, SECOND, THIRD, FOURTH = "p00", "p01", "p02", "p03"
OTHER = "p10"


class Syncer:
    tag = "shard/0"

    def __init__(self, behind=0):
        self.behind = behind

    def head(self):
        return 100

    def highest(self):
        return 100 + self.behind


class Node:
    """The parts that checks look at. Shard 0 has four validators of equal stake, and this is one of them."""

    def __init__(self, folder):
        world = genesis(shards=2)
        self.topology = Topology(genesis=world, me=ME)
        self.network = SimpleNamespace(connected={SECOND, THIRD, FOURTH, OTHER})
        self.given = {
            "shard": 0,
            "genesis": replace(world, params=replace(world.params, heartbeat=1.0)),
            "topology": self.topology,
            "network": self.network,
            "keys": Keys(signing=object(), identity=None),
            "config": NodeConfig(
                name="s0v0",
                genesis=folder / "genesis.json",
                identity_key=folder / "identity.key",
                data_dir=folder,
                peers=(PeerConfig(name="s0v1", peer_id=SECOND, address="localhost:1"),),
            ),
        }
        validators = [Validator(address=self.topology.address_of(p), power=1) for p in MEMBERS]
        app = SimpleNamespace(validators=lambda: ValidatorSet(validators))
        self.shard = SimpleNamespace(
            crosslinked=lambda: 90, uncrosslinked=lambda: 3, heartbeat=lambda: 1.0
        )
        self.beacon = SimpleNamespace(is_frozen=lambda shard: False)
        self.syncers = {0: Syncer(), 1: Syncer()}
        self.era = partly(
            Era,
            shard=self.shard,
            beacon=self.beacon,
            syncers=self.syncers,
            hosts=partly(Hosts, shard=SimpleNamespace(app=app)),
        )

    def health(self):
        return Health(partly(Fixed, **self.given), lambda: self.era)

    def follow(self):
        """Be a follower."""
        self.given["keys"] = Keys(signing=None, identity=None)


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def grown(node):
    health = node.health()
    health.grew("shard")
    health.grew("beacon")
    return health


def failing(health):
    ready, report = health.report()
    failed = {name for name, found in report["checks"].items() if found != "ok"}
    assert set(report["checks"]) == {
        "shard",
        "beacon",
        "crosslinks",
        "synced",
        "peers",
        "disk",
        "lanes",
    }
    assert ready == report["ready"] == (not report["reasons"])
    assert len(failed) == len(report["reasons"]) + len(report["warnings"])
    return failed


async def test_a_node_that_does_its_work_is_ready(node):
    assert failing(grown(node)) == set()


async def test_a_node_is_not_ready_before_both_chains_have_grown(node):
    health = node.health()
    assert failing(health) == {"shard", "beacon"}
    health.grew("beacon")
    assert failing(health) == {"shard"}
    assert health.report()[1]["reasons"] == [
        "the shard has made no block since this node was started"
    ]


async def test_a_chain_that_stands_still(node, autojump_clock):
    health = grown(node)
    await trio.sleep(9)
    health.grew("beacon")
    await trio.sleep(2)
    assert failing(health) == {"shard"}
    assert health.report()[1]["reasons"] == ["the shard has made no block for 11 s"]


async def test_blocks_that_the_beacon_does_not_take_in(node, autojump_clock):
    """The shard goes on deciding, and nobody sees it."""
    health, here = node.health(), node.shard

    async def both_go_on(seconds):
        for _ in range(seconds):
            await trio.sleep(1)
            health.grew("shard")
            health.grew("beacon")

    await both_go_on(30)
    assert failing(health) == set(), "few are on their way at any time"
    here.uncrosslinked = lambda: 20
    assert failing(health) == {"crosslinks"}
    (reason,) = health.report()[1]["reasons"]
    assert "no block of shard 0 for 29 s, and lacks 20" in reason
    here.crosslinked = lambda: 91
    await both_go_on(5)
    assert failing(health) == set(), "many, and it gets on"
    await both_go_on(10)
    assert failing(health) == {"crosslinks"}
    here.uncrosslinked = lambda: 0
    assert failing(health) == set()


async def test_a_frozen_shard(node):
    node.beacon.is_frozen = lambda shard: True
    assert failing(grown(node)) == {"shard"}


async def test_being_behind_by_more_than_a_moment(node):
    node.syncers[1].behind = 8
    assert failing(grown(node)) == set()
    node.syncers[1].behind = 9
    health = grown(node)
    assert failing(health) == {"synced"}
    assert health.report()[1]["reasons"] == ["shard/0 is at block 100 here, at 109 elsewhere"]


async def test_without_a_quorum_in_reach(node):
    node.network.connected = {SECOND, THIRD, OTHER}
    assert failing(grown(node)) == set()  # three of four, ourselves included
    node.network.connected = {SECOND, OTHER}
    health = grown(node)
    assert failing(health) == {"peers"}
    assert health.report()[1]["reasons"] == [
        "validators with 50 % of the stake of shard 0 are in reach, no quorum"
    ]


async def test_a_follower_needs_somebody_to_hear_from(node):
    node.follow()
    node.network.connected = {OTHER, SECOND}
    assert failing(grown(node)) == set()
    node.network.connected = set()
    assert failing(grown(node)) == {"peers", "lanes"}


async def test_a_shard_that_is_away_is_a_warning_only(node):
    node.network.connected.discard(OTHER)
    ready, report = grown(node).report()
    assert ready
    assert report["warnings"] == ["no node of shard 1 is connected: its lanes wait"]


async def test_a_disk_that_is_nearly_full(node, monkeypatch):
    monkeypatch.setattr(health_module, "free_bytes", lambda folder: 63 << 20)
    health = grown(node)
    assert failing(health) == {"disk"}
    assert "63 MiB are free in" in health.report()[1]["reasons"][0]


def test_free_bytes_of_what_is_not_there(tmp_path):
    assert (health_module.free_bytes(tmp_path) or 0) > 0
    assert health_module.free_bytes(tmp_path / "nothing") is None
