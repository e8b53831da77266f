"""Networks that tests share, and how one is put back between them, without any process."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from node.cluster.errors import NetworkFailed, RpcRefused
from node.primitives.errors import UserError
from node.testing.isolation import isolated, snapshot_of
from node.testing.network import Network
from node.testing.shared import SharedNetworks


class Recorded:
    """What a network was told, in order; `fails` is raised by that method."""

    def __init__(self, **fails: Exception) -> None:
        self.told: list[str] = []
        self._fails = fails

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if error := self._fails.get(what):
            raise error

    def snapshot(self) -> str:
        self._tell("snapshot")
        return "0x1"

    def heal(self, *, timeout: float) -> None:
        self._tell("heal")

    def revert(self, snapshot: str) -> None:
        assert snapshot == "0x1"
        self._tell("revert")


def test_faults_are_healed_before_the_state_is_put_back() -> None:
    network = Recorded()
    with isolated(cast(Network, network), "0x1") as trouble:
        network.told.append("test")
    assert network.told == ["test", "heal", "revert"]
    assert trouble == []


def test_also_when_the_test_fails() -> None:
    network = Recorded()
    with pytest.raises(KeyError), isolated(cast(Network, network), "0x1"):
        raise KeyError
    assert network.told == ["heal", "revert"]


@pytest.mark.parametrize("what", ["heal", "revert"])
def test_a_network_that_cannot_be_put_back_is_not_to_be_used(what: str) -> None:
    network = Recorded(**{what: NetworkFailed("s0v0 is jailed")})
    with isolated(cast(Network, network), "0x1") as trouble:
        pass
    assert trouble == ["the network could not be put back and is replaced: s0v0 is jailed"]


def test_what_to_go_back_to() -> None:
    def network(**fails: Exception) -> Network:
        return cast(Network, Recorded(**fails))

    assert snapshot_of(network()) == "0x1"
    assert snapshot_of(network(snapshot=RpcRefused(-32004, "no dev_methods"))) is None
    with pytest.raises(RpcRefused):
        snapshot_of(network(snapshot=RpcRefused(-32002, "not now")))


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedNetworks]:
    """Networks that are up when they are told so."""
    up: set[Network] = set()
    monkeypatch.setattr(Network, "up", lambda self: up.add(self))
    monkeypatch.setattr(Network, "stop", lambda self: up.discard(self))
    monkeypatch.setattr(Network, "down", lambda self: up.discard(self))
    monkeypatch.setattr(Network, "is_up", property(lambda self: self in up))
    yield SharedNetworks(lambda: tmp_path)
    assert not up


def test_who_asks_for_the_same_shares(networks: SharedNetworks) -> None:
    first = networks.shared(shards=2)
    assert networks.shared(shards=2, validators=1) is first  # as it is by default
    assert networks.shared(shards=3) is not first
    assert networks.start(shards=2) is not first
    first.stop()
    again = networks.shared(shards=2)
    assert again is not first
    assert networks.shared() is again
    networks.stop()


def test_what_all_networks_have_stands_beneath_what_each_asks_for(networks: SharedNetworks) -> None:
    networks.manifest = {"shards": 3, "rpc": {"send_wait": 0.0}}
    network = networks.shared(manifest={"rpc": {"same_port": False}})
    assert network.manifest.shards == 3
    assert network.manifest.rpc.send_wait == 0.0
    own = networks.start(shards=2, manifest={"rpc": {"send_wait": 1.0}})
    assert (own.manifest.shards, own.manifest.rpc.send_wait) == (2, 1.0)
    with pytest.raises(UserError, match=r"at `\$.shards`"):
        networks.start(manifest={"shards": {"count": 2}})
    networks.stop()


def test_one_that_answers_is_not_waited_for_again(
    networks: SharedNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between tests it would cost a heartbeat of the beacon each time."""
    first, waited = networks.shared(), list[Network]()
    with monkeypatch.context() as patched:
        patched.setattr(Network, "up", lambda self: waited.append(self))
        patched.setattr(Network, "answers", True)
        assert (networks.shared(), waited) == (first, [])
        patched.setattr(Network, "answers", False)
        assert (networks.shared(), waited) == (first, [first])
    networks.stop()


def test_one_at_a_time_the_others_rest(networks: SharedNetworks, tmp_path: Path) -> None:
    alone = SharedNetworks(lambda: tmp_path, one_at_a_time=True)
    first = alone.shared(shards=2)
    second = alone.shared(shards=3)
    assert alone.running == [second]
    assert alone.shared(shards=2) is first  # with its data
    assert alone.running == [first]
    own, another = alone.start(shards=2), alone.start(shards=2)
    assert alone.running == [own, another]
    assert alone.shared(shards=2) is first
    alone.rest()
    assert alone.running == [own, another]
    first.stop()
    assert alone.shared(shards=2) is first
    first.stop()
    assert alone.shared(shards=2) is not first
    alone.stop()


def test_all_are_stopped_though_one_does_not(
    networks: SharedNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, _, _ = (networks.start(shards=1) for _ in range(3))
    stop = Network.stop

    def fail_once(self: Network) -> None:
        stop(self)
        if self is bad:
            raise NetworkFailed("s0v0 did not end even when killed")

    monkeypatch.setattr(Network, "stop", fail_once)
    with pytest.raises(NetworkFailed, match="even when killed"):
        networks.stop()
