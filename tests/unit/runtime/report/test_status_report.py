"""`atoll_status` and `/health`, over parts that are only told."""

from types import SimpleNamespace
from typing import Any

from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.runtime.parts import Era, Fixed, Keys
from node.runtime.report import status_report as status_module
from node.runtime.report.status_report import StatusReport
from p2p.types import PeerId
from tests.support.parts import genesis, partly

ME = PeerId("p00")
WORLD = genesis(shards=3)
JAILED: set[bytes] = set()


def report(monkeypatch: Any, *, validator: bool = True, behind: int = 0, ready: bool = True) -> Any:
    """Of a node of shard 0 that is `behind` its peers by so many blocks."""
    monkeypatch.setattr(
        status_module.messenger, "outbox", lambda state, dst: SimpleNamespace(count=10 + dst)
    )
    topology = Topology(genesis=WORLD, me=ME if validator else PeerId("follower"))
    head = SimpleNamespace(hash=b"\1" * 32)
    host = SimpleNamespace(status=lambda: {"height": 5, "round": 0})
    syncer = SimpleNamespace(head=lambda: 100, highest=lambda: 100 + behind)
    address = topology.address_of(ME)
    fixed = partly(
        Fixed,
        config=SimpleNamespace(name="s0v0", peers=[1, 2, 3]),
        genesis=WORLD,
        keys=Keys(
            signing=SimpleNamespace(address=address) if validator else None,  # type: ignore[arg-type]
            identity=None,  # type: ignore[arg-type]
        ),
        topology=topology,
        shard=ShardId(0),
        network=SimpleNamespace(linked={"p01", "p10"}),
    )
    lane = SimpleNamespace(consumed=4)
    era = partly(
        Era,
        shard_chain=SimpleNamespace(head=head, state=lambda: None),
        beacon_chain=SimpleNamespace(
            head=head,
            eras=SimpleNamespace(current=2),
            state=SimpleNamespace(lane=lambda src, dst: lane),
        ),
        shard=SimpleNamespace(pool=SimpleNamespace(counts=lambda: (1, 2))),
        beacon=SimpleNamespace(is_frozen=lambda shard: False, is_jailed=JAILED.__contains__),
        head=SimpleNamespace(height=lambda: 7),
        hosts=SimpleNamespace(shard=host, beacon=host),
        syncers={0: syncer, -1: syncer},
    )
    healthy: Any = SimpleNamespace(report=lambda: (ready, {"ready": ready, "reasons": []}))
    return StatusReport(fixed, lambda: era, healthy)


def test_a_validator_and_a_follower(monkeypatch: Any) -> None:
    status = report(monkeypatch).status()
    assert status["validator"] == WORLD.validators[0].address
    assert (status["shard"], status["era"], status["networkHead"]) == (0, 2, 7)
    assert (status["peers"], status["peersExpected"]) == (2, 3)
    assert status["chains"]["shard"] == {"hash": "0x" + "01" * 32, "height": 5, "round": 0}
    assert status["pool"] == {"pending": 1, "queued": 2}
    assert status["lanes"] == [
        {"src": 0, "dst": 1, "sent": 11, "delivered": 4},
        {"src": 0, "dst": 2, "sent": 12, "delivered": 4},
    ]
    follower = report(monkeypatch, validator=False).status()
    assert (follower["validator"], follower["jailed"]) == (None, False)


def test_a_validator_that_was_jailed(monkeypatch: Any) -> None:
    address = Topology(genesis=WORLD, me=ME).address_of(ME)
    assert address is not None
    monkeypatch.setattr(f"{__name__}.JAILED", {bytes(address)})
    assert report(monkeypatch).status()["jailed"] is True
    assert report(monkeypatch, validator=False).status()["jailed"] is False


def test_syncing_is_being_behind_by_more_than_a_moment(monkeypatch: Any) -> None:
    assert report(monkeypatch, behind=2).syncing() is False
    assert report(monkeypatch, behind=9).syncing() is True


def test_health_is_the_verdict_with_the_status(monkeypatch: Any) -> None:
    ready, document = report(monkeypatch, ready=False).health()
    assert ready is False
    assert document["healthy"] is False
    assert document["reasons"] == []
    assert document["name"] == "s0v0"
